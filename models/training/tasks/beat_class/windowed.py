"""T2, the beat class, for any architecture that answers per window: the five seconds around a
beat, on the folds of the deployed network.

A window ends half a second after the R peak that it asks about, so that the network sees that beat
always at one place, and before it the rhythm and the patient's other beats. Beats are MITDB's
reference beats, in training and in judging, moved to the largest deflection near the mark: unlike
the deployed network's (models/training/tasks/beat_class/beats.py) none is missed and none is false,
so that figures measure the class alone, not a monitor. No training uses VFDB, CinC 2017 or made-up
scenarios.
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

from models.architectures import Problem
from models.beats.decoding import r_peak
from models.signal.windows import InputSpec, cut, scale
from models.training.data.augment import (
    CHANCE,
    add_mains,
    add_wander,
    change_gain,
    log_uniform,
    white_noise,
)
from models.training.data.beat_windows import HISTORY, UnscaledRows
from models.training.data.records import Floats, Track, load_mitdb, load_noise
from models.training.harness import TrainingPlan
from models.training.tasks.base import Figures, Predict, task
from models.training.tasks.beat_class.beats import BIT, CLASSES, UNKNOWN, AnnotatedBeats, noisy
from models.training.tasks.beat_class.examples import weights
from models.training.tasks.beat_class.report import PACED, Count, ReportVerdict, count, total
from models.training.tasks.qrs.metrics import AT_ONCE, QrsScore
from models.training.tasks.qrs.train import FOLDS, folds

# window k asks about an R peak at sample k
AROUND_BEAT = InputSpec(before=562, hop=1, after=62, offset=0)
# zeros before and after each track, so that every window lies in the array
GAPS = (HISTORY, AROUND_BEAT.after + 1)


class BeatWindows:
    """Windows around beats, varied, and their classes; a class of a patient counts by the square
    root of its number of beats."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        beats = [reference(track) for track in tracks]
        counts, lengths = [len(b.at) for b in beats], np.array([len(t.signal) for t in tracks])
        self._signal = np.concatenate([np.pad(t.signal, GAPS) for t in tracks])
        self._height = np.repeat(np.array([t.height_mv for t in tracks], np.float32), counts)
        end = np.concatenate([ends(b) for b in beats])
        self._valid = np.minimum(end, np.repeat(lengths, counts)) - np.maximum(end - HISTORY, 0)
        begin = np.cumsum(lengths + sum(GAPS)) - lengths - GAPS[1]
        self._end = end + np.repeat(begin, counts)
        share = weights(beats)
        self._share = share / share.sum()
        self._class = classes(np.concatenate([b.allowed for b in beats]))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, 625), classes (B,)."""
        some = rng.choice(len(self._end), size, p=self._share)
        history = self._signal[self._end[some][:, None] + np.arange(-HISTORY, 0)]
        rows = UnscaledRows(
            history, np.zeros((size, 3, 0), np.uint8), self._valid[some], self._height[some]
        )
        return (torch.from_numpy(varied(rows, rng)[:, None]),), torch.from_numpy(self._class[some])

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(answer, target)


def varied(rows: UnscaledRows, rng: np.random.Generator) -> Floats:
    """Vary a signal without hiding the class of its beat, and scale it as serving does: (B, 625).
    Recorded noise is in the tracks."""
    kinds = ("gain", "inversion", "white", "mains", "wander")
    some = {what: np.flatnonzero(rng.random(len(rows.history)) < CHANCE[what]) for what in kinds}
    change_gain(rows, some["gain"], rng)
    rows.history[some["inversion"]] *= -1
    n = len(some["white"])
    rows.history[some["white"]] += (
        white_noise(n, rng)
        * (rows.height[some["white"]] * log_uniform(rng, 0.005, 0.1, n))[:, None]
    )
    add_mains(rows, some["mains"], rng)
    add_wander(rows, some["wander"], rng)
    return scale(rows.history, rows.valid, AROUND_BEAT)


@task("beat_class")
class BeatClass:
    """N S V F Q of MITDB's beats; V and S judged on its first channel after five minutes, without
    the paced records."""

    problem = Problem("classes", tuple(CLASSES), AROUND_BEAT)
    plan = TrainingPlan(epochs=6, steps=300, batch=128, peak_rate=4e-3, weight_decay=0.02)
    folds = FOLDS
    metric = "V and S, mean F1, %"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data = data

    @cached_property
    def _tracks(self) -> list[Track]:
        return load_mitdb(self._data)

    @cached_property
    def _fold_of(self) -> dict[str, int]:
        return folds(self._tracks)

    def batches(self, fold: int | None) -> BeatWindows:
        """See Task; every track as it is and once more with recorded noise."""
        rng, noises = np.random.default_rng(1), load_noise(self._data)
        own = [t for t in self._tracks if self._fold_of[t.patient] != fold]
        return BeatWindows([*own, *(noisy(t, noises, rng) for t in own)])

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task: the likeliest class, by the counting of
        models/training/tasks/beat_class/report.py."""
        judging = [
            t
            for t in self._tracks
            if self._fold_of[t.patient] == fold and t.channel == 0 and t.patient not in PACED
        ]
        return figures_of([verdict(track, predict) for track in judging])


def figures_of(verdicts: Sequence[ReportVerdict]) -> Figures:
    """V and S over all these tracks."""
    v, s = (score(total([count(x, letter) for x in verdicts])) for letter in "VS")
    return {
        BeatClass.metric: (v.f1 + s.f1) / 2,
        "V Se, %": v.sensitivity,
        "V +P, %": v.precision,
        "S Se, %": s.sensitivity,
        "S +P, %": s.precision,
    }


def reference(track: Track) -> AnnotatedBeats:
    """The reference beats of a track of MITDB, none of them missed; beats in flutter are
    unknown."""
    at = r_peak(track.signal[None], np.zeros(len(track.beats), np.intp), track.beats)
    allowed = np.array([BIT[c] for c in track.classes], np.uint8)
    for begin, end in track.flutter:
        allowed[(at >= begin) & (at <= end)] = UNKNOWN
    shape = np.zeros((len(at), 0), np.float32)  # a beat's shape is in its window
    return AnnotatedBeats(
        track.name, track.patient, -1, track.channel, at, shape, allowed, np.zeros(0), ""
    )


def ends(beats: AnnotatedBeats) -> npt.NDArray[np.int64]:
    """Ends of the windows that judge these beats."""
    return AROUND_BEAT.end(np.rint(beats.at).astype(np.int64))


def classes(allowed: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Index of each beat's class; 0 for unknown ones."""
    return np.asarray(((allowed[:, None] >> np.arange(len(CLASSES))) & 1).argmax(axis=1), np.int64)


def verdict(track: Track, predict: Predict) -> ReportVerdict:
    """A network's answers for the beats of a track: their probabilities, and the likeliest
    class."""
    beats = reference(track)
    parts = np.split(ends(beats), range(AT_ONCE, len(beats.at), AT_ONCE))
    logits = np.concatenate(
        [predict(cut(track.signal, some, AROUND_BEAT)) for some in parts]
    ).astype(np.float64)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return ReportVerdict(beats, odds / odds.sum(axis=1, keepdims=True), logits.argmax(axis=1))


def score(c: Count) -> QrsScore:
    """Found, missed and false beats as rates."""
    found, missed, false = c
    return QrsScore(tp=found, fp=false, fn=missed)
