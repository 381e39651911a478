"""The tables of the SQLite store: one per kind of event, one column per field of its message, all derived from the messages."""

from __future__ import annotations

import math
from typing import Any, get_args

import msgspec

from ingest.messages import Alarm, Beat, Event, Rhythm, Vitals
from stream_processor.sinks.base import KINDS, E

LAYOUT = 2  # PRAGMA user_version; another number for every change of a message's fields
TIME = {Beat: "time_ns", Vitals: "time_ns", Rhythm: "start_ns", Alarm: "onset_ns"}
KEY = {kind: ["patient_id", time, "device_id", "lead", *(["kind"] if kind is Alarm else [])] for kind, time in TIME.items()}
_AFFINITY = {int: "INTEGER", float: "REAL", bool: "INTEGER"}  # else TEXT


def _bare(annotation: Any) -> Any:
    """A field's type without its None."""
    return next((t for t in get_args(annotation) if t in _AFFINITY), annotation)


_TYPES = {kind: {f.name: _bare(f.type) for f in msgspec.structs.fields(kind)} for kind in KINDS}
_MAY_BE_NONE = {kind: {f.name for f in msgspec.structs.fields(kind) if type(None) in get_args(f.type)} for kind in KINDS}


def table(kind: type[Event]) -> str:
    """The name of a kind's table."""
    return kind.__name__.lower()


def key(kind: type[Event]) -> str:
    """The columns of the primary key, which are also the order of reading."""
    return ", ".join(KEY[kind])


def create(kind: type[Event]) -> str:
    """Rows lie in the order of patient and time, so that a read is one sweep."""
    columns = ", ".join(f'"{name}" {_AFFINITY.get(type_, "TEXT")}' for name, type_ in _TYPES[kind].items())
    return f"CREATE TABLE IF NOT EXISTS {table(kind)} ({columns}, PRIMARY KEY ({key(kind)})) WITHOUT ROWID"


def upsert(kind: type[Event]) -> str:
    """Takes a row as `msgspec.structs.astuple` gives it."""
    return f"INSERT OR REPLACE INTO {table(kind)} VALUES ({', '.join('?' * len(_TYPES[kind]))})"


def first_page(kind: type[Event], rows: int) -> str:
    """Takes patient, start, end."""
    time = TIME[kind]
    return f"SELECT * FROM {table(kind)} WHERE patient_id = ? AND {time} >= ? AND {time} < ? ORDER BY {key(kind)} LIMIT {rows}"


def next_page(kind: type[Event], rows: int) -> str:
    """Takes the key of the last row had, patient, end."""
    after = f"({key(kind)}) > ({', '.join('?' * len(KEY[kind]))})"
    return f"SELECT * FROM {table(kind)} WHERE {after} AND patient_id = ? AND {TIME[kind]} < ? ORDER BY {key(kind)} LIMIT {rows}"


def trim(kind: type[Event], rows: int) -> str:
    """Takes patient, limit, limit: deletes the oldest rows that ended before the limit."""
    ended = "end_ns" if kind is Rhythm else TIME[kind]
    old = (
        f"SELECT {key(kind)} FROM {table(kind)} WHERE patient_id = ? AND {TIME[kind]} < ? AND {ended} < ? ORDER BY {key(kind)} LIMIT {rows}"
    )
    return f"DELETE FROM {table(kind)} WHERE ({key(kind)}) IN ({old})"


def event(kind: type[E], row: tuple[Any, ...]) -> E:
    """The event of a row. SQLite knows no booleans, and keeps a NaN as NULL."""
    values: dict[str, Any] = {}
    for (name, type_), value in zip(_TYPES[kind].items(), row, strict=True):
        lost_nan = value is None and name not in _MAY_BE_NONE[kind]
        values[name] = math.nan if lost_nan else bool(value) if type_ is bool else value
    return kind(**values)


def row_key(kind: type[Event], row: tuple[Any, ...]) -> list[Any]:
    """The primary key's values of a row."""
    values = dict(zip(_TYPES[kind], row, strict=True))
    return [values[name] for name in KEY[kind]]
