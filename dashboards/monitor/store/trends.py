"""Vitals over a period in a bounded number of columns."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dashboards.monitor.live.views import ms
from ingest.messages import Vitals

Floats = npt.NDArray[np.float64]


LEAST_NS = 2 * 10**9  # a column; vitals come once a second


def trend(
    vitals: Iterable[Vitals], start_ns: int, end_ns: int, columns: int
) -> dict[str, list[Any]]:
    """Mean, lowest and highest heart rate, mean quality and mean RMSSD of each of at most `columns`
    columns; None if nothing is known.

    "t" is the start of the column, in milliseconds.
    """
    columns = min(columns, max(1, (end_ns - start_ns) // LEAST_NS))
    step_ns = (end_ns - start_ns) / columns
    rows = [(v.time_ns - start_ns, v.hr_bpm, v.quality, v.rmssd_ms) for v in vitals]
    table = np.array(rows, dtype=np.float64).reshape(-1, 4)  # None becomes NaN
    column = np.minimum(table[:, 0] // step_ns, columns - 1).astype(np.int64)
    hr, quality, rmssd = table[:, 1], table[:, 2], table[:, 3]
    lowest, highest = np.full(columns, np.nan), np.full(columns, np.nan)
    np.fmin.at(lowest, column, hr)
    np.fmax.at(highest, column, hr)
    return {
        "t": [ms(round(start_ns + step_ns * k)) for k in range(columns)],
        "hr": _rounded(_mean(hr, column, columns), 2),
        "hr_min": _rounded(lowest, 1),
        "hr_max": _rounded(highest, 1),
        "quality": _rounded(_mean(quality, column, columns), 3),
        "rmssd": _rounded(_mean(rmssd, column, columns), 1),
    }


def _mean(values: Floats, column: npt.NDArray[np.int64], columns: int) -> Floats:
    known = np.isfinite(values)
    total = np.bincount(column[known], values[known], columns)
    count = np.bincount(column[known], minlength=columns)
    mean: Floats = np.divide(total, count, out=np.full(columns, np.nan), where=count > 0)
    return mean


def _rounded(values: Floats, digits: int) -> list[float | None]:
    return [None if v != v else v for v in np.round(values, digits).tolist()]
