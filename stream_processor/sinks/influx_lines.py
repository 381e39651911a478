"""Conversion of events to InfluxDB line protocol, and of query rows back to events, derived from the
messages.

Measurements are beat, rhythm, vitals, alarm, strip, waveform, action, delivery, score, edit, finding
and journalentry. Tags are patient, device and lead for events of a stream, and task for a finding;
everything else is a field. Times have nanosecond precision. Packed samples are base64, a dictionary
is JSON. Beside its own point, each strip is a series of samples that can be drawn: measurement ecg,
field mv, one point per sample.

A point's identity is measurement, tags and time, so that writing an event again replaces it. Four
cases need care:
- Two events of a patient and time may differ in a field that is not a tag. The points of an alarm
  and its strip are at onset_ns plus the index of the kind in AlarmKind (some ns, far less than the
  distance between two samples). The points of actions, deliveries, edits and journal entries are at
  time_ns plus a hash of their id, at most 17 ms: two of a patient within that time replace each
  other with a chance of 1 in 17 million (SQLite has no such limit). The field onset_ns or time_ns
  holds the true time.
- InfluxDB merges the fields of a rewritten point, so that a field left out would keep its old
  value. The field `none` names the fields without a value (comma-separated; "-" for none of them):
  a reader ignores what may still be stored under them.
- Empty strings are listed in `none` too: if some strings of a column are empty, InfluxDB 2.7.12
  returns the others in the wrong rows (tests/contract/test_sinks.py, many events of one series,
  shows it).
- A tag can hold no line break and no backslash at its end, and queries return a line break in a
  field as two characters. Control characters and the backslash are therefore stored as %XX, and so
  is a percent sign that reads as the start of one. An empty tag is a missing one.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, get_args, get_origin
from urllib.parse import unquote

import msgspec
import numpy as np

from ingest.messages import AlarmKind, Stored, Strip, sample_offset_ns
from ingest.packing import MISSING, unpack
from stream_processor.sinks.base import FILING, KINDS, E, Kind, event_time

# tag -> field of the message
TAGS = {"patient": "patient_id", "device": "device_id", "lead": "lead", "task": "task"}
ID_SPREAD_NS = 2**24
_RANK = {kind: i for i, kind in enumerate(get_args(AlarmKind))}
_BY_KIND = {kind for kind, filing in FILING.items() if "kind" in filing.apart_by}
_BY_ID = {kind for kind, filing in FILING.items() if "id" in filing.apart_by}
# How much later than its event a point may lie, in ns.
SPREAD_NS: dict[Kind, int] = {
    kind: len(_RANK) if kind in _BY_KIND else ID_SPREAD_NS if kind in _BY_ID else 0
    for kind in KINDS
}
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]|%(?=[0-9A-Fa-f]{2})")
_ESCAPED = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


def measurement(kind: Kind) -> str:
    """Return the measurement of a kind of event."""
    return kind.__name__.lower()


def point_time(event: Stored) -> int:
    """Return the time of an event's point, Unix time in ns."""
    kind, time = type(event), event_time(event)
    if kind in _BY_KIND:
        return time + _RANK[event.kind]  # type: ignore[union-attr]
    return time + _hash(event.id) if kind in _BY_ID else time  # type: ignore[union-attr]


def quoted(text: str) -> str:
    """Escape a string for storage; only few characters change."""
    return _UNFIT.sub(lambda found: f"%{ord(found.group()):02X}", text)


def unquoted(text: str) -> str:
    """Undo `quoted`."""
    return unquote(text) if "%" in text else text


def nanoseconds(time: str) -> int:
    """Convert a time as InfluxDB writes it (2026-01-31T12:00:00Z, or with up to nine decimals) to
    Unix time in ns."""
    fraction = time[20:-1].ljust(9, "0")
    return round(datetime.fromisoformat(f"{time[:19]}+00:00").timestamp()) * 1_000_000_000 + int(
        fraction
    )


def _text(value: str) -> str | None:
    text = quoted(value).replace('"', '\\"')
    return f'"{text}"' if text else None


# labels, names of alarms and the like: few different strings, often repeated
_known_text = lru_cache(10_000)(_text)


class _Field(NamedTuple):
    """A field of a point: how its value is written (None: no value) and read, and its value if none
    is stored."""

    name: str
    write: Callable[[Any], str | None]
    read: Callable[[str], Any]
    none: Any  # value if `none` lists the field; msgspec.NODEFAULT: never listed
    # value in a point written before the field existed; msgspec.NODEFAULT: unknown
    missing: Any


def _field(of: msgspec.structs.FieldInfo) -> _Field:
    optional = type(None) in get_args(of.type)
    bare = next((t for t in get_args(of.type) if t in (int, float)), of.type)
    missing = of.default if of.default_factory is msgspec.NODEFAULT else of.default_factory()
    if bare is int:
        return _Field(
            of.name,
            lambda v: None if v is None else f"{v}i",
            int,
            None if optional else msgspec.NODEFAULT,
            missing,
        )
    if bare is float:
        return _Field(
            of.name,
            lambda v: None if v is None else f"{v}",
            float,
            None if optional else msgspec.NODEFAULT,
            missing,
        )
    if bare is bool:
        return _Field(of.name, str, "true".__eq__, msgspec.NODEFAULT, missing)
    if bare is bytes:
        return _Field(
            of.name, lambda v: _text(base64.b64encode(v).decode()), base64.b64decode, b"", missing
        )
    if get_origin(bare) is dict:
        as_json = msgspec.json.encode
        return _Field(
            of.name,
            lambda v: _text(as_json(v).decode()),
            lambda s: msgspec.json.decode(unquoted(s)),
            msgspec.NODEFAULT,
            missing,
        )
    return _Field(of.name, _known_text, unquoted, "", missing)


# Fields stored as tags or as the point's own time.
_ELSEWHERE: dict[Kind, set[str]] = {
    kind: {"schema", *TAGS.values(), *(() if SPREAD_NS[kind] else (FILING[kind].time,))}
    for kind in KINDS
}
_FIELDS: dict[Kind, list[_Field]] = {
    kind: [_field(f) for f in msgspec.structs.fields(kind) if f.name not in _ELSEWHERE[kind]]
    for kind in KINDS
}


def lines(event: Stored) -> Iterator[str]:
    """Yield an event's lines of line protocol, without line ends: its own point, then a strip's
    samples."""
    kind = type(event)
    writer = _WRITERS[kind]
    tags = _tags(writer.tags, writer.tag_values_of(event))
    given, none = "", ""
    for (name, write), value in zip(writer.fields, writer.values_of(event), strict=True):
        if (text := write(value)) is None:
            none += f",{name}"
        else:
            given += f"{name}={text},"
    yield f'{writer.measurement}{tags} {given}none="{none[1:] or "-"}" {point_time(event)}'
    if isinstance(event, Strip):
        yield from _samples(event, tags)


class _Writer(NamedTuple):
    """How events of a kind are written. Made once per kind: an event takes a fifth of the time."""

    measurement: str
    fields: tuple[tuple[str, Callable[[Any], str | None]], ...]  # name, and how a value is written
    values_of: Callable[[Any], tuple[Any, ...]]  # of these fields, in their order
    tags: tuple[str, ...]
    tag_values_of: Callable[[Any], tuple[str, ...]]


def _writer(kind: Kind) -> _Writer:
    fields = tuple((field.name, field.write) for field in _FIELDS[kind])
    tags = {tag: name for tag, name in sorted(TAGS.items()) if name in kind.__struct_fields__}
    return _Writer(
        measurement(kind),
        fields,
        _getter([name for name, _ in fields]),
        tuple(tags),
        _getter(list(tags.values())),
    )


def _getter(names: Sequence[str]) -> Callable[[Any], tuple[Any, ...]]:
    """Return a function that reads these attributes; of a single one too it makes a tuple."""
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda event: (get(event),)


_WRITERS = {kind: _writer(kind) for kind in KINDS}


def event(kind: type[E], row: Mapping[str, str]) -> E:
    """Make an event of a row of a query's answer: strings by tag or field, empty or missing if
    there is no value."""
    none = row["none"].split(",")
    values: dict[str, Any] = {
        f.name: f.none if f.name in none else _value(f, row) for f in _FIELDS[kind]
    }
    values |= {
        field: unquoted(row.get(tag, ""))
        for tag, field in TAGS.items()
        if field in kind.__struct_fields__
    }
    if not SPREAD_NS[kind]:
        values[FILING[kind].time] = nanoseconds(row["_time"])
    return msgspec.convert(values, kind)


def _value(field: _Field, row: Mapping[str, str]) -> Any:
    stored = row.get(field.name, "")
    if stored:
        return field.read(stored)
    if field.name == "changed_ns":  # of an alarm stored before alarms had this field
        return int(row.get("end_ns") or row["raised_ns"])
    return field.missing


def _samples(strip: Strip, tags: str) -> Iterator[str]:
    counts = unpack(strip.packed)
    there = np.flatnonzero(counts != MISSING)
    start_ns = strip.start_ns - sample_offset_ns(strip.start_sample, strip.fs_hz)
    # sample_offset_ns for all samples at once
    times = start_ns + np.rint((strip.start_sample + there) * 1e9 / strip.fs_hz).astype(np.int64)
    # a strip has thousands of samples and some hundred values: each is written once
    known, which = np.unique(counts[there], return_inverse=True)
    heads = [f"ecg{tags} mv={mv} " for mv in np.round(known / strip.counts_per_mv, 4).tolist()]
    for head, time in zip(which.tolist(), times.tolist(), strict=True):
        yield f"{heads[head]}{time}"


def _hash(text: str) -> int:
    """Hash a text to the same number below ID_SPREAD_NS in every process."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=3).digest(), "big")


@lru_cache(100_000)
def _tags(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    """Write tags, sorted by name; empty ones are left out."""
    return "".join(
        f",{name}={quoted(value).translate(_ESCAPED)}"
        for name, value in zip(names, values, strict=True)
        if value
    )
