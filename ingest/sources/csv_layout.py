"""What a CSV file's first lines tell: delimiter, header, units, and which column is the time."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.errors import BadInputError

_TIME_NAME = re.compile(r"time|elapsed|seconds|^\W*(t|s|ms|us|ns)\W*$", re.IGNORECASE)
_UNIT_IN_NAME = re.compile(
    r"[\[(_\s](ns|us|µs|ms|s|sec|seconds|nv|uv|µv|μv|mv|v)[\])]?$", re.IGNORECASE
)
_SECONDS = {"s": 1.0, "sec": 1.0, "seconds": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class Layout(NamedTuple):
    """How to read the lines after the first `skip`."""

    delimiter: str | None  # None: white space
    skip: int  # lines before the first line of numbers
    names: list[str]  # one per column
    units: list[str]  # one per column, "" where the file does not say
    time: int | None  # the time column
    seconds: float  # in one unit of the time column


def sniff(lines: list[str], name: str) -> Layout:
    """The layout of a file that begins with these lines. Raises BadInputError where there are no
    numbers in them."""
    skip = next((i for i, line in enumerate(lines) if _is_data(line)), None)
    if skip is None:
        raise BadInputError(
            f"{name}: no line of numbers in its first {len(lines)} lines",
            "Give a CSV of values, or of time and values.",
        )
    data = lines[skip]
    delimiter = next((d for d in ",;\t" if d in data), None)
    columns = len(data.split(delimiter))
    header = [
        [field.strip().strip("'\"") for field in line.split(delimiter)]
        for line in lines[:skip]
        if not line.startswith("#")
    ]
    header = [fields for fields in header if len(fields) == columns]
    names = header[0] if header else [f"column {i}" for i in range(columns)]
    units = header[1] if len(header) > 1 else [_unit_of(n) for n in names]
    table = np.array(
        [
            [_number(f) for f in line.split(delimiter)]
            for line in lines[skip:]
            if len(line.split(delimiter)) == columns
        ]
    )
    time = _time_column(names if header else [], table)
    return Layout(
        delimiter,
        skip,
        names,
        units,
        time,
        1.0 if time is None else _seconds(units[time], table[:, time]),
    )


def sampling_rate(times_s: NDArray[np.float64]) -> float | None:
    """Samples per second of a time column, to the nearest whole number where that is within 0.5 %;
    None where it does not tell."""
    times = times_s[np.isfinite(times_s)]
    if len(times) < 10 or times[-1] <= times[0]:
        return None
    steps = np.diff(times)
    # without gaps; the mean, since times may be rounded to whole milliseconds
    steps = steps[steps <= 3 * np.mean(steps) + 1e-12]
    fs = float(1 / np.mean(steps)) if np.mean(steps) > 0 else 0.0
    return float(round(fs)) if abs(fs - round(fs)) <= 0.005 * fs else fs


def _is_data(line: str) -> bool:
    fields = [f for f in re.split(r"[,;\s]+", line.strip()) if f]
    return bool(fields) and all(_is_number(f) for f in fields)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _number(text: str) -> float:
    return float(text) if _is_number(text) else np.nan


def _unit_of(name: str) -> str:
    found = _UNIT_IN_NAME.search(name)
    return found[1] if found else ""


def _time_column(names: list[str], table: NDArray[np.float64]) -> int | None:
    if table.shape[1] < 2:
        return None
    named = next((i for i, n in enumerate(names) if _TIME_NAME.search(n)), None)
    if named is not None:
        return named
    rises = bool(np.all(np.diff(table[:, 0]) >= 0)) and table[-1, 0] > table[0, 0]
    return 0 if rises else None


def _seconds(unit: str, times: NDArray[np.float64]) -> float:
    """Seconds in one unit of the time column: as it says, else the first of s, ms and us that gives
    a usable rate."""
    if unit.lower() in _SECONDS:
        return _SECONDS[unit.lower()]
    for factor in (1.0, 1e-3, 1e-6):
        fs = sampling_rate(times * factor)
        if fs is not None and MIN_FS_HZ <= fs <= MAX_FS_HZ:
            return factor
    return 1.0
