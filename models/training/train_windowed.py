"""Train any architecture of the registry on any windowed task, judge it on held-out patients, and
write it as an artifact.

    python -m models.training.train_windowed plain_cnn rhythm --fold 0 --fold 1 --fold 2

An artifact per fold goes to RUNS/plain_cnn-rhythm/foldN. Without --fold the network learns from all
patients and has no figures: they are those of the folds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ingest.errors import BadInputError, EcgwatchError
from models import architectures
from models.architectures import Architecture
from models.training import zoo
from models.training.data.records import data_folder
from models.training.harness import Plan, train
from models.training.release.windowed_export import export
from models.training.tasks import base
from models.training.tasks.base import Figures, Floats, Predict, Task


def learn(
    architecture: Architecture,
    task: Task,
    fold: int | None,
    plan: Plan,
    runs: Path,
    start: Path | None = None,
) -> nn.Module:
    """Train the network without that fold, or on everything; continues from runs/foldN.pt
    (final.pt) if it is of the same plan. `start`: initial weights, such as a pretraining's.

    Raises BadInputError if the architecture cannot answer the task.
    """
    if task.problem.kind not in architecture.kinds:
        problem = f"{architecture.name} answers per {' and '.join(architecture.kinds)}, the task asks for {task.problem.kind}"
        raise BadInputError(
            problem, "See which architecture serves which kind: ecgwatch models list"
        )
    torch.manual_seed(plan.seed)
    net = architecture.build(task.problem)
    if start is not None:
        net.load_state_dict(torch.load(start, weights_only=True))
    return train(net, task.batches(fold), plan, runs / f"{label(fold)}.pt")


def label(fold: int | None) -> str:
    """A network's name, by the fold that it never saw."""
    return "final" if fold is None else f"fold{fold}"


def predictor(net: nn.Module) -> Predict:
    """The network as a function of arrays."""

    def predict(windows: Floats) -> Floats:
        with torch.inference_mode():
            x = windows[:, None] if windows.ndim == 2 else windows
            return np.ascontiguousarray(net(torch.from_numpy(np.ascontiguousarray(x))).numpy())

    return predict


def run(
    architecture: Architecture,
    task: Task,
    name: str,
    fold: int | None,
    plan: Plan,
    runs: Path,
    start: Path | None = None,
) -> Figures:
    """Train, judge and export one network; returns its figures."""
    net = learn(architecture, task, fold, plan, runs, start)
    figures = {} if fold is None else task.evaluate(predictor(net), fold)
    about = {
        "architecture": architecture.name,
        "task": name,
        "fold": fold,
        "figures": {k: [round(v, 4)] for k, v in figures.items()},
    }
    spec = export(net, task.problem, runs / label(fold), about)
    told = [f"{k} {v:.4g}" for k, v in figures.items()]
    cost = [f"{spec['parameters']} parameters", f"{spec['macs_per_window'] / 1e6:.2f} MMAC"]
    print(f"{architecture.name} {name} {label(fold)}: {', '.join(told + cost)}", flush=True)
    return figures


def table(architecture: str, each: Sequence[Figures]) -> str:
    """Mean and spread of every figure over the folds that have it, in Markdown."""
    lines = [f"| {architecture} | mean | standard deviation | folds |", "|---|---|---|---|"]
    for name in dict.fromkeys(name for figures in each for name in figures):
        values = [figures[name] for figures in each if name in figures]
        lines.append(
            f"| {name} | {statistics.mean(values):.4g} | {statistics.pstdev(values):.2g} | {len(values)} |"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("architecture", help="a name of the registry")
    parser.add_argument("task", help="a windowed task")
    parser.add_argument(
        "--fold",
        type=int,
        action="append",
        help="train without this fold and judge on it; may be repeated",
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of checkpoints and artifacts"
    )
    parser.add_argument("--epochs", type=int, help="instead of the task's")
    parser.add_argument("--steps", type=int, help="batches per epoch, instead of the task's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--start", type=Path, help="weights to begin with (pretraining's)")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    architecture, task = (
        architectures.load(options.architecture),
        base.load(options.task)(options.data, options.runs / "cache"),
    )
    changes = {
        k: v for k, v in (("epochs", options.epochs), ("steps", options.steps)) if v is not None
    }
    plan = replace(zoo.adapted(task.plan, architecture), seed=options.seed, **changes)
    folder = options.runs / f"{options.architecture}-{options.task}"
    figures = [
        run(architecture, task, options.task, fold, plan, folder, options.start)
        for fold in options.fold or [None]
    ]
    if any(figures):
        print(table(f"{options.architecture}, {options.task}", figures))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
