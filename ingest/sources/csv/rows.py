"""Parses a text file's lines into times and values, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.sources.base import Notice
from ingest.sources.csv.fields import clock_s, number
from ingest.sources.csv.layout import CsvLayout, split
from ingest.sources.csv.lines import TextFile, stripped

LINES_AT_ONCE = 20_000
MAX_NUMBER = 1e20  # nanoseconds since 1970 are below; what is beyond is no number of a recording
_HALF_DAY_S, _DAY_S = 43_200.0, 86_400.0

Table = NDArray[np.float64]  # shape (lines, columns), NaN for what is missing


class CsvRows:
    """The wanted columns of a file, as numbers; clock times are seconds, and go on over midnight."""

    def __init__(self, file: TextFile, layout: CsvLayout, notice: Notice) -> None:
        self._file, self._layout, self._notice = file, layout, notice

    def read(self, columns: Sequence[int], at_once: int = LINES_AT_ONCE) -> Iterator[Table]:
        """Batches of rows, shape (up to at_once, columns), never empty. Raises BadInputError at the
        first line that is not a row."""
        midnights = 0.0
        last: NDArray[np.float64] | None = None
        with self._file.open() as file:
            done = len(list(islice(file, self._layout.skip)))
            while lines := [stripped(line) for line in islice(file, at_once)]:
                table, used = self._parse(lines, done, columns)
                done += len(lines)
                table[~(np.abs(table) <= MAX_NUMBER)] = np.nan
                if len(table):
                    midnights = self._unwrap(table, columns, last, midnights)
                    last = table[-1].copy()
                    yield table
                if used < len(lines):
                    self._end(lines[used:], done - len(lines) + used + 1, file, columns)
                    return

    def sample_rows(self, share: float, n: int, columns: Sequence[int]) -> Table:
        """Up to n rows from about this share of the file on; lines that cannot be read are left out."""
        rows = [
            row
            for line in self._file.sample_lines(share, n)
            if (row := self._row(line, columns)) is not None
        ]
        table = np.array(rows).reshape(-1, len(columns))
        table[~(np.abs(table) <= MAX_NUMBER)] = np.nan
        return table

    def _parse(self, lines: list[str], before: int, columns: Sequence[int]) -> tuple[Table, int]:
        """(the rows of these lines, how many of the lines were used: fewer if one could not be read)."""
        fast = all(self._layout.kinds[c] == "number" for c in columns)
        if fast and (table := self._load(lines, columns)) is not None:
            return table, len(lines)
        rows = []
        for i, line in enumerate(lines):
            if not line.strip():
                continue
            row = self._row(line, columns)
            if row is not None:
                rows.append(row)
            elif line.strip() in self._layout.header:
                self._notice(
                    f"{self._file.path.name}, line {before + i + 1}: the header again; left out"
                )
            else:
                return np.array(rows).reshape(-1, len(columns)), i
        return np.array(rows).reshape(-1, len(columns)), len(lines)

    def _load(self, lines: list[str], columns: Sequence[int]) -> Table | None:
        """The fast way, for lines of nothing but numbers."""
        text = [line for line in lines if line.strip()]
        if not text:
            return np.zeros((0, len(columns)))
        if self._layout.decimal == ",":
            text = [line.replace(",", ".") for line in text]
        try:
            table = np.loadtxt(
                text,
                delimiter=self._layout.delimiter,
                usecols=columns,
                ndmin=2,
                comments=None,
                quotechar='"',
            )
        except ValueError:
            return None
        return table

    def _row(self, line: str, columns: Sequence[int]) -> list[float] | None:
        """One line's numbers; None if it has none."""
        fields = split(line, self._layout.delimiter)
        kinds, decimal = self._layout.kinds, self._layout.decimal
        try:
            return [
                clock_s(fields[c]) if kinds[c] == "clock" else number(fields[c], decimal)
                for c in columns
            ]
        except (IndexError, ValueError, OverflowError):
            return None

    def _unwrap(
        self,
        table: Table,
        columns: Sequence[int],
        last: NDArray[np.float64] | None,
        midnights: float,
    ) -> float:
        """Let clock times go on over midnight; returns the seconds to add from here on."""
        for j, column in enumerate(columns):
            if self._layout.kinds[column] == "clock":
                steps = np.diff(
                    table[:, j] + midnights,
                    prepend=table[0, j] + midnights if last is None else last[j],
                )
                turns = np.cumsum(steps < -_HALF_DAY_S) * _DAY_S
                table[:, j] += midnights + turns
                midnights += float(turns[-1])
        return midnights

    def _end(
        self, rest: list[str], number: int, file: Iterator[str], columns: Sequence[int]
    ) -> None:
        """What begins at line `number` cannot be read: fine if no values follow (a cut line, a footer), else an error."""
        following = (stripped(line) for lines in (rest[1:], file) for line in lines)
        line = rest[0].strip()
        if any(self._row(other, columns) is not None for other in following if other.strip()):
            problem = f"{self._file.path.name}, line {number}: {line[:60]!r} has no number in column {columns[-1]}"
            raise BadInputError(problem, "Correct or remove the line.")
        self._notice(
            f"{self._file.path.name}, line {number}: {line[:60]!r} is no line of values, and none follow; it was left out"
        )
