"""Conversion of a file's values to blocks of int16 counts: clipping, invalid samples, annotations.
The same rules hold for every file format.

Invalid samples (NaN) repeat the last valid value, so that no artificial step appears. Seconds of
the record in which more than half of the samples are invalid or outside int16 are lead-off. The
result depends only on the record's samples, not on how they are read.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block, Notice, ignore_notice
from ingest.sources.scale import INT16

PART_S = 60  # seconds of a file read at once
MAX_GAP_S = 24 * 3600.0  # a longer gap in a file's times is an error
LOOKS, LOOK_S = 30, 2  # number and seconds of the stretches that a file's scale is judged by

# shape (n,), counts with the ADC zero subtracted, NaN for invalid samples
Values = NDArray[np.float64]


def check_fs(fs_hz: float, name: str) -> float:
    """Return the sampling frequency if the pipeline can use it. Raises BadInputError otherwise."""
    if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
        remedy = f"Records of {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz can be used: resample it first."
        raise BadInputError(f"{name}: the sampling frequency is {fs_hz:g} Hz", remedy)
    return float(fs_hz)


def spans(n: int, start: int, fs_hz: float) -> Iterator[tuple[int, int]]:
    """Yield sample ranges (from, to) that cover start..n; each begins on the record's own grid of
    seconds, as `blocks_of` requires."""
    cell = _cell(fs_hz)
    edges = [*range(start // cell * cell, n, cell * PART_S), n]
    return pairwise(edges)


def looks(n: int, fs_hz: float) -> list[tuple[int, int]]:
    """Return sample ranges (from, to), spread over the n samples of a record, by which its scale is
    judged."""
    size = round(LOOK_S * fs_hz)
    if n <= LOOKS * size:
        return [(0, n)] if n else []
    step = (n - size) / (LOOKS - 1)
    return [(at, at + size) for at in (int(i * step) for i in range(LOOKS))]


def by_second(stretches: Sequence[Values], fs_hz: float) -> list[Values]:
    """Cut stretches into pieces of a second; shorter remainders are dropped if there are whole
    pieces."""
    cell = _cell(fs_hz)
    pieces = [s[at : at + cell] for s in stretches for at in range(0, len(s), cell)]
    return [p for p in pieces if len(p) == cell] or pieces


def blocks_of(
    parts: Iterator[Values],
    start: int,
    fs_hz: float,
    annotations: Sequence[Annotation] = (),
    *,
    name: str = "",
    notice: Notice = ignore_notice,
) -> Iterator[Block]:
    """Yield blocks from sample `start` on.

    Args:
        parts: consecutive values, from the whole second that holds `start`; they end on whole seconds.
        start: first sample to yield.
        fs_hz: sampling frequency.
        annotations: of the record, in order.
        name: of the record, for the notice.
        notice: receives the number of clipped samples, if any, once everything is read.
    """
    cell = _cell(fs_hz)
    at = start // cell * cell  # sample at which the part begins
    held = clipped = 0
    first: int | None = None  # first clipped sample
    for part in parts:
        invalid = np.isnan(part)
        beyond = (part < INT16.min) | (part > INT16.max)
        if beyond.any():
            clipped += int(beyond.sum())
            first = at + int(beyond.argmax()) if first is None else first
        flags = _lead_off(invalid | beyond, cell)
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
    if first is not None:
        notice(
            f"{name}: {clipped} samples were out of range and clipped, the first at {first / fs_hz:.1f} s"
        )


def _cell(fs_hz: float) -> int:
    return round(fs_hz)


def _lead_off(unusable: NDArray[np.bool_], cell: int) -> NDArray[np.bool_]:
    """Return for each second of a part whether more than half of its samples are unusable."""
    starts = np.arange(0, len(unusable), cell)
    if not len(starts):
        return np.zeros(0, dtype=bool)
    sizes = np.minimum(cell, len(unusable) - starts)
    return np.asarray(np.add.reduceat(unusable, starts, dtype=np.int64) * 2 > sizes)


def _to_int16(part: Values, invalid: NDArray[np.bool_], held: int) -> NDArray[np.int16]:
    values = part
    if invalid.any():
        source = np.maximum.accumulate(np.where(invalid, -1, np.arange(len(part))))
        values = np.where(source < 0, held, part[source])
    return np.clip(np.rint(values), INT16.min, INT16.max).astype(np.int16)


def _within(annotations: Sequence[Annotation], low: int, high: int) -> tuple[Annotation, ...]:
    return tuple(annotations[bisect_left(annotations, (low,)) : bisect_left(annotations, (high,))])
