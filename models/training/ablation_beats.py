"""What mattered for T2, the beat's class: the deployed recipe with parts of what a beat is judged by blanked, in training and in use.

Everything else is as models/training/train_beat_class.py has it: beats, scenarios, plan, three folds over patients.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.architectures.beat_head import BeatHead
from models.beat_context import FEATURES, LIKENESS, PAST, RHYTHM, SCALARS, SHAPE
from models.training.beat_class_report import PACED, count, total
from models.training.harness import train
from models.training.train_beat_class import FOLDS, PLAN, Examples, Known, logits_of, verdict

SHAPES = 3 * SHAPE
INTERVALS = (*RHYTHM, "own_rr", "own_spread", "dominant_rr", *(name for name in PAST if name.startswith("rr_")))
OF_THIS_BEAT = ("width", "polarity")
USUAL = tuple(name for name in (*LIKENESS, *PAST) if name not in (*OF_THIS_BEAT, *INTERVALS))
Kept = npt.NDArray[np.float32]  # (FEATURES,) 1, or 0 where a feature is blanked
Figures = dict[str, float]


class Sight(NamedTuple):
    """One row: what a beat is judged by."""

    label: str
    name: str
    scalars: tuple[str, ...] = ()  # blanked
    usual_shapes: bool = True

    @property
    def kept(self) -> Kept:
        kept = np.ones(FEATURES, np.float32)
        kept[[SHAPES + SCALARS.index(name) for name in self.scalars]] = 0
        if not self.usual_shapes:
            kept[SHAPE:SHAPES] = 0
        return kept


SIGHTS = (
    Sight("full", "all features"),
    Sight("intervals", "without intervals", INTERVALS),
    Sight("usual", "without the patient's usual beats", USUAL, usual_shapes=False),
    Sight("alone", "this beat's shape alone", tuple(set(INTERVALS) | set(USUAL)), usual_shapes=False),
)


class Blanked(Examples):
    """Training beats of which only some features are told."""

    def __init__(self, held: Sequence[Known], seed: int, kept: Kept) -> None:
        super().__init__(held, seed)
        self._kept = torch.from_numpy(kept)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """See Examples."""
        (x,), target = super().batch(rng, size)
        return (x * self._kept,), target


def judge(sight: Sight, held: Sequence[Known], seed: int, runs: Path) -> Figures:
    """V and S over the three folds, %, each patient judged by a network that left it out; paced records are left out."""
    verdicts = []
    for fold in range(FOLDS):
        torch.manual_seed(seed)
        net, examples = BeatHead(), Blanked([k for k in held if k.track.fold != fold], seed, sight.kept)
        train(net, examples, replace(PLAN, seed=seed), runs / f"beats-{sight.label}-fold{fold}-{seed}.pt")
        prior = examples.surplus()
        left = [k for k in held if k.track.fold == fold and k.track.clean and k.track.name.startswith("mitdb")]
        blanked = [Known(k.track, k.features * sight.kept) for k in left if k.track.patient not in PACED]
        verdicts += [verdict(k.track, z, 1.0, prior) for k, z in zip(blanked, logits_of(net, prior, blanked), strict=True)]
    figures = {}
    for letter in "VS":
        found, missed, false = total([count(v, letter) for v in verdicts])
        figures[f"{letter} Se"] = 100 * found / max(1, found + missed)
        figures[f"{letter} +P"] = 100 * found / max(1, found + false)
    return figures
