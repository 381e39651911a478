"""Beats of the last seconds, for tasks that look at beats too: time and morphology of each. The ONE
form for training and serving.

A decoder gets two arrays, oldest beat first; places before the oldest beat hold ABSENT and zeros:

    ago (n, BEATS)            seconds from the R peak to the newest signal looked at
    shapes (n, BEATS, SHAPE)  mV around the R peak (models/beats/morphology.py)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.beats.morphology import SHAPE
from models.signal.conditioning import FS_HZ
from models.signal.stage import Field, Rows, Table

BEATS = 72  # beats remembered: 30 s at 144/min
ABSENT = -1.0
MOST_MV = 1000.0  # far beyond any heart; a device with a wrong gain would exceed float16

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

FIELDS = {
    "beats": Field(np.int64),  # since open or restart; the n-th is at n modulo BEATS
    # R peaks, samples at 125 Hz since the start of the stream
    "beat_at": Field(np.float64, (BEATS,)),
    "beat_shape": Field(np.float16, (BEATS, SHAPE)),  # mV
}


def remember(state: Table, rows: Sequence[int], at: Sequence[float], shapes: Floats) -> None:
    """Remember the next beats; those of one row are in order of time.

    Args:
        state: rows of FIELDS; changed.
        rows: (B,) row of each beat; a row may occur several times.
        at: (B,) R peaks, samples at 125 Hz since the start of the stream.
        shapes: (B, SHAPE) mV.
    """
    places = []
    for row in rows:
        places.append(int(state.beats[row]) % BEATS)
        state.beats[row] += 1
    state.beat_at[rows, places] = at
    state.beat_shape[rows, places] = np.clip(shapes, -MOST_MV, MOST_MV)


def recall(
    state: Table, rows: Rows, since: npt.NDArray[np.int64], until: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.float16]]:
    """Return a decoder's arrays (ago, shapes) for these rows: beats from sample `since` (n,) on,
    with ages counted back from sample `until` (n,), the newest that was looked at."""
    ages = np.arange(BEATS - 1, -1, -1)
    place = (state.beats[rows, None] - 1 - ages) % BEATS
    at, shapes = state.beat_at[rows[:, None], place], state.beat_shape[rows[:, None], place]
    there = (ages < state.beats[rows, None]) & (at >= since[:, None])
    return _arrays(at, shapes, there, until)


def packed(
    found: Sequence[tuple[Doubles, npt.NDArray[np.float16]]], until: Sequence[float]
) -> tuple[Floats, npt.NDArray[np.float16]]:
    """Make a decoder's arrays (ago, shapes) from given beats: per row R peaks (n,), in samples, and
    shapes (n, SHAPE). `until`: newest sample looked at, per row."""
    at, there = np.zeros((len(found), BEATS)), np.zeros((len(found), BEATS), np.bool_)
    shapes = np.zeros((len(found), BEATS, SHAPE), np.float16)
    for row, (peaks, forms) in enumerate(found):
        if n := min(len(peaks), BEATS):
            at[row, -n:], shapes[row, -n:], there[row, -n:] = peaks[-n:], forms[-n:], True
    return _arrays(at, shapes, there, np.array(until))


def _arrays(
    at: Doubles,
    shapes: npt.NDArray[np.float16],
    there: npt.NDArray[np.bool_],
    until: npt.NDArray[np.float64] | npt.NDArray[np.int64],
) -> tuple[Floats, npt.NDArray[np.float16]]:
    ago = np.where(there, (until[:, None] - at) / FS_HZ, ABSENT).astype(np.float32)
    return ago, np.where(there[:, :, None], shapes, np.float16(0))
