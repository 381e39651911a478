"""Distillation: a student learns from a teacher's soft answers beside the reference's (Hinton et
al. 2015, arXiv 1503.02531).

    python -m models.training.experiments.distil plain_cnn rhythm --teacher recurrent --fold 0

Teachers are networks that models.training.windowed trained on the same task and without the
same fold; several are one teacher by the mean of their logits. The student goes to
RUNS/plain_cnn-rhythm-distilled/foldN, and the table shows the figures of the same network without
teachers, if RUNS has them. The distilled network is kept only if that table shows a gain.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import BadInputError, EcgwatchError
from models import architectures
from models.architectures import Architecture, Kind
from models.training.data.records import data_folder
from models.training.harness import Batches, TrainingPlan, train
from models.training.recipe import label
from models.training.release.windowed_export import export
from models.training.tasks import base
from models.training.tasks.base import Figures, Task
from models.training.windowed import predictor

TEMPERATURE = 2.0
WEIGHT = 0.5  # of the teacher's answers in the loss
# (network, its answer, the batch's target) to logits
Read = Callable[[nn.Module, Any, Tensor], Tensor]


class Distilled:
    """A task's batches (models/training/harness.py) with the teachers' logits for every row."""

    def __init__(
        self,
        data: Batches,
        teachers: Sequence[nn.Module],
        kind: Kind,
        read: Read = lambda net, answer, target: answer,
    ) -> None:
        """`read` turns a network's answer into logits, if that takes more than running it (a
        decoder inside the loss)."""
        self._data, self._kind, self._read = data, kind, read
        self._teachers = [teacher.eval().requires_grad_(False) for teacher in teachers]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Any]:
        """The task's inputs; its target and the teachers' mean logits."""
        inputs, target = self._data.batch(rng, size)
        with torch.no_grad():
            each = [self._read(teacher, teacher(*inputs), target) for teacher in self._teachers]
        return inputs, (target, torch.stack(each).mean(dim=0))

    def loss(self, net: nn.Module, answer: Any, target: Any) -> Tensor:
        """The task's loss, and the distance of the softened answer from the teachers'; weighted so
        that both have gradients of the same size."""
        hard, soft = target
        far = divergence(self._read(net, answer, hard), soft, self._kind)
        return (1 - WEIGHT) * self._data.loss(net, answer, hard) + WEIGHT * TEMPERATURE**2 * far


def divergence(student: Tensor, teacher: Tensor, kind: Kind) -> Tensor:
    """Mean Kullback-Leibler divergence from the teacher's softened probabilities, over rows, or
    over samples of every mask."""
    student, teacher = student / TEMPERATURE, teacher / TEMPERATURE
    if kind == "classes":
        return functional.kl_div(
            student.log_softmax(dim=1),
            teacher.log_softmax(dim=1),
            reduction="batchmean",
            log_target=True,
        )
    wanted = teacher.sigmoid()
    entropy = functional.binary_cross_entropy_with_logits(teacher, wanted)
    return functional.binary_cross_entropy_with_logits(student, wanted) - entropy


def teachers(
    names: Sequence[str], task: Task, task_name: str, fold: int, runs: Path
) -> list[nn.Module]:
    """Trained networks of these architectures. Raises BadInputError if one was not trained."""
    found = []
    for name in names:
        path = runs / f"{name}-{task_name}" / f"{label(fold)}.pt"
        if not path.exists():
            raise BadInputError(
                f"no teacher: {path} is missing",
                f"Train it: ecgwatch train {task_name} --architecture {name} --fold {fold}",
            )
        net = architectures.load(name).build(task.problem)
        net.load_state_dict(torch.load(path, weights_only=True)["net"])
        found.append(net)
    return found


def learn(
    student: Architecture,
    task: Task,
    fold: int,
    teachers: Sequence[nn.Module],
    plan: TrainingPlan,
    runs: Path,
) -> nn.Module:
    """Train the student without that fold; continues from runs/foldN.pt."""
    torch.manual_seed(plan.seed)
    net = student.build(task.problem)
    return train(
        net,
        Distilled(task.batches(fold), teachers, task.problem.kind),
        plan,
        runs / f"{label(fold)}.pt",
    )


def table(
    student: str, distilled: Figures, alone: Figures, taught_by: Sequence[tuple[str, Figures]]
) -> str:
    """Figures with and without teachers, and the teachers' own, in Markdown."""
    columns = [(f"{student}, distilled", distilled), (f"{student}, alone", alone), *taught_by]
    lines = [
        f"| held-out fold | {' | '.join(name for name, _ in columns)} |",
        "|---" * (1 + len(columns)) + "|",
    ]
    for name in distilled:
        lines.append(
            f"| {name} | {' | '.join(f'{figures[name]:.4g}' if name in figures else '-' for _, figures in columns)} |"
        )
    return "\n".join(lines)


def _without(folder: Path, fold: int) -> Figures:
    """The figures of models.training.windowed for a network without teachers; empty if it was
    not run."""
    path = folder / label(fold) / "spec.json"
    return (
        {name: values[0] for name, values in json.loads(path.read_text())["figures"].items()}
        if path.exists()
        else {}
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("student", help="an architecture of the registry")
    parser.add_argument("task", help="a windowed task")
    parser.add_argument(
        "--teacher",
        action="append",
        required=True,
        help="an architecture trained by models.training.windowed; may be repeated",
    )
    parser.add_argument(
        "--fold", type=int, required=True, help="train without this fold and judge on it"
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of checkpoints and artifacts"
    )
    parser.add_argument("--epochs", type=int, help="instead of the task's")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    task = base.load(options.task)(options.data, options.runs / "cache")
    taught_by = teachers(options.teacher, task, options.task, options.fold, options.runs)
    student, folder = (
        architectures.load(options.student),
        options.runs / f"{options.student}-{options.task}",
    )
    distilled_folder = folder.with_name(f"{folder.name}-distilled")
    plan = replace(task.plan, seed=options.seed, epochs=options.epochs or task.plan.epochs)
    net = learn(student, task, options.fold, taught_by, plan, distilled_folder)
    figures = task.evaluate(predictor(net), options.fold)
    about = {
        "architecture": student.name,
        "task": options.task,
        "fold": options.fold,
        "taught_by": options.teacher,
    }
    export(
        net,
        task.problem,
        distilled_folder / label(options.fold),
        about | {"figures": {k: [round(v, 4)] for k, v in figures.items()}},
    )
    judged = [
        (name, task.evaluate(predictor(t), options.fold))
        for name, t in zip(options.teacher, taught_by, strict=True)
    ]
    print(table(options.student, figures, _without(folder, options.fold), judged))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
