"""Searchback: decides which peaks of the QRS probability are beats, given the patient's rhythm. The
ONE choice for training's figures and for serving.

A sure peak (at least THRESHOLD) is always a beat. In noise the network hesitates over most QRS
complexes; a weak peak is then a beat too if the patient's usual interval is known, a sure beat was
found a moment ago, and no beat is nearer than SPACING of that interval, before the peak or in the
part of the window after it. The interval alone makes no beat, and in a clean signal nothing changes.

Chosen on MITDB without 118 and 119, with NSTDB's noise, each record by the network of its fold.
Tried there and left out, because they gained next to nothing: a Gaussian weight around multiples of
the usual interval, the probability over +-144 ms in place of the peak's, dropping beats under SURE
that are premature in noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.beats.decoding import REFRACTORY, THRESHOLD, Peaks
from models.signal.conditioning import FS_HZ
from models.signal.stage import Field, Rows, Table

Doubles = npt.NDArray[np.float64]

WEAK = 0.1  # least smoothed probability of a beat
SPACING, LEAST = (
    0.7,
    45,
)  # least distance: share of the usual interval, and 360 ms, because a T wave is nearer
NOISY = 0.025  # mean doubt of the last seconds from which the signal counts as noisy
MEMORY = 0.1  # share of the newest second in that mean
# Without a sure beat for this long, weak peaks are no beats, lest they hide an asystole.
SILENT = 5 * FS_HZ
KNOWN, SURE = (
    3,
    0.8,
)  # the usual interval is known from so many intervals between beats of this confidence
LONGEST, SHORTEST = 2 * FS_HZ, 35  # allowed length of such an interval, samples
# An interval longer than this many usual ones may span a missed beat: not learned from in noise.
LEAP = 1.5

FIELDS = {
    "last": Field(np.float64, fresh=-np.inf),  # newest beat, samples since the start of the stream
    "sure": Field(np.float64, fresh=-np.inf),  # newest sure beat
    "firm": Field(np.float64),  # confidence of the newest sure beat
    "intervals": Field(np.float64, (9,), fresh=np.nan),  # the newest ones, newest last
    "doubt": Field(np.float64),  # mean of the last seconds
}


def choose(
    state: Table, rows: Rows, doubt: Doubles, peaks: Peaks, at: Doubles
) -> npt.NDArray[np.intp]:
    """Choose the peaks that are beats.

    Args:
        state: rows of FIELDS; changed.
        rows: (B,) row of each window; a row's windows are in order of time.
        doubt: (B,) doubt of each window, see models.beats.decoding.uncertainty.
        peaks: found down to WEAK.
        at: (P,) sample of each peak since the start of the stream.

    Returns indices into `peaks`, in its order.
    """
    kept: list[int] = []
    bounds = np.searchsorted(peaks.row, np.arange(len(rows) + 1)).tolist()
    where, sureness, ahead = at.tolist(), peaks.confidence.tolist(), peaks.ahead.tolist()
    for window, (row, undecided) in enumerate(zip(rows.tolist(), doubt.tolist(), strict=True)):
        state.doubt[row] += MEMORY * (undecided - state.doubt[row])
        for i in range(bounds[window], bounds[window + 1]):
            if where[i] - state.last[row] < REFRACTORY:
                continue
            if sureness[i] >= THRESHOLD:
                _learn(state, row, where[i], sureness[i])
            elif not _fits(state, row, where[i], ahead[i]):
                continue
            state.last[row] = where[i]
            kept.append(i)
    return np.array(kept, np.intp)


def _fits(state: Table, row: int, at: float, ahead: float) -> bool:
    """Return whether a weak peak may be a beat."""
    if state.doubt[row] < NOISY or at - state.sure[row] > SILENT:
        return False
    apart = max(LEAST, SPACING * usual(state, row))
    return at - state.last[row] >= apart and ahead >= apart


def usual(state: Table, row: int) -> float:
    """Return the row's usual interval in samples; infinite while it is unknown."""
    known = sorted(x for x in state.intervals[row].tolist() if x == x)
    return known[len(known) // 2] if len(known) >= KNOWN else np.inf


def _learn(state: Table, row: int, at: float, confidence: float) -> None:
    """Record a sure beat, and learn the interval before it."""
    interval = at - state.sure[row]
    firm, state.firm[row], state.sure[row] = state.firm[row], confidence, at
    if min(firm, confidence) < SURE or not SHORTEST <= interval <= LONGEST:
        return
    if state.doubt[row] < NOISY or interval < LEAP * usual(state, row):
        state.intervals[row, :-1] = state.intervals[row, 1:]
        state.intervals[row, -1] = interval
