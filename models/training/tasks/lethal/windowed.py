"""T4, lethal rhythms, for any architecture that answers per window: four seconds in one piece, on
the folds of the deployed network's task.

Examples, loss and figures are those of models/training/tasks/lethal/train.py, in one training
instead of two: usual segments and regular waves together. The network's input differs: windows are
scaled and the amplitude of the signal is lost, so that an asystole's noise floor looks like any
other noise. No temperature and no threshold is chosen: VF is detected if its mean over four seconds
exceeds a half.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.architectures import Problem
from models.signal.windows import BEAT_SPEC, InputSpec, cut, scale
from models.training.data import cinc2017
from models.training.data.lethal_data import (
    CLASSES,
    SPAN,
    VF,
    WINDOWS,
    LethalStrip,
    Sets,
    strips,
    wearable,
)
from models.training.data.lethal_disturb import disturb
from models.training.data.lethal_examples import LATE, REGULAR, SHARES, LethalExamples
from models.training.data.records import Floats, Noise, load_mitdb, load_noise, load_vfdb
from models.training.harness import TrainingPlan
from models.training.tasks.base import Figures, Predict, task
from models.training.tasks.lethal.metrics import (
    NEGATIVES,
    Seconds,
    episodes,
    false_episodes,
    fibrillation,
    seconds,
    tachycardia,
    windows_rate,
)
from models.training.tasks.lethal.report import THRESHOLD
from models.training.tasks.lethal.train import REGULAR_SHARE, set_loss
from models.training.tasks.qrs.metrics import AT_ONCE, window_ends
from models.training.tasks.qrs.train import FOLDS, folds

# Four seconds that end where the window of the first task ends: an answer a second, of the same
# second.
LETHAL_SPEC = InputSpec(
    before=310, hop=BEAT_SPEC.hop, after=BEAT_SPEC.after, offset=BEAT_SPEC.offset
)
KINDS = {
    kind: (1 - REGULAR_SHARE) * SHARES.get(kind, 0) + REGULAR_SHARE * REGULAR.get(kind, 0)
    for kind in {**SHARES, **REGULAR}
}
# the part of a segment for which its window answers
SECOND = slice(SPAN - BEAT_SPEC.after - BEAT_SPEC.hop, SPAN - BEAT_SPEC.after)


class LethalWindows:
    """One window per segment, and the set of rhythms that its newest second may be."""

    def __init__(self, examples: LethalExamples, noises: Sequence[Noise]) -> None:
        self._examples, self._noises = examples, noises

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, 500), sets (B,); 0 where nothing is known."""
        x, sets = np.zeros((size, SPAN), np.float32), np.zeros((size, SPAN), np.uint8)
        for i, kind in enumerate(rng.choice(list(KINDS), size, p=list(KINDS.values()))):
            x[i], sets[i] = self._segment(str(kind), rng)
        history = x[:, SPAN - LETHAL_SPEC.history :]
        windows = scale(history, LETHAL_SPEC.history - (history != 0).argmax(axis=1), LETHAL_SPEC)
        known = (sets[:, SECOND] != 0).all(axis=1)
        target = np.where(known, np.bitwise_or.reduce(sets[:, SECOND], axis=1), 0).astype(np.int64)
        return (torch.from_numpy(windows[:, None]),), torch.from_numpy(target)

    def _segment(self, kind: str, rng: np.random.Generator) -> tuple[Floats, Sets]:
        """A disturbed segment; some have no signal but the last one to three seconds."""
        x, sets = self._examples.segment(kind, rng)
        x = disturb(x, sets, self._noises, rng)
        if rng.random() < LATE:
            x[: SECOND.stop - BEAT_SPEC.hop * int(rng.integers(1, WINDOWS))] = 0
        return x, sets

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Minus the logarithm of the probability of all rhythms that the reference allows."""
        return set_loss(answer, target)


class LethalRecords(NamedTuple):
    """MITDB and VFDB, and the fold of each patient."""

    strips: list[LethalStrip]
    fold_of: dict[str, int]


@task("lethal")
class WindowedLethal:
    """None, VT, VF or flutter, asystole of MITDB, VFDB and (none of them) CinC 2017; judged on the
    first channel of MITDB and VFDB."""

    problem = Problem("classes", CLASSES, LETHAL_SPEC)
    plan = TrainingPlan(epochs=6, steps=300, batch=64, peak_rate=4e-3, weight_decay=0.02)
    folds = FOLDS
    metric = "VF or VFL, mean of Se and Sp, %"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data, self._cache = data, cache

    @cached_property
    def _records(self) -> LethalRecords:
        tracks = load_mitdb(self._data) + load_vfdb(self._data)
        return LethalRecords(strips(tracks, self._data), folds(tracks))

    def batches(self, fold: int | None) -> LethalWindows:
        """See Task; CinC 2017 is in no fold."""
        known, noises = self._records, load_noise(self._data)
        wearables = wearable(cinc2017.load(self._data / "cinc2017", self._cache / "cinc2017.npz"))
        return LethalWindows(
            LethalExamples(
                [s for s in known.strips if known.fold_of[s.patient] != fold], wearables, noises
            ),
            noises,
        )

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task: windows of four seconds with one label, and episodes, as the deployed network's
        are counted."""
        held_out = [s for s in self._records.strips if self._records.fold_of[s.patient] == fold]
        return figures([seconds(s, answers(s.signal[0], predict), fold) for s in held_out])


def answers(signal: npt.NDArray[np.floating], predict: Predict) -> Floats:
    """A whole record through the windows of the stream: (windows, 4) logits."""
    ends, whole = window_ends(len(signal)), np.asarray(signal, np.float32)
    return np.concatenate(
        [
            predict(cut(whole, some, LETHAL_SPEC))
            for some in np.split(ends, range(AT_ONCE, len(ends), AT_ONCE))
        ]
    )


def figures(records: Sequence[Seconds]) -> Figures:
    """VF or flutter over 4-s windows, against all others and without doubtful labels; VT episodes
    found and false."""
    se = windows_rate(records, {VF}, fibrillation, THRESHOLD, NEGATIVES["all"], True).percent
    sp = windows_rate(records, {VF}, fibrillation, THRESHOLD, NEGATIVES["all"], False).percent
    certain = windows_rate(
        records, {VF}, fibrillation, THRESHOLD, NEGATIVES["all but doubtful labels"], False
    ).percent
    runs, hours = false_episodes(records, tachycardia, THRESHOLD)
    return {
        WindowedLethal.metric: (se + sp) / 2,
        "VF or VFL Se, %": se,
        "VF or VFL Sp, %": sp,
        "VF or VFL Sp without doubtful labels, %": certain,
        "VT episodes found, %": episodes(records, tachycardia, THRESHOLD).percent,
        "VT episodes false, per hour": runs / max(hours, 1e-9),
    }
