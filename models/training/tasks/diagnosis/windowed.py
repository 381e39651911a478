"""Diagnostic superclasses (NORM MI STTC CD HYP) of PTB-XL's first 500 records: by twelve leads, for
teachers, and by lead I alone, for their students.

Folds are PTB-XL's, by patient. 500 records are few: read figures with their spread.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem
from models.signal.windows import PIECE_SPEC
from models.training.data import twelve_leads
from models.training.data.twelve_leads import SUPERCLASSES, Floats, Ints, TwelveLeads
from models.training.harness import TrainingPlan
from models.training.problems import TWELVE_LEADS
from models.training.tasks.base import Figures, Predict, task

AT_ONCE = 64


class RecordBatches:
    """Batches of whole records."""

    def __init__(self, records: TwelveLeads, members: Ints, rows: int) -> None:
        self._windows = records.windows[members, :rows]
        self._labels = records.labels[members]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, rows, 1250) of another size, labels (B, 5)."""
        chosen = rng.choice(len(self._labels), min(size, len(self._labels)), replace=False)
        gain = np.exp(rng.uniform(-0.3, 0.3, (len(chosen), 1, 1))).astype(np.float32)
        x = torch.from_numpy(self._windows[chosen] * gain)
        return (x,), torch.from_numpy(self._labels[chosen])

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each label by itself."""
        return functional.binary_cross_entropy_with_logits(answer, target)


class _Superclasses:
    """The common part of both tasks."""

    problem = TWELVE_LEADS
    plan = TrainingPlan(epochs=20, steps=20, batch=64, peak_rate=3e-3, weight_decay=0.01)
    folds = twelve_leads.FOLDS
    metric = "mean AUC of the superclasses"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data, self._cache = data, cache

    @cached_property
    def records(self) -> TwelveLeads:
        """All records of both sets."""
        return twelve_leads.load(self._data, self._cache / "twelve.npz")

    def members(self, fold: int | None, judging: bool) -> Ints:
        """Indices of the labelled records inside or outside a fold."""
        own = self.records.labelled
        return own[(self.records.folds[own] == fold) == judging]

    def batches(self, fold: int | None) -> RecordBatches:
        """See Task."""
        return RecordBatches(self.records, self.members(fold, False), self.problem.rows)

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task."""
        members = self.members(fold, True)
        x = self.records.windows[members, : self.problem.rows]
        logits = np.concatenate([predict(x[i : i + AT_ONCE]) for i in range(0, len(x), AT_ONCE)])
        truth = self.records.labels[members]
        each = {c: auc(truth[:, k], logits[:, k]) for k, c in enumerate(SUPERCLASSES)}
        return {self.metric: float(np.mean(list(each.values())))} | {
            f"AUC {c}": value for c, value in each.items()
        }


@task("diagnosis")
class Diagnosis(_Superclasses):
    """NORM MI STTC CD HYP by twelve leads: the task of the zoo's teachers."""


@task("diagnosis_lead_i")
class DiagnosisByLeadI(_Superclasses):
    """NORM MI STTC CD HYP by lead I alone: the task of their students."""

    problem = Problem("classes", SUPERCLASSES, PIECE_SPEC)


def auc(truth: Floats, predicted: Floats) -> float:
    """Area under the ROC curve by ranks, ties counting half; 0.5 if a class is missing."""
    positive = truth > 0.5
    if positive.all() or not positive.any():
        return 0.5
    _, inverse, counts = np.unique(predicted, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = int(positive.sum())
    return float((ranks[positive].sum() - n * (n + 1) / 2) / (n * (len(predicted) - n)))
