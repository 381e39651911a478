"""Reads the timing from a column of times: which column it is, the sampling frequency, and by how
much single times are off."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter, minimum_filter1d

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.sources.csv.fields import Kind

Times = NDArray[np.float64]  # shape (n,)

SECONDS = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3, "msecs": 1e-3, "milliseconds": 1e-3,
    "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "usec": 1e-6, "microseconds": 1e-6, "ns": 1e-9, "nanoseconds": 1e-9,
}  # fmt: skip
_GUESSED = (1.0, 1e-3, 1e-6, 1e-9)
_TIME_NAME = re.compile(
    r"time|elapsed|seconds|clock|zeit|temps|tiempo|tempo|^\W*(t|s|ms|us|ns|hh?:mm.*)\W*$",
    re.IGNORECASE,
)
_COUNT_NAME = re.compile(
    r"^\W*(sample|samples|index|idx|counter|count|packet\w*|n|nr|no|num|row|line|seq|nseq|number|id|unnamed.*|#)?\W*(#|no|nr|num|number|index|counter)?\W*$",
    re.IGNORECASE,
)
HOLE = 1.5  # intervals: a step longer than this skips a sample
BESIDE = 2  # times on each side that outvote a wrong one
ROUND_PPM = 100e-6  # a quartz is at least so exact: a rate this near a whole number is that number


class SampleTiming(NamedTuple):
    """How samples lie in time."""

    fs_hz: float
    jitter: float  # samples by which single times come late: 0 if each has a time of its own, 9 if ten share one


def is_count(values: Times) -> bool:
    """Whether a column only counts its lines: whole numbers, each one more than the last, but where it begins again."""
    finite = values[np.isfinite(values)]
    if len(finite) < 3:
        return False
    return bool(np.mean(finite == np.rint(finite)) > 0.95 and np.mean(np.diff(finite) == 1) >= 0.85)


def time_column(
    names: Sequence[str],
    units: Sequence[str],
    kinds: Sequence[Kind],
    table: NDArray[np.float64],
    *,
    named: bool,
) -> int | None:
    """The column of times: clock times, or numbers that rise and are called a time, else the first of several that rises.

    A column that counts its lines is no time, unless it is called one and says its unit. Of several the one that tells samples apart best.
    """

    def rises(i: int, steadily: float = 0.9) -> bool:
        finite = table[np.isfinite(table[:, i]), i]
        return (
            len(finite) > 1
            and finite[-1] > finite[0]
            and bool(np.mean(np.diff(finite) >= 0) > steadily)
        )

    def apart(i: int) -> int:
        return len(np.unique(table[np.isfinite(table[:, i]), i]))

    named_time = [i for i, n in enumerate(names) if _TIME_NAME.search(n) and named]
    found = [
        i
        for i in named_time
        if rises(i)
        and (units[i].lower() in SECONDS or kinds[i] == "clock" or not is_count(table[:, i]))
    ]
    found = found or [i for i, kind in enumerate(kinds) if kind == "clock" and rises(i)]
    if found:
        return max(found, key=lambda i: (apart(i) > 0.99 * len(table), apart(i), -i))
    if len(names) < 2 or kinds[0] != "number" or not rises(0, 0.99) or is_count(table[:, 0]):
        return None
    steps = np.diff(table[:, 0])
    even = bool(np.mean(np.abs(steps - np.median(steps)) <= 0.5 * np.median(steps)) > 0.9)
    unnamed = not named or names[0].startswith("column ")
    return 0 if even or unnamed else None


def counters(names: Sequence[str], table: NDArray[np.float64], *, named: bool) -> list[int]:
    """Columns that count lines, which are no signals."""
    return [
        i
        for i, n in enumerate(names)
        if is_count(table[:, i]) or (named and n.strip() and _COUNT_NAME.match(n))
    ]


def seconds_per_unit(unit: str, times: Times) -> float | None:
    """Seconds in one unit of the times: as it says, else the one that gives a usable rate; None if there is none."""
    if unit.lower() in SECONDS:
        return SECONDS[unit.lower()]
    steps = _Steps.of(times)
    rate = steps.rate if steps is not None else 0.0
    return next(
        (factor for factor in _GUESSED if MIN_FS_HZ * 0.98 <= rate / factor <= MAX_FS_HZ * 1.02),
        None,
    )


def timing(times_s: Times, fs_hz: float | None = None) -> SampleTiming | None:
    """Rate and jitter of the first times of a file, in seconds; None if they do not tell a rate.

    The rate is that of the moments at which the time changes (samples of a packet share one), without the steps that skip samples. It is
    `fs_hz`, the rate that somebody states, if it lies within 2 % of that, or as near as times of arrival can tell; else a whole number,
    if it lies so near.
    """
    times = times_s[np.isfinite(times_s)]
    steps = _Steps.of(times)
    if steps is None or not 0 < steps.rate <= 100 * MAX_FS_HZ:
        return None
    rate = steps.rate
    late = jitter(times, rate)
    near = 0.1 if steps.noisy else min(max(0.02, 2 * late / steps.samples), 0.1)
    if fs_hz is not None and abs(rate - fs_hz) <= near * fs_hz:
        rate = fs_hz
    elif (
        abs(rate - round(rate)) <= rate * (ROUND_PPM + min(late + 1, 20) / steps.samples)
        and round(rate) > 0
    ):
        rate = float(round(rate))
    return SampleTiming(rate, late)


class _Steps(NamedTuple):
    """Statistics of the steps of a time column, in its own unit."""

    rate: float  # samples per unit
    samples: int  # that this was found from
    noisy: bool = False  # the times are those of arrival

    @classmethod
    def of(cls, times: Times) -> _Steps | None:
        """None if the times do not move, or hardly."""
        moments = np.flatnonzero(np.diff(times) != 0) + 1
        if len(moments) < 2 * BESIDE + 2 or len(times) < 10:
            return None
        span, samples = np.diff(times[moments]), np.diff(moments)
        each = span / samples
        usual = float(np.median(each))
        if usual <= 0:
            return None
        lengths = np.diff(np.unique(np.round(span / usual, 2)) * usual)
        finer = lengths[
            lengths < 0.5 * usual
        ]  # what times are rounded to; coarser differences are holes
        quantum = float(finer.min()) if len(finer) else 0.0
        excess, most = span - usual * samples, (HOLE - 1) * usual * samples + quantum
        noisy = bool(np.mean(np.abs(excess) > most) > 0.1)
        rounded = np.mean(excess < -most / 2) < 0.02  # to about what lies between two samples
        if noisy and (rounded or np.mean(span <= 0) > 0.02):  # single steps say nothing
            half = len(times) // 2
            rate = half / float(np.median(times[half:] - times[:-half]))
            return cls(rate, half, not rounded)
        # A hole stays; what only came late is followed by what seems to come early.
        around = np.convolve(excess, np.ones(2 * BESIDE + 1), "same")
        keep = ~((excess > most) & (around > most) | (span < -most) & (around < -most))
        return cls(float(samples[keep].sum() / span[keep].sum()), int(samples[keep].sum()), noisy)


def jitter(times_s: Times, fs_hz: float) -> float:
    """Samples by which times come later than the earliest around them, as the sample's number has it."""
    late = (times_s - times_s[0]) * fs_hz - np.arange(len(times_s))
    usual = median_filter(late, 2 * BESIDE + 1, mode="nearest")
    if np.mean(np.abs(late - usual) <= 1) >= 0.95:  # a wrong time now and then is no jitter
        late = usual
    return float(np.percentile(late - earliest(late, min(round(fs_hz), len(late) - 1)), 99))


def earliest(late: Times, ahead: int) -> Times:
    """Return, for each sample, the least lateness from it to `ahead` samples on: a packet's last
    sample is its least late."""
    size = ahead + 1
    found: Times = minimum_filter1d(late, size, mode="nearest", origin=-(size // 2))
    return found
