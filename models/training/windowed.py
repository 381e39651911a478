"""Training of any architecture of the registry on any windowed task (models/training/tasks)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ingest.errors import BadInputError
from models.architectures import Architecture
from models.training.harness import TrainingPlan, train
from models.training.recipe import label
from models.training.release.windowed_export import export
from models.training.tasks.base import Figures, Floats, Predict, Task


def learn(
    architecture: Architecture,
    task: Task,
    fold: int | None,
    plan: TrainingPlan,
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


def predictor(net: nn.Module) -> Predict:
    """The network as a function of arrays."""

    def predict(windows: Floats) -> Floats:
        with torch.inference_mode():
            x = windows[:, None] if windows.ndim == 2 else windows
            return np.ascontiguousarray(net(torch.from_numpy(np.ascontiguousarray(x))).numpy())

    return predict


@dataclass(frozen=True)
class Windowed:
    """A Training (models/training/recipe.py). An artifact per fold goes to RUNS/foldN."""

    architecture: Architecture
    task_name: str
    task: Task
    plan: TrainingPlan
    runs: Path
    start: Path | None = None  # weights to begin with

    @property
    def name(self) -> str:
        """Name made of the network and the task."""
        return f"{self.architecture.name} {self.task_name}"

    def learn(self, fold: int | None) -> nn.Module:
        """See Training."""
        return learn(self.architecture, self.task, fold, self.plan, self.runs, self.start)

    def judge(self, learned: nn.Module, fold: int | None) -> Figures:
        """See Training."""
        return {} if fold is None else self.task.evaluate(predictor(learned), fold)

    def export(self, learned: nn.Module, fold: int | None, figures: Figures) -> str:
        """See Training."""
        folder = self.runs / label(fold)
        about = {
            "architecture": self.architecture.name,
            "task": self.task_name,
            "fold": fold,
            "figures": {k: [round(v, 4)] for k, v in figures.items()},
        }
        spec = export(learned, self.task.problem, folder, about)
        cost = f"{spec['parameters']} parameters, {spec['macs_per_window'] / 1e6:.2f} MMAC"
        return f"{cost}: {folder}"
