"""T2, the beat class, for architectures whose rows are beats: of eleven consecutive beats the
middle one is judged.

As models/training/tasks/beat_class/windowed.py, on MITDB's reference beats; but each beat is a
separate row, its samples followed by its two RR ratios, and the class of each of the eleven is
learned. The five beats after the judged one would delay a stream by about four seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_ROW_SPEC, cut
from models.training.data.records import Floats, Track, load_mitdb
from models.training.harness import TrainingPlan
from models.training.problems import BEATS, BEATS_IN_A_ROW
from models.training.tasks.base import Figures, Predict, task
from models.training.tasks.beat_class.report import PACED, ReportVerdict, count, total
from models.training.tasks.beat_class.windowed import classes, reference, score
from models.training.tasks.qrs.train import FOLDS, folds

UNKNOWN = -100  # the code of a class that is not learned from
AT_ONCE = 256  # sequences per call
MIDDLE = BEATS_IN_A_ROW // 2


def rr_ratios(at: npt.NDArray[np.float64]) -> Floats:
    """The interval before and after each beat, over the mean of the eleven around it, less one, at
    most 1 apart: (m, 2); 0 at the ends."""
    rr = np.diff(at) / FS_HZ
    before, after = np.append(np.nan, rr), np.append(rr, np.nan)
    near = np.arange(len(at))[:, None] + np.arange(-MIDDLE, MIDDLE + 1)
    inside = (near >= 0) & (near < len(rr))
    kept = np.where(inside, rr[np.clip(near, 0, len(rr) - 1)], 0)
    mean = kept.sum(axis=1) / np.maximum(inside.sum(axis=1), 1)
    ratios = np.stack([before, after], axis=1) / mean[:, None] - 1
    return np.clip(np.nan_to_num(ratios), -1, 1).astype(np.float32)


class BeatRows:
    """The beats of a track as rows (m, 98), and their classes (m,)."""

    def __init__(self, track: Track) -> None:
        self.beats = reference(track)
        ends = BEAT_ROW_SPEC.end(np.rint(self.beats.at).astype(np.int64))
        self.rows = np.concatenate(
            [cut(track.signal, ends, BEAT_ROW_SPEC), rr_ratios(self.beats.at)], axis=1
        )
        known = (self.beats.allowed & (self.beats.allowed - 1)) == 0  # one bit: one class
        self.classes = np.where(known, classes(self.beats.allowed), UNKNOWN)

    def around(self, beats: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Indices of the eleven beats around each beat: (n, 11); the first and last repeat."""
        near = beats[:, None] + np.arange(-MIDDLE, MIDDLE + 1)
        return np.clip(near, 0, len(self.rows) - 1)


class Sequences:
    """Batches of eleven beats in a row; classes are drawn by the square root of their number of
    beats."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        self._each = [BeatRows(track) for track in tracks]
        found = np.concatenate([rows.classes for rows in self._each])
        self._which = np.concatenate([np.full(len(r.rows), i) for i, r in enumerate(self._each)])
        self._beat = np.concatenate([np.arange(len(r.rows)) for r in self._each])
        counts = np.bincount(found[found >= 0], minlength=len(BEATS.outputs))
        odds = np.where(found >= 0, 1 / np.sqrt(np.maximum(counts, 1))[np.maximum(found, 0)], 0)
        self._odds = odds / odds.sum()

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Rows (B, 11, 98), varied in size and sign, and classes (B, 11), -100 if unknown."""
        chosen = rng.choice(len(self._odds), size, p=self._odds)
        x = np.zeros((size, *BEATS.shape), np.float32)
        y = np.full((size, BEATS.rows), UNKNOWN)
        for row, k in enumerate(chosen):
            rows = self._each[self._which[k]]
            near = rows.around(self._beat[k : k + 1])[0]
            x[row], y[row] = rows.rows[near], rows.classes[near]
        gain = np.exp(rng.uniform(-0.5, 0.5, (size, 1, 1))) * rng.choice(
            [1, 1, 1, -1], (size, 1, 1)
        )
        x[:, :, : -BEATS.extra] *= gain.astype(np.float32)
        return (torch.from_numpy(x),), torch.from_numpy(y)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy over the beats whose class is known."""
        return functional.cross_entropy(answer, target, ignore_index=UNKNOWN)


@task("beat_sequences")
class BeatSequences:
    """N S V F Q of MITDB's beats by their neighbours; V and S judged, without the paced records."""

    problem = BEATS
    plan = TrainingPlan(epochs=10, steps=150, batch=64, peak_rate=2e-3, weight_decay=0.02)
    folds = FOLDS
    metric = "V and S, mean F1, %"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data = data

    @cached_property
    def _tracks(self) -> list[Track]:
        return load_mitdb(self._data)

    def batches(self, fold: int | None) -> Sequences:
        """See Task."""
        fold_of = folds(self._tracks)
        return Sequences([t for t in self._tracks if fold_of[t.patient] != fold])

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task: the likeliest class of the beat in the middle, counted as the deployed task's."""
        fold_of = folds(self._tracks)
        judging = [
            t
            for t in self._tracks
            if fold_of[t.patient] == fold and t.channel == 0 and t.patient not in PACED
        ]
        verdicts = [verdict(track, predict) for track in judging]
        v, s = (score(total([count(x, letter) for x in verdicts])) for letter in "VS")
        return {
            self.metric: (v.f1 + s.f1) / 2,
            "V Se, %": v.sensitivity,
            "V +P, %": v.precision,
            "S Se, %": s.sensitivity,
            "S +P, %": s.precision,
        }


def verdict(track: Track, predict: Predict) -> ReportVerdict:
    """A network's answers for the beats of a track."""
    rows = BeatRows(track)
    near = rows.around(np.arange(len(rows.rows)))
    parts = np.split(near, range(AT_ONCE, len(near), AT_ONCE))
    logits = np.concatenate([predict(rows.rows[some])[:, :, MIDDLE] for some in parts])
    odds = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return ReportVerdict(rows.beats, odds / odds.sum(axis=1, keepdims=True), logits.argmax(axis=1))
