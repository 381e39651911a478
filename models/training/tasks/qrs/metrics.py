"""Measure a network's QRS detection on whole records, through the serving windows and the serving
rule for beats.

Beats are compared as ANSI/AAMI EC57 does: one to one within 150 ms, ventricular flutter left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from models.beats.decoding import decode, uncertainty
from models.beats.searchback import FIELDS, WEAK, choose
from models.signal.conditioning import FS_HZ
from models.signal.stage import Table
from models.signal.windows import BEAT_SPEC, cut
from models.training.data.records import Floats, Track

Doubles = npt.NDArray[np.float64]
Predict = Callable[[Floats], Floats]  # (B, 1, T) windows to (B, K, T) logits, QRS first

TOLERANCE = 0.15 * FS_HZ
LEARNING = 5 * 60 * FS_HZ  # the first five minutes, which EC57 leaves out
AT_ONCE = 256  # windows


@dataclass
class QrsScore:
    """Counts that add up over records."""

    tp: int = 0
    fp: int = 0
    fn: int = 0
    missed: list[float] = field(default_factory=list)  # seconds
    extra: list[float] = field(default_factory=list)

    @property
    def sensitivity(self) -> float:
        return 100 * self.tp / max(1, self.tp + self.fn)

    @property
    def precision(self) -> float:
        return 100 * self.tp / max(1, self.tp + self.fp)

    @property
    def f1(self) -> float:
        return 200 * self.tp / max(1, 2 * self.tp + self.fp + self.fn)


def total(scores: Iterable[QrsScore]) -> QrsScore:
    """Sum of counts."""
    scores = list(scores)
    return QrsScore(sum(s.tp for s in scores), sum(s.fp for s in scores), sum(s.fn for s in scores))


def window_ends(length: int) -> npt.NDArray[np.int64]:
    """Ends of the windows that answer for every sample of a record."""
    count = (length - BEAT_SPEC.offset) // BEAT_SPEC.hop + 1
    return np.array([BEAT_SPEC.end(k) for k in range(count)], np.int64)


def run(track: Track, predict: Predict) -> Floats:
    """The logits of the windows of the stream, one window a second: (windows, K, T)."""
    ends = window_ends(len(track.signal))
    batches = np.split(ends, range(AT_ONCE, len(ends), AT_ONCE))
    return np.concatenate(
        [predict(cut(track.signal, some, BEAT_SPEC)[:, None]) for some in batches]
    )


def find(track: Track, logits: Floats) -> Doubles:
    """Decode a track's windows and choose their beats as serving does: (n,) samples at 125 Hz."""
    masks, ends = logits[:, 0], window_ends(len(track.signal))
    peaks = decode(masks, BEAT_SPEC, WEAK)
    position = peaks.position + ends[peaks.row] - BEAT_SPEC.length
    state = Table(**FIELDS)
    rows = np.full(len(ends), state.open(), np.intp)
    found = position[choose(state, rows, uncertainty(masks), peaks, position)]
    return found[(found >= 0) & (found < len(track.signal))]


def match(reference: Doubles, found: Doubles) -> npt.NDArray[np.intp]:
    """For each reference beat the index of its found beat, or -1: nearest pairs first come, one to
    one, within 150 ms."""
    partner = np.full(len(reference), -1, np.intp)
    j = 0
    for i, at in enumerate(reference):
        while j < len(found) and found[j] < at - TOLERANCE:
            j += 1
        if j < len(found) and found[j] <= at + TOLERANCE:
            closer = j + 1 < len(found) and abs(found[j + 1] - at) < abs(found[j] - at)
            next_wants_it = (
                i + 1 < len(reference)
                and closer
                and abs(reference[i + 1] - found[j + 1]) < abs(at - found[j + 1])
            )
            if closer and not next_wants_it:
                j += 1
            partner[i] = j
            j += 1
    return partner


def score_beats(track: Track, found: Doubles, sections: Doubles | None = None) -> QrsScore:
    """QRS counts over the given sections (k, 2) of samples, by default the whole track, without
    flutter."""
    sections = np.array([[0, len(track.signal)]]) if sections is None else sections
    partner = match(track.beats, found)
    ref_in = _counted(track, track.beats, sections)
    matched = np.zeros(len(found), bool)
    matched[partner[partner >= 0]] = True
    extra = ~matched & _counted(track, found, sections)
    hit = (partner >= 0) & ref_in
    miss = (partner < 0) & ref_in
    return QrsScore(
        int(hit.sum()),
        int(extra.sum()),
        int(miss.sum()),
        list(track.beats[miss] / FS_HZ),
        list(found[extra] / FS_HZ),
    )


def _counted(track: Track, at: Doubles, sections: Doubles) -> npt.NDArray[np.bool_]:
    """True for beats in the sections and outside flutter (and 150 ms around it)."""
    inside = ((at[:, None] >= sections[:, 0]) & (at[:, None] < sections[:, 1])).any(axis=1)
    flutter = (
        (at[:, None] >= track.flutter[:, 0] - TOLERANCE)
        & (at[:, None] <= track.flutter[:, 1] + TOLERANCE)
    ).any(axis=1)
    return np.asarray(inside & ~flutter)
