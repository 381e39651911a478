"""Ablation of T2, the beat class: the deployed recipe with parts of the features blanked, in
training and in use.

Everything else is as models/training/tasks/beat_class/train.py has it: beats, scenarios, plan,
three folds over patients.
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
from models.beats.intervals import RHYTHM
from models.beats.morphology import SHAPE
from models.beats.templates import FEATURES, LIKENESS, PAST, SCALARS, MatchedBeats
from models.training.harness import train
from models.training.tasks.beat_class.examples import BeatExamples, Known
from models.training.tasks.beat_class.report import PACED, ReportVerdict, class_figures
from models.training.tasks.beat_class.train import FOLDS, PLAN, judges, logits_of, verdict

SHAPES = 3 * SHAPE
INTERVALS = (
    *RHYTHM,
    "own_rr",
    "own_spread",
    "dominant_rr",
    *(name for name in PAST if name.startswith("rr_")),
)
OF_THIS_BEAT = ("width", "polarity")
USUAL = tuple(name for name in (*LIKENESS, *PAST) if name not in (*OF_THIS_BEAT, *INTERVALS))
Kept = npt.NDArray[np.float32]  # (FEATURES,) 1, or 0 for a blanked feature
Figures = dict[str, float]


class Sight(NamedTuple):
    """One row of the table: the features by which a beat is judged."""

    label: str
    name: str
    scalars: tuple[str, ...] = ()  # blanked
    usual_shapes: bool = True
    vote: bool = True  # vote of the beats of one morphology, afterwards (models/beats/votes.py)

    @property
    def kept(self) -> Kept:
        kept = np.ones(FEATURES, np.float32)
        kept[[SHAPES + SCALARS.index(name) for name in self.scalars]] = 0
        if not self.usual_shapes:
            kept[SHAPE:SHAPES] = 0
        return kept

    def of(self, seen: MatchedBeats) -> MatchedBeats:
        """The beats with these features only. A beat that matches no template takes part in no
        vote."""
        return MatchedBeats(
            seen.features * self.kept,
            seen.slot,
            seen.like if self.vote else np.zeros_like(seen.like),
        )


SIGHTS = (
    Sight("full", "all features"),
    Sight("unvoted", "without the vote of a form's beats", vote=False),
    Sight("intervals", "without intervals", INTERVALS),
    Sight("usual", "without the patient's usual beats", USUAL, usual_shapes=False),
    Sight(
        "alone", "this beat's shape alone", tuple(set(INTERVALS) | set(USUAL)), usual_shapes=False
    ),
)


class Blanked:
    """Training beats (models/training/harness.py) with only some features."""

    def __init__(self, examples: BeatExamples, kept: Kept) -> None:
        self._examples, self._kept = examples, torch.from_numpy(kept)
        self.loss = examples.loss

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """See BeatExamples."""
        (x,), target = self._examples.batch(rng, size)
        return (x * self._kept,), target


def judge(held: Sequence[Known], seed: int, runs: Path) -> dict[str, Figures]:
    """Figures of V and S, %, for every selection of features, by label; each patient is judged by
    the network of a fold that left it out; without paced records."""
    verdicts: dict[str, list[ReportVerdict]] = {sight.label: [] for sight in SIGHTS}
    for fold in range(FOLDS):
        examples = BeatExamples([k for k in held if k.track.fold != fold], seed)
        judged = [k for k in judges(held, fold) if k.track.patient not in PACED]
        for sight in SIGHTS:
            torch.manual_seed(seed)
            net, prior = BeatHead(), examples.surplus()
            train(
                net,
                Blanked(examples, sight.kept),
                replace(PLAN, seed=seed),
                runs / f"beats-{sight.label}-fold{fold}-{seed}.pt",
            )
            blanked = [Known(k.track, sight.of(k.seen)) for k in judged]
            logits = logits_of(net, prior, blanked)
            verdicts[sight.label] += [
                verdict(k.track, z, 1.0, prior) for k, z in zip(blanked, logits, strict=True)
            ]
    return {label: class_figures(found) for label, found in verdicts.items()}
