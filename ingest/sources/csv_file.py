"""CSV files: one column of values, or a time column and one or more columns of values; with or
without a header line."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.sources.base import Block
from ingest.sources.blocks import PART_S, Values, blocks_of, check_fs, mv_per_unit
from ingest.sources.channels import choose
from ingest.sources.csv_layout import sampling_rate, sniff

COUNTS_PER_MV = 1000.0  # 1 uV steps, +-32 mV
GAP_S = 0.25  # a larger step in the time column is a gap
MAX_GAP_S = 3600.0
MAX_MEDIAN_MV = 30.0
_SNIFFED_LINES = 2000
_LINES_AT_ONCE = 20_000


class CsvSource:
    """One column of a CSV file.

    Delimiter (comma, semicolon, tab, blank) and header are sniffed; a second header line holds
    units, as rdsamp writes it. The time is the column whose name says so, else the first of several
    if it only rises; it gives the sampling rate unless `fs_hz` does. The unit of the values is
    `unit`, else the one in the header ("ecg_uV", "II (mV)"), else mV. Empty and "nan" values are
    invalid samples, and so are those missing where the time steps by more than 0.25 s. Raises
    BadInputError naming the file, the line and the remedy.
    """

    device_id = "csv"
    counts_per_mv = COUNTS_PER_MV

    def __init__(
        self,
        path: Path,
        channel: str | int | None = None,
        fs_hz: float | None = None,
        unit: str | None = None,
    ) -> None:
        self._path = path
        self.name = path.stem
        self._layout = sniff(self._head(), path.name)
        signals = [i for i in range(len(self._layout.names)) if i != self._layout.time]
        names, units = (
            [self._layout.names[i] for i in signals],
            [self._layout.units[i] for i in signals],
        )
        chosen = choose(names, units, channel, record=path.name)
        self._column, self.lead = signals[chosen], names[chosen]
        unit = unit if unit is not None else units[chosen]
        self._factor = COUNTS_PER_MV * mv_per_unit(unit, name=path.name, channel=self.lead)
        times, values = next(self._rows(_SNIFFED_LINES), (None, np.zeros(0)))
        self.fs_hz = check_fs(fs_hz or self._rate(times), path.name)
        self._check_unit(values, stated=bool(unit))

    @property
    def duration_s(self) -> float:
        """Length in seconds: from the time column's last value, else by counting lines."""
        if self._layout.time is None:
            with self._path.open("rb") as file:
                lines = sum(1 for line in file if line.strip())
            return max(lines - self._layout.skip, 0) / self.fs_hz
        with self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - 4096), os.SEEK_SET)
            last = [
                line for line in file.read().decode(errors="replace").splitlines() if line.strip()
            ][-1]
        first = next(self._rows(1))[0]
        end, _ = self._parse([last], 0)
        return (
            float(end[0] - first[0]) + 1 / self.fs_hz
            if first is not None and end is not None
            else 0.0
        )

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError at the first line that cannot be read."""
        start = round(start_s * self.fs_hz)
        cell = round(self.fs_hz)
        return blocks_of(
            _regrouped(self._counts(), start // cell * cell, cell * PART_S), start, self.fs_hz
        )

    def _counts(self) -> Iterator[Values]:
        """The column's values, with NaN where the time column steps over missing samples."""
        before: float | None = None
        for times, values in self._rows(_LINES_AT_ONCE):
            counts = values * self._factor
            if times is None:
                yield counts
                continue
            steps = np.diff(times, prepend=times[0] - 1 / self.fs_hz if before is None else before)
            before, at = float(times[-1]), 0
            for gap in np.flatnonzero((steps > GAP_S) | (steps < -GAP_S)).tolist():
                yield counts[at:gap]
                yield np.full(self._missing(float(steps[gap]), float(times[gap])), np.nan)
                at = gap
            yield counts[at:]

    def _missing(self, step_s: float, at_s: float) -> int:
        if not 0 < step_s <= MAX_GAP_S:
            problem = f"{self._path.name}: the time steps by {step_s:g} s at {at_s:g} s"
            raise BadInputError(
                problem,
                "Sort the lines by time; write what lies more than an hour apart into files of its own.",
            )
        return round(step_s * self.fs_hz) - 1

    def _rows(self, at_once: int) -> Iterator[tuple[NDArray[np.float64] | None, Values]]:
        """(times in seconds or None, values), a batch of lines at a time."""
        with self._open() as file:
            done = len(list(islice(file, self._layout.skip)))
            while lines := list(islice(file, at_once)):
                times, values = self._parse([line for line in lines if line.strip()], done)
                done += len(lines)
                if len(values):
                    yield times, values

    def _parse(self, lines: list[str], before: int) -> tuple[NDArray[np.float64] | None, Values]:
        time = self._layout.time
        columns = [self._column] if time is None else [time, self._column]
        try:
            table = (
                np.loadtxt(lines, delimiter=self._layout.delimiter, usecols=columns, ndmin=2)
                if lines
                else np.zeros((0, len(columns)))
            )
        except ValueError:
            table = np.array(
                [self._parse_line(line, before + i + 1, columns) for i, line in enumerate(lines)]
            )
        return (
            (None, table[:, 0])
            if time is None
            else (table[:, 0] * self._layout.seconds, table[:, 1])
        )

    def _parse_line(self, line: str, number: int, columns: list[int]) -> list[float]:
        """The slow way: empty values, and an error that names the line."""
        fields = line.split(self._layout.delimiter)
        try:
            return [float(fields[c].strip() or "nan") for c in columns]
        except (IndexError, ValueError) as error:
            problem = f"{self._path.name}, line {number}: {line.strip()[:60]!r} has no number in column {columns[-1]}"
            raise BadInputError(problem, "Correct or remove the line.") from error

    def _rate(self, times: NDArray[np.float64] | None) -> float:
        rate = None if times is None else sampling_rate(times)
        if rate is None:
            raise BadInputError(
                f"{self._path.name}: its sampling frequency is unknown",
                "Give it with --fs HZ, or add a column of times.",
            )
        return rate

    def _check_unit(self, values: Values, *, stated: bool) -> None:
        """Millivolts are assumed where nothing says otherwise; values that cannot be millivolts are
        not guessed at."""
        spread = (
            float(np.nanpercentile(values, 99) - np.nanpercentile(values, 1))
            if np.isfinite(values).any()
            else 0.0
        )
        if not stated and spread > 2 * MAX_MEDIAN_MV:
            raise BadInputError(
                f"{self._path.name}: values spread over {spread:g}, which cannot be mV",
                "Give their unit with --unit uV (or mV, V).",
            )

    def _head(self) -> list[str]:
        with self._open() as file:
            return [line.rstrip("\r\n") for line in islice(file, _SNIFFED_LINES)]

    def _open(self) -> TextIO:
        try:
            return self._path.open(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise BadInputError(
                f"{self._path}: cannot be read ({error.strerror})",
                "Check the path and its permissions.",
            ) from error


def _regrouped(arrays: Iterator[Values], skip: int, size: int) -> Iterator[Values]:
    """The same values from `skip` on, in arrays of `size` (the last one shorter)."""
    held: list[Values] = []
    n = 0
    for array in arrays:
        rest = array[min(skip, len(array)) :]
        skip -= len(array) - len(rest)
        while len(rest):
            held.append(rest[: size - n])
            n += len(held[-1])
            rest = rest[len(held[-1]) :]
            if n == size:
                yield np.concatenate(held)
                held, n = [], 0
    if held:
        yield np.concatenate(held)
