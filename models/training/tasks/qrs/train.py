"""T1, QRS segmentation: train the trunk dense, prune it, and train the pruned network further.

Loss: binary cross-entropy per sample, for samples that the reference covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.ecgcl import DENSE, WIDTHS, Segmenter, Widths
from models.signal.windows import BEAT_SPEC
from models.training.data.augment import augment
from models.training.data.beat_windows import Corpus
from models.training.data.records import FIBRILLATION, QRS, UNKNOWN, YES, Noise, Track
from models.training.harness import TrainingPlan, train
from models.training.release.prune import prune, scales

FOLDS = 3
DENSE_PLAN = TrainingPlan(epochs=3, steps=300, batch=128, peak_rate=5e-3, warm_up=0.3)
PRUNED_PLAN = TrainingPlan(epochs=8, steps=400, batch=128, peak_rate=4e-3, warm_up=0.15)
SPARSITY = 1e-4  # penalty on BatchNorm scales while dense
POSITIVE_WEIGHT = 2.0  # of a QRS sample
# the part that decoding reads; the rest of the window weighs less
CORE = slice(BEAT_SPEC.before - 30, BEAT_SPEC.before + BEAT_SPEC.hop + 30)
REST_WEIGHT = 0.25


class QrsBatches:
    """Windows with the disturbances of wearable signals, and QRS codes."""

    def __init__(
        self, tracks: Sequence[Track], noises: Sequence[Noise], sparsity: float = 0.0
    ) -> None:
        self._corpus, self._noises, self._sparsity = Corpus(tracks), noises, sparsity
        self._place = torch.full((BEAT_SPEC.length,), REST_WEIGHT)
        self._place[CORE] = 1.0

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, 320), codes (B, 320)."""
        rows = self._corpus.draw(rng, size)
        x = torch.from_numpy(augment(rows, self._noises, rng)[:, None])
        return (x,), torch.from_numpy(
            np.ascontiguousarray(rows.targets[:, QRS, -BEAT_SPEC.length :])
        )

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Weighted mean cross-entropy over known samples, and the penalty that prepares pruning."""
        known = (target != UNKNOWN) * self._place
        wanted = target.clamp(max=YES).float() / YES
        each = functional.binary_cross_entropy_with_logits(answer[:, 0], wanted, reduction="none")
        weight = known * (1 + (POSITIVE_WEIGHT - 1) * wanted)
        value = (each * weight).sum() / known.sum().clamp(min=1)
        return value + self._sparsity * scales(net).abs().sum() if self._sparsity else value


def folds(tracks: Sequence[Track]) -> dict[str, int]:
    """Fold of each patient: MITDB in turn by number, VFDB in turn by how much of it is
    fibrillation. LUDB is in no fold: it only trains."""
    mitdb = sorted({t.patient for t in tracks if t.patient.startswith("mitdb")})
    share = {
        t.patient: float((t.targets[FIBRILLATION] == YES).mean())
        for t in tracks
        if t.patient.startswith("vfdb")
    }
    vfdb = sorted(share, key=lambda p: (-share[p], p))
    return {patient: i % FOLDS for group in (mitdb, vfdb) for i, patient in enumerate(group)}


def learn(
    name: str, tracks: Sequence[Track], noises: Sequence[Noise], runs: Path, seed: int = 1
) -> Segmenter:
    """Dense, pruned, trained on: the first task of the network called `name`, on these tracks."""
    dense = learn_dense(name, tracks, noises, runs, seed)
    small = prune(dense, WIDTHS)
    plan = replace(PRUNED_PLAN, seed=seed)
    train(small, QrsBatches(tracks, noises), plan, runs / f"{name}.pt")
    return small


def learn_dense(
    name: str, tracks: Sequence[Track], noises: Sequence[Noise], runs: Path, seed: int = 1
) -> Segmenter:
    """The network before it is pruned."""
    torch.manual_seed(seed)
    dense, plan = Segmenter(DENSE), replace(DENSE_PLAN, seed=seed)
    train(dense, QrsBatches(tracks, noises, SPARSITY), plan, runs / f"{name}-dense.pt")
    return dense


def trained(checkpoint: Path, widths: Widths = WIDTHS) -> Segmenter:
    """The network of a checkpoint that `learn` left, in evaluation mode."""
    net = Segmenter(widths)
    net.load_state_dict(torch.load(checkpoint, weights_only=True)["net"])
    return net.eval()
