"""Files that `annotate` and `export` write: NAME.ecw, alarms.csv, rhythm.csv, record.csv, and, by
`export` only, journal.csv. Times are seconds from the record's start."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterable, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from dashboards.report.cells import escape_formula
from ecgwatch.writing.atomic import replace_file
from ecgwatch.writing.ecw import write_ecw
from ingest.messages import Alarm, Beat, Rhythm

__all__ = [
    "AlarmEpisodeRow",
    "JournalRow",
    "RecordRow",
    "RhythmRow",
    "alarm_rows",
    "rhythm_rows",
    "write_csvs",
    "write_ecw",
    "write_events",
    "write_journal",
]


@dataclass(frozen=True)
class AlarmEpisodeRow:
    """A row of alarms.csv: one episode of one alarm."""

    record: str
    id: str
    kind: str
    priority: str
    announced: bool
    onset_s: float
    raised_s: float
    end_s: float | None  # None: it was still on at the end
    value: float | None
    limit: float | None


@dataclass(frozen=True)
class RhythmRow:
    """A row of rhythm.csv."""

    record: str
    start_s: float
    end_s: float
    label: str
    probability: float


@dataclass(frozen=True)
class RecordRow:
    """A row of record.csv. A record that could not be read has only its name and the error."""

    record: str
    fs_hz: float | None = None
    duration_s: float | None = None
    channel: str = ""
    beats: int | None = None
    label: str = ""  # N, A, O or ~, the classes of CinC 2017
    probability: float | None = None
    error: str = ""
    source: str = ""  # where the record was read from, for `ecgwatch view`


@dataclass(frozen=True)
class JournalRow:
    """A row of journal.csv: what the wearer said, or a change of bed or device."""

    record: str
    time: str  # ISO 8601, UTC
    time_s: float | None  # None: no stream had begun
    kind: str
    by: str
    text: str
    rhythm: str  # of the minute around it, the longest first, with spaces between; "" if unknown


Row = AlarmEpisodeRow | RhythmRow | RecordRow | JournalRow


def alarm_rows(record: str, alarms: Iterable[Alarm]) -> list[AlarmEpisodeRow]:
    """Return the rows of a record's alarms, each in its last step, ordered by onset."""
    ordered = sorted(alarms, key=lambda a: (a.onset_sample, a.raised_sample, a.id))
    return [
        AlarmEpisodeRow(
            record,
            a.id,
            a.kind,
            a.priority,
            a.announced,
            onset_s=a.onset_sample / a.fs_hz,
            raised_s=a.raised_sample / a.fs_hz,
            end_s=None if a.end_sample is None else a.end_sample / a.fs_hz,
            value=a.value,
            limit=a.limit,
        )
        for a in ordered
    ]


def rhythm_rows(record: str, episodes: Iterable[Rhythm]) -> list[RhythmRow]:
    """Return the rows of a record's rhythm episodes; neighbours of one label become one row."""
    rows: list[RhythmRow] = []
    for episode in sorted(episodes, key=lambda e: e.start_sample):
        row = RhythmRow(
            record,
            episode.start_sample / episode.fs_hz,
            episode.end_sample / episode.fs_hz,
            episode.label,
            episode.probability,
        )
        if rows and rows[-1].label == row.label and rows[-1].end_s >= row.start_s:
            row = _joined(rows.pop(), row)
        rows.append(row)
    return rows


def _joined(a: RhythmRow, b: RhythmRow) -> RhythmRow:
    length_a, length_b = a.end_s - a.start_s, b.end_s - b.start_s
    whole = length_a + length_b
    mean = (
        (a.probability * length_a + b.probability * length_b) / whole
        if whole > 0
        else b.probability
    )
    return RhythmRow(a.record, a.start_s, b.end_s, a.label, mean)


def write_events(
    folder: Path, name: str, fs_hz: float, beats: Iterable[Beat], episodes: Iterable[Rhythm]
) -> Path:
    """Write a record's beats and rhythm changes to folder/NAME.ecw; return its path."""
    changes: list[tuple[int, str]] = []
    for episode in sorted(episodes, key=lambda e: e.start_sample):
        if not changes or changes[-1][1] != f"({episode.label}":
            changes.append((episode.start_sample, f"({episode.label}"))
    return write_ecw(folder, name, fs_hz, [(beat.sample, beat.label) for beat in beats], changes)


def write_journal(folder: Path, records: Collection[str], rows: Sequence[JournalRow]) -> None:
    """Write journal.csv; rows of other records stay, as in write_csvs.

    A text that a spreadsheet would take for a formula gets an apostrophe: wearers write what they like.
    """
    guarded = [JournalRow(*map(escape_formula, astuple(row))) for row in rows]
    _write_csv(folder, "journal", JournalRow, [escape_formula(name) for name in records], guarded)


def write_csvs(
    folder: Path,
    records: Collection[str],
    alarms: Sequence[AlarmEpisodeRow],
    rhythm: Sequence[RhythmRow],
    record: Sequence[RecordRow],
) -> None:
    """Write alarms.csv, rhythm.csv and record.csv, each whole or not at all.

    Rows that an earlier run left there for the same `records` are replaced, those of other records
    stay.
    """
    _write_csv(folder, "alarms", AlarmEpisodeRow, records, alarms)
    _write_csv(folder, "rhythm", RhythmRow, records, rhythm)
    _write_csv(folder, "record", RecordRow, records, record)


def _write_csv(
    folder: Path, name: str, kind: type[Row], records: Collection[str], rows: Sequence[Row]
) -> None:
    header = [field.name for field in fields(kind)]
    path = folder / f"{name}.csv"
    kept = [row for row in _rows(path, header) if row[0] not in records]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(
        [header, *kept, *([_cell(v) for v in astuple(row)] for row in rows)]
    )
    replace_file(path, text.getvalue().encode())


def _rows(path: Path, header: list[str]) -> list[list[str]]:
    """Read the rows of an earlier run; none if the file is missing or has other columns."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        found = list(csv.reader(file))
    return found[1:] if found[:1] == [header] else []


def _cell(value: str | float | bool | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:.6f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
