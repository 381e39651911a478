"""CLOCS: embeddings of one patient are pulled together, those of different patients pushed apart.

Kiyasseh, Zhu and Clifton, ICML 2021, PMLR 139:5606, arXiv 2005.13249 (written from the paper).
Views of a record are segments that follow each other (CMSC), leads of one moment (CMLC), or both
(CMSMLC). Positives are all views of the same patient, not augmentations of one segment; nothing is
augmented. Difference here: every pair of views counts, while the public code trains only on the
last one.
"""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.clocs import Clocs
from models.training.data import twelve_leads, unlabelled
from models.training.harness import TrainingPlan
from models.training.pretraining.base import objective

TEMPERATURE = 0.1
EACH = 2  # windows of a patient in a batch


def pair_loss(a: Tensor, b: Tensor, patients: Tensor) -> Tensor:
    """Embeddings of two views (B, E) of the same moments or records, and their patients (B,).

    The mean of up to four terms: each row's own counterpart among all of the other view, each
    column's, and the same for other pairs of the same patient, above and below the diagonal.
    """
    similar = functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T / TEMPERATURE
    by_row, by_column = similar.log_softmax(dim=1), similar.log_softmax(dim=0)
    same = patients[:, None] == patients[None]
    terms = [-by_row.diagonal().mean(), -by_column.diagonal().mean()]
    for part, which in ((by_row, same.triu(1)), (by_column, same.tril(-1))):
        weight = which.to(a.dtype)
        if bool(which.any()):
            terms.append(-(part * weight).sum() / weight.sum())
    return torch.stack(terms).mean()


def loss(views: Tensor, patients: Tensor) -> Tensor:
    """Embeddings (B, V, E) of V views: the mean over all pairs of views."""
    pairs = combinations(range(views.shape[1]), 2)
    return torch.stack([pair_loss(views[:, i], views[:, j], patients) for i, j in pairs]).mean()


class ClocsLearner(nn.Module):
    """Segments (B, V, L) to embeddings (B, V, E), all by one encoder."""

    def __init__(self, system: Clocs) -> None:
        super().__init__()
        self.encoder = system.encoder

    def forward(self, x: Tensor) -> Tensor:
        each = self.encoder(x.reshape(-1, 1, x.shape[2]))
        return each.reshape(len(x), x.shape[1], -1)


class _Loss:
    """The loss of all batches of CLOCS."""

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Over patients (B,)."""
        return loss(answer, target)


class Consecutive(_Loss):
    """Batches of CMSC: two segments of 5 s that follow each other, of one lead."""

    def __init__(self, source: unlabelled.Unlabelled) -> None:
        self._source = source

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Segments (B, 2, 625) and patients (B,)."""
        windows, patients = self._source.draw(rng, size // EACH, EACH)
        segments = windows.reshape(len(windows), 2, -1)
        return (torch.from_numpy(segments),), torch.from_numpy(patients)


class Leads(_Loss):
    """Batches of CMLC or CMSMLC: leads of one moment, or of two that follow each other."""

    def __init__(self, records: twelve_leads.TwelveLeads, both: bool) -> None:
        self._records, self._both = records, both

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Segments (B, V, 625) and patients (B,); V is 12 leads, or 4 leads at 2 moments."""
        chosen = rng.choice(len(self._records.patients), size, replace=False)
        x = self._records.windows[chosen]
        half = x.shape[2] // 2
        if self._both:
            leads = rng.choice(x.shape[1], 4, replace=False)
            x = np.concatenate([x[:, leads, :half], x[:, leads, half : 2 * half]], axis=1)
        else:
            first = int(rng.integers(0, x.shape[2] - half + 1))
            x = x[:, :, first : first + half]
        patients = torch.from_numpy(self._records.patients[chosen])
        return (torch.from_numpy(np.ascontiguousarray(x)),), patients


@objective("clocs", variants=("cmsc", "cmlc", "cmsmlc"))
class ClocsObjective:
    """Segments, leads or both of one patient pulled together."""

    architecture = "clocs"
    plan = TrainingPlan(epochs=15, steps=100, batch=256, peak_rate=2e-3, weight_decay=0.01)

    def __init__(self, data: Path, cache: Path, fold: int, variant: str) -> None:
        self._folders, self._fold, self._variant = (data, cache), fold, variant

    def learner(self, system: nn.Module) -> nn.Module:
        """See Objective."""
        return ClocsLearner(cast(Clocs, system))

    def batches(self) -> Consecutive | Leads:
        """See Objective."""
        data, cache = self._folders
        if self._variant == "cmsc":
            return Consecutive(unlabelled.load(data, cache, self._fold))
        return Leads(twelve_leads.load(data, cache / "twelve.npz"), self._variant == "cmsmlc")
