"""Text files: one column of values, or a time column and one or more columns of values; with or without a header."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ingest.errors import BadInputError
from ingest.sources.base import Block, Notice, ignore_notice
from ingest.sources.blocks import LOOK_S, PART_S, Values, blocks_of, by_second, check_fs
from ingest.sources.channels import choose, lead_name
from ingest.sources.csv.grid import on_grid
from ingest.sources.csv.layout import sniff
from ingest.sources.csv.lines import TextFile
from ingest.sources.csv.rows import CsvRows
from ingest.sources.csv.times import SampleTiming, counters, seconds_per_unit, time_column, timing
from ingest.sources.scale import fit
from ingest.sources.units import REMEDY, check_amplitude, mv_per_unit, names_a_unit

COUNTS_PER_MV = 1000.0  # 1 uV steps, +-32 mV
_SNIFFED_LINES = 2000
_TAIL_BYTES = 4096
_LOOKS = 8  # places behind the beginning at which values are looked at


class CsvSource:
    """One column of a text file.

    Encoding, delimiter, decimal sign and header are found out (csv/layout.py), and the headers of recorders understood (csv/exports.py).
    The time is the column that is called so or holds clock times, else the first of several if it only rises and is no count; it gives
    the sampling rate unless the header does. Where samples are missing by their times there are as many invalid ones. The unit of the
    values is `unit`, else the file's, else mV if that can be; an electrode's offset is subtracted. Empty, "nan" and "NULL" values are
    invalid samples. Lines that were left out are told by `notice`. Raises BadInputError naming the file, the line and the remedy.
    """

    device_id = "csv"

    def __init__(
        self,
        path: Path,
        channel: str | int | None = None,
        fs_hz: float | None = None,
        unit: str | None = None,
        *,
        notice: Notice = ignore_notice,
    ) -> None:
        self._notice = notice
        self._file, self.name = path.name, path.stem
        text = TextFile(path)
        self._layout = layout = sniff(text.head(_SNIFFED_LINES), path.name)
        self._text, self._rows = text, CsvRows(text, layout, notice)
        quiet = CsvRows(text, layout, ignore_notice)
        columns = [i for i, kind in enumerate(layout.kinds) if kind in ("number", "clock")]
        table = np.full((0, len(layout.kinds)), np.nan)
        for found in quiet.read(columns, _SNIFFED_LINES):
            table = np.full((len(found), len(layout.kinds)), np.nan)
            table[:, columns] = found
            break
        self._time = time_column(
            layout.names, layout.units, layout.kinds, table, named=layout.named
        )
        self._column = self._choose(channel, table)
        self.lead = lead_name(layout.names[self._column], self._column)
        head = next(quiet.read(self._columns), np.zeros((0, len(self._columns))))
        self._first = float(head[0, 0]) if len(head) else 0.0
        self._timing, self._seconds = (
            self._find_timing(head[:, 0], fs_hz) if self._time is not None else (None, 1.0)
        )
        self.fs_hz = check_fs(
            self._timing.fs_hz if self._timing else self._check_stated_rate(fs_hz), self._file
        )
        self._set_scale([head, *self._others(text, quiet)], unit)

    @property
    def duration_s(self) -> float:
        """Length in seconds, from the last times of the file; by reading it all if those are clock times, or there are none."""
        quiet = CsvRows(self._text, self._layout, ignore_notice)
        if self._timing is None:
            return sum(len(table) for table in quiet.read(self._columns)) / self.fs_hz
        tables = iter(
            [
                quiet.sample_rows(
                    1 - _TAIL_BYTES / max(self._text.size, _TAIL_BYTES), _TAIL_BYTES, self._columns
                )
            ]
        )
        if not self._text.seekable or self._layout.kinds[self._columns[0]] == "clock":
            tables = quiet.read(self._columns)
        first, last = self._first, self._first
        for table in tables:
            known = table[np.isfinite(table[:, 0]), 0]
            last = float(known[-1]) if len(known) else last
        return (last - first) * self._seconds + 1 / self.fs_hz

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError at the first line that cannot be read."""
        start, cell = round(start_s * self.fs_hz), round(self.fs_hz)
        parts = _regrouped(self._counts(), start // cell * cell, cell * PART_S)
        return blocks_of(parts, start, self.fs_hz, name=self._file, notice=self._notice)

    @property
    def _columns(self) -> list[int]:
        return [self._column] if self._time is None else [self._time, self._column]

    def _choose(self, channel: str | int | None, table: Values) -> int:
        layout = self._layout
        if channel is None and layout.export.ecg is not None:
            return layout.export.ecg
        counts = counters(layout.names, table, named=layout.named)
        others = [i for i, kind in enumerate(layout.kinds) if i != self._time and kind != "text"]
        signals = [i for i in others if layout.kinds[i] == "number" and i not in counts]
        if channel is not None or not signals:  # whoever names one knows
            signals = others
        names, units = [layout.names[i] for i in signals], [layout.units[i] for i in signals]
        return signals[
            choose(
                names,
                units,
                channel,
                record=self._file,
                recorded=lambda i: len(np.unique(table[:, signals[i]])) > 1,
            )
        ]

    def _check_stated_rate(self, fs_hz: float | None) -> float:
        rate = fs_hz or self._layout.export.fs_hz
        if rate is None:
            raise BadInputError(
                f"{self._file}: its sampling frequency is unknown",
                "Give it with --fs HZ, or add a column of times.",
            )
        return rate

    def _find_timing(self, times: Values, fs_hz: float | None) -> tuple[SampleTiming | None, float]:
        """(rate and jitter of the time column, seconds in one of its units); None if it gives no
        rate and the header or the user does."""
        assert self._time is not None
        unit = "s" if self._layout.kinds[self._time] == "clock" else self._layout.units[self._time]
        seconds = seconds_per_unit(unit, times) or 1.0
        stated = fs_hz or self._layout.export.fs_hz
        found = timing(times * seconds, stated)
        if found is None:
            self._check_stated_rate(fs_hz)
            return None, seconds
        if fs_hz is not None and found.fs_hz != fs_hz:
            problem = f"{self._file}: its times say {found.fs_hz:g} Hz, --fs says {fs_hz:g}"
            raise BadInputError(problem, "Leave --fs out, or correct the time column.")
        return found, seconds

    def _others(self, text: TextFile, rows: CsvRows) -> list[Values]:
        """Rows from other places of the file."""
        n = round(LOOK_S * self.fs_hz)
        return (
            [rows.sample_rows(i / (_LOOKS + 1), n, self._columns) for i in range(1, _LOOKS + 1)]
            if text.seekable
            else []
        )

    def _set_scale(self, tables: list[Values], unit: str | None) -> None:
        layout = self._layout
        said = layout.units[self._column] if unit is None else unit
        self._mv = mv_per_unit(said, name=self._file, channel=self.lead)
        looked = [table[:, -1] * self._mv for table in tables]
        if unit is None:
            try:
                seconds = by_second(looked, self.fs_hz)
                check_amplitude(
                    seconds,
                    said=names_a_unit(said),
                    name=self._file,
                    channel=self.lead,
                    notice=self._notice,
                )
            except BadInputError as error:
                raise BadInputError(error.problem, layout.export.remedy or REMEDY) from error
        scale = fit(
            COUNTS_PER_MV,
            -np.inf,
            np.inf,
            lambda: [mv * COUNTS_PER_MV for mv in looked],
            self._file,
        )
        self.counts_per_mv = COUNTS_PER_MV * scale.factor
        self._offset = scale.offset * scale.factor

    def _counts(self) -> Iterator[Values]:
        """The column's values on the grid of the sampling frequency."""
        rows = self._rows.read(self._columns)
        values: Iterator[Values]
        if self._timing is None:
            values = (table[:, -1] for table in rows)
        else:
            values = on_grid(
                ((t[:, 0] * self._seconds, t[:, -1]) for t in rows), self._timing, self._file
            )
        return (v * (self._mv * self.counts_per_mv) - self._offset for v in values)


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
