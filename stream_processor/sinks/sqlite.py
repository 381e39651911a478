"""Event store in an SQLite file: the embedded store, with one writing process and any number of
readers.

Events older by more than `keep_days` (waveforms: `waveform_days`) than the patient's newest event
are deleted, some with each flush. Alarms and their strips, actions, deliveries, edits and journal
entries stay. An event in the future of this machine's clock, from a device whose clock is wrong,
makes nothing old.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ingest.clock import Clock, SystemClock
from ingest.messages import Stored
from stream_processor.sinks import sqlite_tables as tables
from stream_processor.sinks.base import (
    FILING,
    FOREVER_NS,
    KINDS,
    OF_A_STREAM,
    E,
    Kind,
    SinkBusyError,
    event_time,
)
from stream_processor.sinks.queued import QueuedSink
from stream_processor.sinks.refusals import BatchRefusedError

LOCK_WAIT_S = 2.0
PAGE = 5_000
TRIM_EVERY_NS = 60_000_000_000
TRIM_ROWS = 5_000
DAY_NS = 86_400_000_000_000


class SqliteSink(QueuedSink):
    """A Sink on one SQLite file in WAL mode. Raises SinkBusyError if the file cannot be opened."""

    def __init__(
        self,
        path: Path,
        keep_days: float = 30.0,
        waveform_days: float = 7.0,
        clock: Clock | None = None,
    ) -> None:
        super().__init__()
        self._path, self._clock = path, clock or SystemClock()
        days = {"keep_days": keep_days, "waveform_days": waveform_days}
        self._keep_ns = {
            kind: round(days[f.kept] * DAY_NS) for kind, f in FILING.items() if f.kept != "always"
        }
        self._newest: dict[str, int] = {}
        self._trimmed_at: dict[str, int] = {}
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(path)

    def patients(self) -> list[str]:
        found = " UNION ".join(
            f"SELECT DISTINCT patient_id FROM {tables.table(kind)}" for kind in KINDS
        )
        return sorted(row[0] for row in self._select(found))

    def read(
        self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[E]:
        # Each page is a transaction of its own, because a long one would block checkpoints of the WAL.
        end_ns = min(end_ns, FOREVER_NS)
        rows = self._select(
            tables.first_page(kind, PAGE), patient_id, min(start_ns, FOREVER_NS), end_ns
        )
        while rows:
            yield from (tables.event(kind, row) for row in rows)
            if len(rows) < PAGE:
                return
            rows = self._select(
                tables.next_page(kind, PAGE), *tables.row_key(kind, rows[-1]), patient_id, end_ns
            )

    def check(self) -> str:
        rows = sum(
            self._select(f"SELECT count(*) FROM {tables.table(kind)}")[0][0] for kind in KINDS
        )
        return f"SQLite {sqlite3.sqlite_version} at {self._path}, {rows:,} events, {self._path.stat().st_size / 1e6:.1f} MB"

    def close(self) -> None:
        self._connection.close()

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._guard():
            return self._connection.execute(query, values).fetchall()

    def _write(self, batch: Sequence[Stored]) -> None:
        """Write a batch and delete what it makes too old, in one transaction."""
        rows: dict[Kind, list[tuple[Any, ...]]] = {}
        newest: dict[str, int] = {}
        with self._guard(), self._connection:
            for event in batch:
                rows.setdefault(type(event), []).append(tables.row(event))
                if type(event) in OF_A_STREAM:
                    newest[event.patient_id] = max(
                        event_time(event), newest.get(event.patient_id, 0)
                    )
            for kind, found in rows.items():
                self._connection.executemany(tables.upsert(kind), found)
            for patient, time in newest.items():
                self._trim(patient, time)

    def _trim(self, patient: str, time: int) -> None:
        """Delete some rows older than the retention, at most once a minute of the patient's time.
        `time`: the newest event just written."""
        if patient not in self._newest:
            found = [
                self._connection.execute(tables.newest(kind), (patient,)).fetchone()[0]
                for kind in OF_A_STREAM
            ]
            self._newest[patient] = max(at or 0 for at in found)
        self._newest[patient] = max(time, self._newest[patient])
        newest = min(self._newest[patient], self._clock.now_ns())
        if newest < self._trimmed_at.get(patient, 0) + TRIM_EVERY_NS:
            return
        self._trimmed_at[patient] = newest
        for kind, keep_ns in self._keep_ns.items():
            self._connection.execute(
                tables.trim(kind, TRIM_ROWS), (patient, newest - keep_ns, newest - keep_ns)
            )

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """Turn errors that no retry can mend into RefusedError, and those that time or a person can
        mend into SinkBusyError."""
        try:
            yield
        except (sqlite3.DataError, OverflowError, UnicodeEncodeError) as error:
            raise BatchRefusedError(str(error)) from error
        except (sqlite3.OperationalError, OSError) as error:  # locked, full, read-only, broken disk
            remedy = "Is the disk full or the folder read-only, or does another process write to the file?"
            raise SinkBusyError(f"SQLite file {self._path}: {error}. {remedy}") from error
        except sqlite3.DatabaseError as error:
            # a defect of this program, such as a value of a type that SQLite does not know
            if type(error) is not sqlite3.DatabaseError:
                raise
            raise SinkBusyError(
                f"SQLite file {self._path}: {error}. Move it away, or give another path."
            ) from error


def _open(path: Path) -> sqlite3.Connection:
    # One thread uses it at a time, but not always the same one.
    connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, check_same_thread=False)
    try:
        if _layout(connection) not in (0, *tables.UPGRADES, tables.LAYOUT):
            raise sqlite3.DatabaseError(
                f"its layout is {_layout(connection)}, this version of ecgwatch reads {tables.LAYOUT}"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        # a flushed event survives a power cut
        connection.execute("PRAGMA synchronous = FULL")
        if _layout(connection) != tables.LAYOUT:
            _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _layout(connection: sqlite3.Connection) -> int:
    layout: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return layout


def _upgrade(connection: sqlite3.Connection) -> None:
    """Create the tables in an empty file, or bring those of an older layout up to date with their
    content, in one transaction."""
    with connection:
        connection.execute("BEGIN IMMEDIATE")
        found = _layout(connection)  # another process may have done it meanwhile
        for step in range(found or tables.LAYOUT, tables.LAYOUT):
            for statement in tables.UPGRADES[step]:
                connection.execute(statement)
        for kind in KINDS:
            connection.execute(tables.create(kind))
        connection.execute(f"PRAGMA user_version = {tables.LAYOUT}")
