"""Pretrain a system without labels and measure the gain: a linear probe of the system, and of the
same encoder with random weights.

    python -m models.training.pretrain clocs --variant cmsc --fold 0

Continues where it was stopped. RUNS/clocs-cmsc/fold0.json holds the figures, fold0.pt the
checkpoint, system-fold0.pt the weights for
`train_windowed --start`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch

from ingest.errors import BadInputError, EcgwatchError
from models import architectures
from models.training.data.records import data_folder
from models.training.harness import train
from models.training.pretraining import base
from models.training.pretraining.probe import Encodes, Examples, probe
from models.training.problems import PIECE
from models.training.tasks import base as tasks
from models.training.tasks.base import Figures

TASK = "rhythm_10s"  # number of windows that train the probe


def run(
    objective: base.Objective, task: tasks.Task, fold: int, runs: Path, windows: int
) -> dict[str, Figures]:
    """Pretrain, then probe the pretrained system and its random control."""
    architecture = architectures.load(objective.architecture)
    torch.manual_seed(objective.plan.seed)
    system = architecture.build(PIECE)
    train(objective.learner(system), objective.batches(), objective.plan, runs / f"fold{fold}.pt")
    torch.save(system.state_dict(), runs / f"system-fold{fold}.pt")
    torch.manual_seed(objective.plan.seed)
    control = architecture.build(PIECE)
    examples = cast(Examples, task.batches(fold))
    figures = {
        name: probe(cast(Encodes, net), examples, task, fold, windows)
        for name, net in (("pretrained", system), ("random weights", control))
    }
    (runs / f"fold{fold}.json").write_text(json.dumps(figures, indent=1) + "\n")
    return figures


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("objective", help="clocs, cpc, st_mem")
    parser.add_argument("--variant", help="what is seen together; default: the first there is")
    parser.add_argument("--fold", type=int, default=0, help="of CinC 2017: judged, never seen")
    parser.add_argument("--data", type=Path, default=data_folder(), help="unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of results")
    parser.add_argument("--epochs", type=int, help="instead of the objective's")
    parser.add_argument("--steps", type=int, help="batches per epoch, instead of the objective's")
    parser.add_argument("--windows", type=int, default=5000, help="windows that teach the probe")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    make = base.load(options.objective)
    variants: tuple[str, ...] = base.known()[options.objective].arguments["variants"]
    variant = options.variant or variants[0]
    if variant not in variants:
        raise BadInputError(
            f"{options.objective} has no variant {variant!r}", f"There are: {', '.join(variants)}."
        )
    cache = options.runs / "cache"
    objective = make(options.data, cache, options.fold, variant)
    changes = {k: getattr(options, k) for k in ("epochs", "steps") if getattr(options, k)}
    objective.plan = replace(objective.plan, **changes)
    task = tasks.load(TASK)(options.data, cache)
    folder = options.runs / f"{options.objective}-{variant}"
    for name, figures in run(objective, task, options.fold, folder, options.windows).items():
        print(f"{name}:", ", ".join(f"{k} {v:.4g}" for k, v in figures.items()), flush=True)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
