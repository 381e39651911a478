"""Which peaks of the network's probability are beats, given the patient's rhythm. The ONE choice
for training's figures and for serving.

A sure peak (THRESHOLD) is a beat wherever it comes. In noise the network hesitates over most QRS
complexes; there a weak peak is a beat too if the patient's usual interval is known, a sure beat was
found a moment ago, and no beat stands nearer than SPACING of that interval, before it or in what
the window shows after it. Expectation alone makes no beat, and in a clean signal nothing changes.

Chosen on MITDB without 118 and 119, with NSTDB's noise, each record by the network of its fold.
Tried there and left out, for they gained next to nothing: a Gaussian weight around multiples of the
usual interval, the probability over +-144 ms in place of the peak's, dropping beats under SURE that
come too early in noise.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.beats.decoding import REFRACTORY, THRESHOLD, Peaks
from models.signal.conditioning import FS_HZ
from models.signal.stage import Field, Rows, Table

Doubles = npt.NDArray[np.float64]

WEAK = 0.1  # of the smoothed probability: below it nothing is a beat
SPACING, LEAST = 0.7, 45  # of the usual interval, but at least 360 ms: a T wave is nearer
NOISY = 0.025  # mean doubt of the last seconds
MEMORY = 0.1  # share of the newest second in that mean
# without a sure beat: now weak peaks are no beats either, lest they hide an asystole
SILENT = 5 * FS_HZ
KNOWN, SURE = 3, 0.8  # intervals, between two beats as sure as this, which make the usual one known
LONGEST, SHORTEST = 2 * FS_HZ, 35  # of such an interval
# a longer one, against the usual interval, may have missed a beat: left out where the signal is
# noisy
LEAP = 1.5

FIELDS = {
    "last": Field(np.float64, fresh=-np.inf),  # newest beat, samples since the start of the stream
    "sure": Field(np.float64, fresh=-np.inf),  # newest sure beat
    "firm": Field(np.float64),  # its confidence
    "intervals": Field(np.float64, (9,), fresh=np.nan),  # the newest ones, newest last
    "doubt": Field(np.float64),  # mean of the last seconds
}


def choose(
    state: Table, rows: Rows, doubt: Doubles, peaks: Peaks, at: Doubles
) -> npt.NDArray[np.intp]:
    """The peaks that are beats.

    Args:
        state: rows of FIELDS; changed.
        rows: (B,) row of each window; a row's windows are in order of time.
        doubt: (B,) of each window.
        peaks: found down to WEAK.
        at: (P,) where the peaks are, in samples since the start of the stream.

    Returns: indices into `peaks`, in its order.
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
    """Whether a weak peak may be a beat."""
    if state.doubt[row] < NOISY or at - state.sure[row] > SILENT:
        return False
    apart = max(LEAST, SPACING * usual(state, row))
    return at - state.last[row] >= apart and ahead >= apart


def usual(state: Table, row: int) -> float:
    """The row's usual interval in samples; infinite while it is not known."""
    known = sorted(x for x in state.intervals[row].tolist() if x == x)
    return known[len(known) // 2] if len(known) >= KNOWN else np.inf


def _learn(state: Table, row: int, at: float, confidence: float) -> None:
    """Take a sure beat into the row's memory."""
    interval = at - state.sure[row]
    firm, state.firm[row], state.sure[row] = state.firm[row], confidence, at
    if min(firm, confidence) < SURE or not SHORTEST <= interval <= LONGEST:
        return
    if state.doubt[row] < NOISY or interval < LEAP * usual(state, row):
        state.intervals[row, :-1] = state.intervals[row, 1:]
        state.intervals[row, -1] = interval
