"""Samples with times onto the grid of the sampling frequency: holes stay as long as they were, whatever single times are worth."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil

import numpy as np
from scipy.ndimage import median_filter

from ingest.errors import BadInputError
from ingest.sources.blocks import MAX_GAP_S, Values
from ingest.sources.csv.times import BESIDE, SampleTiming, Times, earliest

BACK_S = 1.0  # how far times may be out of order
TOLERANCE = 0.75  # samples by which a time may differ from its place on the grid
_HOLE_AT_ONCE = 100_000  # samples


def on_grid(
    rows: Iterator[tuple[Times, Values]], timing: SampleTiming, name: str
) -> Iterator[Values]:
    """The values at 1 / fs from the first one on, NaN in holes. `rows` are (times in seconds, values), in the file's order.

    A sample lies where the one before it says, until its time differs by more than what times are off (`timing.jitter`): then its time
    says. One or two wrong times among right ones count for nothing. Times that come late (packets, radio) are corrected by the earliest
    of the second after them. Raises BadInputError if the time goes back, or on by more than MAX_GAP_S.
    """
    fs_hz, late_by = timing
    exact = late_by < 1
    ahead = BESIDE if exact else ceil(max(fs_hz, 2 * late_by))
    tolerance = max(TOLERANCE, late_by) if exact else TOLERANCE + late_by / 2
    times, values, behind = np.zeros(0), np.zeros(0), np.zeros(0)
    count = slot = 0  # samples given out; the next place on the grid
    origin: float | None = None
    before: float | None = None

    def place(n: int) -> Iterator[Values]:
        """Give out the first n of those held."""
        nonlocal slot, origin, behind
        late = times * fs_hz - np.arange(count, count + len(times))
        if exact:
            around = median_filter(np.concatenate([behind, late]), 2 * BESIDE + 1, mode="nearest")
            behind, late = late[max(n - BESIDE, 0) : n], around[len(behind) :][:n]
        else:
            late = earliest(late, ahead)[:n]
        if origin is None:
            origin = float(late[0])
        places = late - origin + np.arange(count, count + n)
        at = 0
        while at < n:
            off = places[at:n] - np.arange(slot, slot + n - at)
            wrong = np.flatnonzero(np.abs(off) > tolerance)
            good = int(wrong[0]) if len(wrong) else n - at
            if good:
                yield values[at : at + good]
                at, slot = at + good, slot + good
            if at < n:
                jump = round(float(places[at])) - slot
                if jump > 0:
                    for begin in range(0, jump, _HOLE_AT_ONCE):
                        yield np.full(min(_HOLE_AT_ONCE, jump - begin), np.nan)
                    slot += jump
                else:  # more samples than time: these have no place
                    at += -jump

    for more_times, more_values in rows:
        _check_order(more_times, before, name)
        known = np.isfinite(more_times)
        before = float(more_times[known][-1]) if known.any() else before
        times = np.concatenate([times, more_times[known]])
        values = np.concatenate([values, more_values[known]])
        ready = len(times) - ahead
        if ready > 0:
            yield from place(ready)
            count += ready
            times, values = times[ready:], values[ready:]
    if len(times):
        yield from place(len(times))


def _check_order(times: Times, before: float | None, name: str) -> None:
    known = times[np.isfinite(times)]
    steps = np.diff(known, prepend=known[:1] if before is None else before)
    for i in np.flatnonzero((steps < -BACK_S) | (steps > MAX_GAP_S)).tolist():
        problem = f"{name}: the time steps by {float(steps[i]):g} s at {float(known[i]):g} s"
        raise BadInputError(
            problem,
            "Sort the lines by time; write what lies more than a day apart into files of its own.",
        )
