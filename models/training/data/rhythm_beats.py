"""Training data of the rhythm task's beats: those that the first task finds in the records, and
patients with a pacemaker made of them.

CinC 2017 does not annotate pacemakers, and a paced fibrillation looks like neither of its classes.
So pauses of some records are filled as a ventricular pacemaker fills them: in fibrillation that is
still fibrillation, in a normal rhythm another one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.beats.last_beats import packed
from models.beats.morphology import AFTER, BEFORE, STRIDE
from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC
from models.training.data.cinc2017 import CLASSES, Recordings
from models.training.sequence import SMOOTHING, Context
from models.training.tasks.beat_class.beats import beats_without_reference, found_in
from models.training.tasks.qrs.metrics import AT_ONCE, Predict

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
# beats: R peaks (n,) in samples, shapes (n, SHAPE) in mV
Some = tuple[Doubles, npt.NDArray[np.float16]]

NORMAL, FIBRILLATION, OTHER = (CLASSES.index(c) for c in "NAO")
WHOLE = 0.4  # share of pieces that are as long as the context may be
# the others have at most this many seconds, so that the network also learns to answer from few
# beats
YOUNG_S = 13
# shares of the records of their classes that get a pacemaker
PACED_FIBRILLATION, PACED_OTHER = 0.25, 0.04
ESCAPE_S = (0.55, 1.3)  # shortest and longest escape interval of a pacemaker
PLACE = np.arange(-BEFORE, AFTER, STRIDE) / FS_HZ  # s, of a shape's values


@dataclass(frozen=True)
class FoundBeats:
    """The beats of all records, as one array."""

    at: Doubles  # R peaks, samples since the record's start
    shapes: npt.NDArray[np.float16]
    bounds: Ints  # (R + 1,)
    lengths: Ints  # (R,) samples of the records

    def piece(self, record: int, begin: int, end: int) -> Some:
        """The beats that a stream knows of samples `begin` to `end`: if more signal follows, the
        newest half second still waits for its window."""
        part = slice(self.bounds[record], self.bounds[record + 1])
        at = self.at[part]
        inside = (at >= begin) & (
            at < (end if end == self.lengths[record] else end - BEAT_SPEC.after)
        )
        return at[inside], self.shapes[part][inside]


def find_beats(recordings: Recordings, detector: Predict, made_by: str, cache: Path) -> FoundBeats:
    """The beats that `detector` finds; kept in `cache` for the next time, as long as `made_by` and
    the records stay the same."""
    made_by = f"{made_by} {hashlib.sha256(recordings.samples.tobytes()).hexdigest()}"
    lengths = np.diff(recordings.bounds)
    if cache.exists():
        with np.load(cache) as stored:
            if str(stored["made_by"]) == made_by:
                return FoundBeats(stored["at"], stored["shapes"], stored["bounds"], lengths)
    found = [
        found_in(beats_without_reference(str(name), recordings.signal(record)), detector)
        for record, name in enumerate(recordings.names)
    ]
    at, shapes = (
        np.concatenate([a for a, _ in found]),
        np.concatenate([s for _, s in found]).astype(np.float16),
    )
    bounds = np.cumsum([0] + [len(a) for a, _ in found])
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, made_by=np.array(made_by), at=at, shapes=shapes, bounds=bounds)
    return FoundBeats(at, shapes, bounds, lengths)


class BeatBatches:
    """Training data of models/training/harness.py: pieces of records as their beats, varied."""

    def __init__(
        self,
        found: FoundBeats,
        labels: Ints,
        members: Ints,
        context: Context,
        weights: Sequence[float],
    ) -> None:
        self._found, self._labels, self._members, self._context = found, labels, members, context
        self._weights = torch.tensor(tuple(weights))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs of BeatDecoder.forward, and the classes (B,)."""
        pieces, ends, labels = [], [], np.zeros(size, np.int64)
        for row, record in enumerate(
            rng.choice(self._members, size, replace=size > len(self._members))
        ):
            begin, end = self._stretch(int(record), rng)
            some, labels[row] = _maybe_paced(
                self._found.piece(int(record), begin, end), int(self._labels[record]), rng
            )
            pieces.append(some)
            ends.append(end)
        ago, shapes = packed(pieces, ends)
        return tuple(
            torch.from_numpy(x) for x in vary(ago, shapes.astype(np.float32), rng)
        ), torch.from_numpy(labels)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy."""
        return functional.cross_entropy(answer, target, self._weights, label_smoothing=SMOOTHING)

    def _stretch(self, record: int, rng: np.random.Generator) -> tuple[int, int]:
        length = int(self._found.lengths[record])
        most = min(length, self._context.seconds * FS_HZ)
        least, young = (min(seconds * FS_HZ, most) for seconds in (self._context.least, YOUNG_S))
        n = most if rng.random() < WHOLE else int(rng.integers(least, young + 1))
        begin = int(rng.integers(length - n + 1))
        return begin, begin + n


def vary(ago: Floats, shapes: Floats, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Vary gain, polarity and rate; add noise to shapes and positions."""
    rows, there = len(ago), ago >= 0
    gain = np.exp(rng.uniform(-1, 1, (rows, 1, 1))) * np.where(
        rng.random((rows, 1, 1)) < 0.4, -1.0, 1.0
    )
    size = np.sqrt(np.mean(np.square(shapes), axis=(1, 2), keepdims=True))
    noise = (
        np.exp(rng.uniform(np.log(0.01), np.log(0.2), (rows, 1, 1)))
        * size
        * rng.standard_normal(shapes.shape)
    )
    pace = np.where(rng.random((rows, 1)) < 0.5, rng.uniform(0.9, 1.1, (rows, 1)), 1.0)
    moved = np.maximum(ago * pace + rng.normal(0, 0.003, ago.shape), 0)
    varied = (gain * (shapes + noise) * there[:, :, None]).astype(np.float32)
    return np.where(there, moved, ago).astype(np.float32), varied


def _maybe_paced(some: Some, label: int, rng: np.random.Generator) -> tuple[Some, int]:
    if label == FIBRILLATION and rng.random() < PACED_FIBRILLATION:
        return paced(some, rng, (0.1, 0.8)), label
    if label in (NORMAL, OTHER) and rng.random() < PACED_OTHER:
        return paced(some, rng, (0.02, 0.7)), OTHER
    return some, label


def paced(some: Some, rng: np.random.Generator, escape: tuple[float, float]) -> Some:
    """Beats with those of a ventricular pacemaker on demand (VVI): whenever no beat has come for
    the escape interval, one is paced.

    Args:
        some: at least a few beats; fewer come back as they are.
        escape: between which quantiles of the record's intervals the escape interval lies.
    """
    at, shapes = some
    if len(at) < 6:
        return some
    wait = float(
        np.clip(
            np.quantile(np.diff(at), rng.uniform(*escape)), ESCAPE_S[0] * FS_HZ, ESCAPE_S[1] * FS_HZ
        )
    )
    usual = np.median(shapes.astype(np.float32), axis=0)
    form = paced_shape(rng) * np.median(np.ptp(shapes, axis=1)) * np.exp(rng.uniform(-0.3, 0.8))
    when, what = [float(at[0])], [shapes[0].astype(np.float64)]
    for place, shape in zip(at[1:].tolist(), shapes[1:].astype(np.float64), strict=True):
        own = shape - usual  # noise, and a P or f wave anywhere
        while place - when[-1] > wait + rng.normal(0, 1.5):
            p = when[-1] + wait + rng.normal(0, 0.4)
            when.append(p)
            if place - p > 0.25 * FS_HZ * rng.uniform(0.3, 1.3):
                what.append(form * np.exp(rng.normal(0, 0.03)) + 0.5 * own)
                continue
            # else the own beat finds the ventricle refractory
            fused = rng.random() if place - p < 0.05 * FS_HZ else 1.0
            what.append(fused * form + (1 - fused) * shape + 0.5 * own)
            break
        else:
            when.append(place)
            what.append(shape)
    return np.array(when), np.array(what).astype(np.float16)


def paced_shape(rng: np.random.Generator) -> Doubles:
    """A wide QRS of height 1, often notched, and a T wave against it: (SHAPE,)."""
    wave = _bump(0.0, rng.uniform(0.022, 0.05))
    if rng.random() < 0.5:
        wave = wave + rng.uniform(-0.7, 0.8) * _bump(
            rng.uniform(-0.08, 0.09), rng.uniform(0.02, 0.045)
        )
    wave = wave / np.ptp(wave) - rng.uniform(0.1, 0.5) * _bump(
        rng.uniform(0.22, 0.34), rng.uniform(0.04, 0.08)
    )
    return np.asarray(rng.choice([-1.0, 1.0]) * wave)


def _bump(centre_s: float, sd_s: float) -> Doubles:
    return np.asarray(np.exp(-0.5 * np.square((PLACE - centre_s) / sd_s)))


def beat_logits(net: nn.Module, pieces: Sequence[Some], ends: Sequence[float]) -> Floats:
    """Logits (n, classes) of beats and of the ends of the stretches that they are from."""
    found = []
    with torch.inference_mode():
        for i in range(0, len(pieces), AT_ONCE):
            ago, shapes = packed(pieces[i : i + AT_ONCE], ends[i : i + AT_ONCE])
            found.append(
                net(torch.from_numpy(ago), torch.from_numpy(shapes.astype(np.float32))).numpy()
            )
    return np.concatenate(found)
