"""Events in an SQLite file: the embedded store, one writing process and any number of readers.

Beats, vitals and rhythm that are `keep_days` older than the patient's newest event are deleted, some with each flush; alarms stay.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ingest.messages import Beat, Event, Rhythm, Vitals
from stream_processor.sinks import sqlite_tables as tables
from stream_processor.sinks.base import FOREVER_NS, KINDS, E, SinkBusyError, event_time
from stream_processor.sinks.queued import QueuedSink
from stream_processor.sinks.refusals import RefusedError

LOCK_WAIT_S = 2.0
PAGE = 5_000
TRIM_EVERY_NS = 60_000_000_000
TRIM_ROWS = 5_000
DAY_NS = 86_400_000_000_000


class SqliteSink(QueuedSink):
    """A Sink on one SQLite file in WAL mode. Raises SinkBusyError where the file cannot be opened."""

    def __init__(self, path: Path, keep_days: float = 30.0) -> None:
        super().__init__()
        self._path = path
        self._keep_ns = round(keep_days * DAY_NS)
        self._newest: dict[str, int] = {}
        self._trimmed_at: dict[str, int] = {}
        with self._guard():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = _open(path)

    def patients(self) -> list[str]:
        found = " UNION ".join(f"SELECT DISTINCT patient_id FROM {tables.table(kind)}" for kind in KINDS)
        return sorted(row[0] for row in self._select(found))

    def read(self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS) -> Iterator[E]:
        # A page at a time, each a transaction of its own: a long one would keep the WAL from being folded in.
        end_ns = min(end_ns, FOREVER_NS)
        rows = self._select(tables.first_page(kind, PAGE), patient_id, min(start_ns, FOREVER_NS), end_ns)
        while rows:
            yield from (tables.event(kind, row) for row in rows)
            if len(rows) < PAGE:
                return
            rows = self._select(tables.next_page(kind, PAGE), *tables.row_key(kind, rows[-1]), patient_id, end_ns)

    def check(self) -> str:
        rows = sum(self._select(f"SELECT count(*) FROM {tables.table(kind)}")[0][0] for kind in KINDS)
        return f"SQLite {sqlite3.sqlite_version} at {self._path}, {rows:,} events, {self._path.stat().st_size / 1e6:.1f} MB"

    def close(self) -> None:
        self._connection.close()

    def _select(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with self._guard():
            return self._connection.execute(query, values).fetchall()

    def _write(self, batch: Sequence[Event]) -> None:
        """One transaction with a batch, and without what it makes too old."""
        newest: dict[str, int] = {}
        for event in batch:
            newest[event.patient_id] = max(event_time(event), newest.get(event.patient_id, 0))
        with self._guard(), self._connection:
            for kind in KINDS:
                rows = [msgspec.structs.astuple(event) for event in batch if type(event) is kind]
                self._connection.executemany(tables.upsert(kind), rows)
            for patient, time in newest.items():
                self._trim(patient, time)

    def _trim(self, patient: str, time: int) -> None:
        """Delete some rows older than the retention, at most once a minute of a patient's time."""
        if patient not in self._newest:
            queries = [f"SELECT max({tables.TIME[kind]}) FROM {tables.table(kind)} WHERE patient_id = ?" for kind in KINDS]
            self._newest[patient] = max(self._connection.execute(query, (patient,)).fetchone()[0] or 0 for query in queries)
        self._newest[patient] = newest = max(time, self._newest[patient])
        if newest < self._trimmed_at.get(patient, 0) + TRIM_EVERY_NS:
            return
        self._trimmed_at[patient] = newest
        for kind in (Beat, Vitals, Rhythm):
            self._connection.execute(tables.trim(kind, TRIM_ROWS), (patient, newest - self._keep_ns, newest - self._keep_ns))

    @contextmanager
    def _guard(self) -> Iterator[None]:
        """What no retry mends becomes RefusedError, what time or a person can mend SinkBusyError."""
        try:
            yield
        except (sqlite3.DataError, OverflowError, UnicodeEncodeError) as error:
            raise RefusedError(str(error)) from error
        except (sqlite3.OperationalError, OSError) as error:  # locked, full, read-only, broken disk
            remedy = "Is the disk full or the folder read-only, or does another process write to the file?"
            raise SinkBusyError(f"SQLite file {self._path}: {error}. {remedy}") from error
        except sqlite3.DatabaseError as error:
            if type(error) is not sqlite3.DatabaseError:  # a defect of ours, such as a value of no type that SQLite knows
                raise
            raise SinkBusyError(f"SQLite file {self._path}: {error}. Move it away, or give another path.") from error


def _open(path: Path) -> sqlite3.Connection:
    # Used by one thread at a time, not always the same one.
    connection = sqlite3.connect(path, timeout=LOCK_WAIT_S, check_same_thread=False)
    layout = connection.execute("PRAGMA user_version").fetchone()[0]
    if layout not in (0, tables.LAYOUT):
        connection.close()
        raise sqlite3.DatabaseError(f"its layout is {layout}, this version of ecgwatch reads {tables.LAYOUT}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # flushed is durable, also after a power cut
    if layout == 0:
        with connection:
            for kind in KINDS:
                connection.execute(tables.create(kind))
            connection.execute(f"PRAGMA user_version = {tables.LAYOUT}")
    return connection
