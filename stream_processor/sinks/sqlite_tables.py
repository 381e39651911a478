"""Tables of the SQLite store: one per kind of event, one column per field, derived from the
messages."""

from __future__ import annotations

import math
from typing import Any, get_args, get_origin

import msgspec

from ingest.messages import Action, Rhythm, Stored
from stream_processor.sinks.base import FILING, KEY, KINDS, E, Kind

# PRAGMA user_version: increased with every change of a message's fields, with a step in UPGRADES
LAYOUT = 7
# Statements that bring a file of each layout to the next one. New tables need none.
UPGRADES = {
    1: (
        "ALTER TABLE alarm ADD COLUMN changed_ns INTEGER",
        "UPDATE alarm SET changed_ns = coalesce(end_ns, raised_ns)",
        "ALTER TABLE alarm ADD COLUMN level INTEGER DEFAULT 0",
        "ALTER TABLE alarm ADD COLUMN acknowledged_ns INTEGER",
        "ALTER TABLE alarm ADD COLUMN acknowledged_by TEXT DEFAULT ''",
        "ALTER TABLE alarm ADD COLUMN silenced_until_ns INTEGER",
    ),
    2: (),  # added findings
    3: (  # added the journal, and a profile in actions; layout 1 had no actions
        """CREATE TABLE IF NOT EXISTS action ("schema" INTEGER, "patient_id" TEXT,
        "time_ns" INTEGER, "id" TEXT, "by" TEXT, "action" TEXT, "alarm_id" TEXT, "kind" TEXT,
        "seconds" REAL, "limits" TEXT, "note" TEXT, PRIMARY KEY (patient_id, time_ns, id))
        WITHOUT ROWID""",
        "ALTER TABLE action ADD COLUMN profile TEXT DEFAULT ''",
    ),
    4: ("ALTER TABLE alarm ADD COLUMN late_s REAL DEFAULT 0.0",),
    5: (  # added reasons, and how many intervals a variability is of; layout 1 may lack the tables
        """CREATE TABLE IF NOT EXISTS rhythm ("schema" INTEGER, "patient_id" TEXT,
        "device_id" TEXT, "lead" TEXT, "fs_hz" REAL, "start_ns" INTEGER, "end_ns" INTEGER,
        "start_sample" INTEGER, "end_sample" INTEGER, "label" TEXT, "probability" REAL,
        PRIMARY KEY (patient_id, start_ns, device_id, lead)) WITHOUT ROWID""",
        """CREATE TABLE IF NOT EXISTS vitals ("schema" INTEGER, "patient_id" TEXT,
        "device_id" TEXT, "lead" TEXT, "time_ns" INTEGER, "hr_bpm" REAL, "sdnn_ms" REAL,
        "rmssd_ms" REAL, "quality" REAL, "reason" TEXT,
        PRIMARY KEY (patient_id, time_ns, device_id, lead)) WITHOUT ROWID""",
        "ALTER TABLE rhythm ADD COLUMN reason TEXT DEFAULT ''",
        "ALTER TABLE vitals ADD COLUMN nn INTEGER DEFAULT 0",
        "ALTER TABLE vitals ADD COLUMN noise TEXT DEFAULT ''",
    ),
    6: ("ALTER TABLE action ADD COLUMN switches TEXT DEFAULT '{}'",),  # alarms switched on or off
}
_AFFINITY = {int: "INTEGER", float: "REAL", bool: "INTEGER", bytes: "BLOB"}  # else TEXT


def _bare(annotation: Any) -> Any:
    """Return a field's type without its None; `dict` for any dictionary."""
    if get_origin(annotation) is dict:
        return dict
    return next((t for t in get_args(annotation) if t in _AFFINITY), annotation)


_TYPES: dict[Kind, dict[str, Any]] = {
    kind: {f.name: _bare(f.type) for f in msgspec.structs.fields(kind)} for kind in KINDS
}
_MAY_BE_NONE: dict[Kind, set[str]] = {
    kind: {f.name for f in msgspec.structs.fields(kind) if type(None) in get_args(f.type)}
    for kind in KINDS
}
_COLUMNS: dict[Kind, str] = {
    kind: ", ".join(f'"{name}"' for name in types) for kind, types in _TYPES.items()
}


def table(kind: Kind) -> str:
    """Return the table of a kind of event."""
    return kind.__name__.lower()


def key(kind: Kind) -> str:
    """Return the columns of the primary key, which is also the order of reading."""
    return ", ".join(KEY[kind])


def create(kind: Kind) -> str:
    """Return the statement that creates a table, whose rows lie in the order of reading."""
    columns = ", ".join(
        f'"{name}" {_AFFINITY.get(type_, "TEXT")}' for name, type_ in _TYPES[kind].items()
    )
    return f"CREATE TABLE IF NOT EXISTS {table(kind)} ({columns}, PRIMARY KEY ({key(kind)})) WITHOUT ROWID"


def upsert(kind: Kind) -> str:
    """Return the statement that writes an event; its parameters are a `row`."""
    return f"INSERT OR REPLACE INTO {table(kind)} ({_COLUMNS[kind]}) VALUES ({', '.join('?' * len(_TYPES[kind]))})"


def first_page(kind: Kind, rows: int) -> str:
    """Return the query for the first page; its parameters are patient, start and end."""
    time = FILING[kind].time
    return f"SELECT {_COLUMNS[kind]} FROM {table(kind)} WHERE patient_id = ? AND {time} >= ? AND {time} < ? ORDER BY {key(kind)} LIMIT {rows}"


def next_page(kind: Kind, rows: int) -> str:
    """Return the query for a further page; its parameters are the key of the last row read, patient
    and end."""
    after = f"({key(kind)}) > ({', '.join('?' * len(KEY[kind]))})"
    return (
        f"SELECT {_COLUMNS[kind]} FROM {table(kind)} WHERE {after} AND patient_id = ? AND {FILING[kind].time} < ?"
        f" ORDER BY {key(kind)} LIMIT {rows}"
    )


def newest(kind: Kind) -> str:
    """Return the query for the time of the newest row; its parameter is the patient."""
    return f"SELECT max({FILING[kind].time}) FROM {table(kind)} WHERE patient_id = ?"


def trim(kind: Kind, rows: int) -> str:
    """Return the statement that deletes the oldest rows that ended before a limit; its parameters
    are patient, limit and limit."""
    time = FILING[kind].time
    ended = "end_ns" if kind is Rhythm else time
    old = f"SELECT {key(kind)} FROM {table(kind)} WHERE patient_id = ? AND {time} < ? AND {ended} < ? ORDER BY {key(kind)} LIMIT {rows}"
    return f"DELETE FROM {table(kind)} WHERE ({key(kind)}) IN ({old})"


def row(event: Stored) -> tuple[Any, ...]:
    """Return the values of an event's columns; a dictionary as JSON."""
    values = msgspec.structs.astuple(event)
    if type(event) is not Action:  # the only kind with a dictionary
        return values
    return tuple([msgspec.json.encode(v).decode() if type(v) is dict else v for v in values])


def event(kind: type[E], row: tuple[Any, ...]) -> E:
    """Make an event of a row. SQLite has no booleans and stores NaN as NULL."""
    values: dict[str, Any] = {}
    for (name, type_), value in zip(_TYPES[kind].items(), row, strict=True):
        if value is None:
            values[name] = None if name in _MAY_BE_NONE[kind] else math.nan
        elif type_ is bool:
            values[name] = bool(value)
        else:
            values[name] = msgspec.json.decode(value) if type_ is dict else value
    return kind(**values)


def row_key(kind: Kind, row: tuple[Any, ...]) -> list[Any]:
    """Return the values of a row's primary key."""
    values = dict(zip(_TYPES[kind], row, strict=True))
    return [values[name] for name in KEY[kind]]
