"""Train students with and without the loss of a distillation scheme and measure its effect.

    python -m models.training.distil mvkt --fold 0 --seeds 1 2 3 4 5

The teacher is trained once per fold; each seed makes two students that differ in the scheme's loss
alone. Goes on from where it was stopped. RUNS/distil-mvkt/fold0.json holds every figure.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from ingest.errors import EcgwatchError
from models.training.data.records import data_folder
from models.training.distillation.base import Scheme, WithTeacher
from models.training.harness import Plan, train
from models.training.tasks.base import Task
from models.training.train_windowed import predictor

SCHEMES = ("mvms", "mvkt", "tucker")
ARMS = {"with": True, "without": False}
Table = dict[str, list[float]]  # a figure per seed, by arm


def compare(
    scheme: Scheme, tasks: tuple[Task, Task], fold: int, seeds: Sequence[int], runs: Path
) -> Table:
    """Figures of students taught with and without the scheme's loss, by the task's metric."""
    teacher_task, task = tasks
    torch.manual_seed(scheme.plan.seed)
    teacher = train(
        scheme.teacher(), teacher_task.batches(fold), scheme.plan, runs / f"teacher-fold{fold}.pt"
    )
    told: Table = {"teacher": [teacher_task.evaluate(predictor(teacher), fold)[task.metric]]}
    for arm, taught in ARMS.items():
        told[arm] = []
        for seed in seeds:
            plan = replace(scheme.plan, seed=seed)
            student = learn(scheme, teacher, teacher_task, taught, fold, plan, runs, arm)
            told[arm].append(task.evaluate(predictor(student), fold)[task.metric])
    (runs / f"fold{fold}.json").write_text(json.dumps({"metric": task.metric} | told) + "\n")
    return told


def learn(
    scheme: Scheme,
    teacher: nn.Module,
    task: Task,
    taught: bool,
    fold: int,
    plan: Plan,
    runs: Path,
    arm: str,
) -> nn.Module:
    """One student."""
    torch.manual_seed(plan.seed)
    pair = scheme.pair(scheme.student(), teacher)
    own = task.batches(fold)
    judged = WithTeacher(own, scheme.loss(own, taught))
    train(pair, judged, plan, runs / f"fold{fold}-{arm}-seed{plan.seed}.pt")
    return pair.student.eval()


def lines(told: Table, metric: str) -> list[str]:
    """Mean and standard deviation of each arm, and of the difference between students of a seed."""
    found = [f"{metric}"]
    for arm, values in told.items():
        spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
        found.append(f"{arm}: {statistics.mean(values):.4g}{spread} ({len(values)})")
    each = [a - b for a, b in zip(told["with"], told["without"], strict=True)]
    spread = f" ± {statistics.stdev(each):.3g}" if len(each) > 1 else ""
    return [*found, f"with less without, seed by seed: {statistics.mean(each):+.4g}{spread}"]


def main(arguments: Sequence[str] | None = None) -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("scheme", choices=SCHEMES)
    parser.add_argument("--fold", type=int, default=0, help="judged, never seen")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    parser.add_argument("--data", type=Path, default=data_folder(), help="unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of results")
    parser.add_argument("--epochs", type=int, help="instead of the scheme's")
    parser.add_argument("--steps", type=int, help="batches per epoch, instead of the scheme's")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    scheme: Scheme = importlib.import_module(
        f"models.training.distillation.{options.scheme}"
    ).SCHEME
    changes = {k: getattr(options, k) for k in ("epochs", "steps") if getattr(options, k)}
    scheme = replace(scheme, plan=replace(scheme.plan, **changes))
    folders = options.data, options.runs / "cache"
    task = scheme.task(*folders)
    teacher_task = task if scheme.teacher_task is scheme.task else scheme.teacher_task(*folders)
    runs = options.runs / f"distil-{options.scheme}"
    told = compare(scheme, (teacher_task, task), options.fold, options.seeds, runs)
    print("\n".join(lines(told, task.metric)), flush=True)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
