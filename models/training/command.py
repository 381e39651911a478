"""Train a network on a task, judge it on the folds that were left out, and export it.

    python -m models.training.command rhythm_10s --architecture mina --fold 0
    python -m models.training.command qrs --fold 0 --fold 1 --fold 2
    python -m models.training.command clocs --variant cmsc --fold 0
    python -m models.training.command distil-mvkt --fold 0

`ecgwatch train` starts this. It goes on where it was stopped. Without --fold the network learns
from all patients.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ingest.errors import BadInputError, EcgwatchError
from models import architectures
from models.serving.runtime import DEPLOYED
from models.training import distil, pretrain, zoo
from models.training.data.records import data_folder
from models.training.harness import TrainingPlan
from models.training.place import Place
from models.training.pretraining import base as objectives
from models.training.recipe import Training, follow
from models.training.tasks import base
from models.training.tasks.beat_class.shipped import ShippedBeats
from models.training.tasks.lethal.shipped import ShippedLethal
from models.training.tasks.qrs.shipped import ShippedQrs
from models.training.tasks.rhythm.shipped import ShippedRhythm
from models.training.windowed import Windowed

# tasks of the shipped network, whose later ones read the features of its first
SHIPPED: dict[str, Callable[[Place, int], Training[Any]]] = {
    "qrs": ShippedQrs,
    "beat_class": ShippedBeats,
    "rhythm": ShippedRhythm,
    "lethal": ShippedLethal,
}
DISTIL = "distil-"


def training(options: argparse.Namespace) -> Training[Any]:
    """The training that the arguments ask for. Raises BadInputError."""
    place, task = Place(options.data, options.runs), options.task
    if task in objectives.known():
        return pretrain.load(task, options.variant, place, changes(options))
    if task.startswith(DISTIL):
        scheme = task.removeprefix(DISTIL)
        return distil.load(scheme, place, changes(options), options.seeds)
    if options.architecture == DEPLOYED:
        if task not in SHIPPED:
            remedy = f"Name one: ecgwatch train {task} --architecture mina"
            raise BadInputError(f"{task} is for the architectures of the zoo", remedy)
        return SHIPPED[task](place, options.seed)
    architecture = architectures.load(options.architecture)
    made = base.load(task)(place.data, place.cache)
    plan = replace(zoo.adapted(made.plan, architecture), seed=options.seed, **changes(options))
    folder = place.runs / f"{architecture.name}-{task}"
    return Windowed(architecture, task, made, plan, folder, options.start)


def changes(options: argparse.Namespace) -> dict[str, int]:
    """Return the fields of a Plan that the arguments change."""
    return {k: v for k in ("epochs", "steps") if (v := getattr(options, k)) is not None}


def folds(options: argparse.Namespace) -> list[int | None]:
    """The folds to leave out; a pretraining or a distillation is nothing without its figures."""
    if options.fold:
        return list(options.fold)
    judged = options.task in objectives.known() or options.task.startswith(DISTIL)
    return [0] if judged else [None]


def arguments() -> argparse.ArgumentParser:
    """Return the parser of the command's arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", help="a task, a pretraining, or distil-SCHEME")
    parser.add_argument("--architecture", default=DEPLOYED, help="a name of the registry")
    parser.add_argument(
        "--fold", type=int, action="append", help="train without this fold and judge on it"
    )
    parser.add_argument("--data", type=Path, default=data_folder(), help="unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="checkpoints and results")
    parser.add_argument("--seed", type=int, default=TrainingPlan.seed)
    parser.add_argument("--epochs", type=int, help="instead of the plan's")
    parser.add_argument("--steps", type=int, help="batches per epoch, instead of the plan's")
    parser.add_argument("--start", type=Path, help="weights to begin with (a pretraining's)")
    parser.add_argument("--variant", help="of a pretraining")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5], help="of a distillation's students"
    )
    return parser


def main(given: Sequence[str] | None = None) -> None:
    """Run the command line."""
    options = arguments().parse_args(given)
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a C++ compiler run uncompiled
    follow(training(options), folds(options))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
