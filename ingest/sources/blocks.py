"""From a file's values to blocks of int16 counts: scaling, invalid samples, annotations; the same
rules for every file format.

Invalid samples (NaN here) hold the last valid value, so that no step appears that the body did not
make. Seconds of the record in which more than half of the samples are invalid are lead-off. Both
depend only on the record's own samples, not on how it is read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block

PART_S = 60  # how much of a file is read at once
# what int16 counts must be able to hold; a surface ECG with its electrode drift stays within
RANGE_MV = 16.0
INT16 = np.iinfo(np.int16)

# shape (n,), counts with the ADC zero subtracted, NaN where the file has no valid sample
Values = NDArray[np.float64]

_TO_MV = {"v": 1e3, "mv": 1.0, "uv": 1e-3, "µv": 1e-3, "μv": 1e-3, "microv": 1e-3, "nv": 1e-6}
_TAKEN_AS_MV = {"", "nu", "n/u", "a.u.", "au", "adu", "ecg", "ekg"}


def mv_per_unit(unit: str, *, name: str, channel: str) -> float:
    """Millivolts in one `unit`; files that name no unit mean mV (as WFDB's headers do). Raises
    BadInputError for what is no voltage."""
    key = unit.strip().lower()
    if key in _TAKEN_AS_MV or "ecg" in key:
        return 1.0
    if key not in _TO_MV:
        raise BadInputError(
            f"{name}: channel {channel!r} is in {unit!r}, which is no voltage",
            "Choose an ECG channel with --channel NAME.",
        )
    return _TO_MV[key]


def check_fs(fs_hz: float, name: str) -> float:
    """The sampling frequency, if the pipeline can use it. Raises BadInputError otherwise."""
    if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
        remedy = f"Records of {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz can be used: resample it first."
        raise BadInputError(f"{name}: the sampling frequency is {fs_hz:g} Hz", remedy)
    return float(fs_hz)


def fit_int16(counts_per_mv: float, lowest: float, highest: float) -> float:
    """The power of two by which zero-based counts are multiplied so that int16 holds them: 1
    wherever they fit as they are.

    `lowest` and `highest` are the file format's limits less the ADC zero. Where those do not fit
    but +-16 mV do, nothing is scaled either, and what lies beyond int16 is clipped.
    """
    reach = min(max(-lowest, highest), RANGE_MV * counts_per_mv)
    factor = 1.0
    while reach * factor > INT16.max + 1:
        factor /= 2
    return factor


def spans(n: int, start: int, fs_hz: float) -> Iterator[tuple[int, int]]:
    """(from, to) sample ranges that cover start..n; each begins on the record's own grid of
    seconds, as `blocks_of` needs it."""
    cell = _cell(fs_hz)
    edges = [*range(start // cell * cell, n, cell * PART_S), n]
    return pairwise(edges)


def blocks_of(
    parts: Iterator[Values], start: int, fs_hz: float, annotations: Sequence[Annotation] = ()
) -> Iterator[Block]:
    """Blocks from sample `start` on. `parts` are consecutive, begin at the whole second that holds
    `start`, and end on whole seconds."""
    cell = _cell(fs_hz)
    at = start // cell * cell  # of the part's first sample
    held = 0
    for part in parts:
        invalid = np.isnan(part)
        flags = _lead_off(invalid, cell)
        counts = _to_int16(part, invalid, held)
        held = int(counts[-1]) if len(counts) else held
        changes = [0, *(cell * (np.flatnonzero(np.diff(flags)) + 1)).tolist(), len(part)]
        for a, b in pairwise(changes):
            low = max(a, start - at)
            if low < b:
                yield Block(
                    counts[low:b], bool(flags[a // cell]), _within(annotations, at + low, at + b)
                )
        at += len(part)


def _cell(fs_hz: float) -> int:
    return round(fs_hz)


def _lead_off(invalid: NDArray[np.bool_], cell: int) -> NDArray[np.bool_]:
    """Per second of the part: are more than half of its samples invalid?"""
    starts = np.arange(0, len(invalid), cell)
    if not len(starts):
        return np.zeros(0, dtype=bool)
    sizes = np.minimum(cell, len(invalid) - starts)
    return np.asarray(np.add.reduceat(invalid, starts, dtype=np.int64) * 2 > sizes)


def _to_int16(part: Values, invalid: NDArray[np.bool_], held: int) -> NDArray[np.int16]:
    values = part
    if invalid.any():
        source = np.maximum.accumulate(np.where(invalid, -1, np.arange(len(part))))
        values = np.where(source < 0, held, part[source])
    return np.clip(np.rint(values), INT16.min, INT16.max).astype(np.int16)


def _within(annotations: Sequence[Annotation], low: int, high: int) -> tuple[Annotation, ...]:
    return tuple(annotations[bisect_left(annotations, (low,)) : bisect_left(annotations, (high,))])
