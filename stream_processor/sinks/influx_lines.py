"""Events as InfluxDB points: line protocol by f-string, and back from the values of a query.

Measurements beat, rhythm, vitals, alarm; tags patient, device, lead; all else are fields, at nanosecond precision. A point's identity is
measurement, tags and time, so that writing an event again replaces it, with four particulars:
- Alarms of different kinds may share their onset: an alarm's point is at onset_ns plus the place of its kind in AlarmKind (at most 22 ns,
  far less than the distance between two samples); the field onset_ns has the true one.
- InfluxDB merges the fields of a rewritten point, so that a field left out would keep its old value. The field `none` names the fields
  that have no value (comma-separated; "-" for none of them): a reader ignores what may still be stored under them.
- Empty strings are such fields too: InfluxDB 2.7.12 answers a column with some empty and some other strings with the strings in other
  rows than they were written to (tests/contract/test_sinks.py, many events of one series, shows it).
- A tag can hold no line break and no backslash at its end, and queries answer a line break in a field with two characters. So control
  characters and the backslash are stored as %XX, and so is a percent sign that reads as the start of one. An empty tag is a missing one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any, get_args
from urllib.parse import unquote

import msgspec

from ingest.messages import Alarm, AlarmKind, Beat, Event, Rhythm, Vitals
from stream_processor.sinks.base import KINDS, E, event_time

ALARM_KINDS: tuple[str, ...] = get_args(AlarmKind)
TAGS = {"patient": "patient_id", "device": "device_id", "lead": "lead"}  # to the messages' fields
_TIME = {Beat: "time_ns", Vitals: "time_ns", Rhythm: "start_ns"}  # the fields that are the point's own time
# The other fields, and what each is where it has no value.
_FIELDS = {
    kind: {
        f.name: None if type(None) in get_args(f.type) else ""
        for f in msgspec.structs.fields(kind)
        if f.name not in {"schema", _TIME.get(kind), *TAGS.values()}
    }
    for kind in KINDS
}
_RANK = {kind: i for i, kind in enumerate(ALARM_KINDS)}
_UNFIT = re.compile(r"[\x00-\x1f\x7f\\]|%(?=[0-9A-Fa-f]{2})")
_ESCAPED = str.maketrans({",": r"\,", "=": r"\=", " ": r"\ "})


def measurement(kind: type[Event]) -> str:
    """The name of a kind's measurement."""
    return kind.__name__.lower()


def point_time(event: Event) -> int:
    """The time of an event's point."""
    return event_time(event) + (_RANK[event.kind] if isinstance(event, Alarm) else 0)


def quoted(text: str) -> str:
    """A string as it is stored: the same for all but a few characters."""
    return _UNFIT.sub(lambda found: f"%{ord(found.group()):02X}", text)


def unquoted(text: str) -> str:
    """The string that is meant by a stored one."""
    return unquote(text) if "%" in text else text


def line(event: Event) -> str:
    """One line of line protocol, without its end."""
    if isinstance(event, Beat):
        return _beat(event)
    if isinstance(event, Vitals):
        return _vitals(event)
    return _rhythm(event) if isinstance(event, Rhythm) else _alarm(event)


def event(kind: type[E], row: Mapping[str, str]) -> E:
    """The event of a row of a query's answer: strings by the names of tags and fields, empty or missing where there is no value."""
    none = row["none"].split(",")
    values: dict[str, Any] = {name: empty if name in none else unquoted(row[name]) for name, empty in _FIELDS[kind].items()}
    values |= {field: unquoted(row.get(name, "")) for name, field in TAGS.items()}
    if kind is not Alarm:
        values[_TIME[kind]] = nanoseconds(row["_time"])
    return msgspec.convert(values, kind, strict=False)


def nanoseconds(time: str) -> int:
    """Nanoseconds since the Unix epoch of a time as InfluxDB writes it: 2026-01-31T12:00:00Z, or with up to nine decimals."""
    fraction = time[20:-1].ljust(9, "0")
    return round(datetime.fromisoformat(f"{time[:19]}+00:00").timestamp()) * 1_000_000_000 + int(fraction)


@lru_cache(100_000)
def _tags(patient: str, device: str, lead: str) -> str:
    named = {"patient": patient, "device": device, "lead": lead}
    return "".join(f",{name}={quoted(value).translate(_ESCAPED)}" for name, value in sorted(named.items()) if value)


def _text(value: str) -> str | None:
    text = quoted(value).replace('"', '\\"')
    return f'"{text}"' if text else None


def _optional(**values: str | None) -> str:
    """Fields that may have no value, and the field `none` that names those."""
    given = "".join([f",{name}={value}" for name, value in values.items() if value is not None])
    return f'{given},none="{",".join([name for name, value in values.items() if value is None]) or "-"}"'


def _float(value: float | None) -> str | None:
    return None if value is None else f"{value}"


def _int(value: int | None) -> str | None:
    return None if value is None else f"{value}i"


def _beat(e: Beat) -> str:
    return (
        f'beat{_tags(e.patient_id, e.device_id, e.lead)} label="{e.label}",sample={e.sample}i,fs_hz={e.fs_hz},'
        f"confidence={e.confidence},label_probability={e.label_probability}{_optional(rr_ms=_float(e.rr_ms))} {e.time_ns}"
    )


def _vitals(e: Vitals) -> str:
    rates = _optional(hr_bpm=_float(e.hr_bpm), sdnn_ms=_float(e.sdnn_ms), rmssd_ms=_float(e.rmssd_ms), reason=_text(e.reason))
    return f"vitals{_tags(e.patient_id, e.device_id, e.lead)} quality={e.quality}{rates} {e.time_ns}"


def _rhythm(e: Rhythm) -> str:
    return (
        f'rhythm{_tags(e.patient_id, e.device_id, e.lead)} label="{e.label}",end_ns={e.end_ns}i,start_sample={e.start_sample}i,'
        f'end_sample={e.end_sample}i,fs_hz={e.fs_hz},probability={e.probability},none="-" {e.start_ns}'
    )


def _alarm(e: Alarm) -> str:
    measured = {"value": _float(e.value), "limit": _float(e.limit)}
    ended = {"end_ns": _int(e.end_ns), "end_sample": _int(e.end_sample)}
    people = {
        "acknowledged_ns": _int(e.acknowledged_ns), "acknowledged_by": _text(e.acknowledged_by),
        "silenced_until_ns": _int(e.silenced_until_ns),
    }  # fmt: skip
    optional = _optional(id=_text(e.id), text=_text(e.text), **ended, **measured, **people)
    return (
        f'alarm{_tags(e.patient_id, e.device_id, e.lead)} kind="{e.kind}",priority="{e.priority}",step="{e.step}",'
        f"onset_ns={e.onset_ns}i,raised_ns={e.raised_ns}i,onset_sample={e.onset_sample}i,raised_sample={e.raised_sample}i,fs_hz={e.fs_hz},"
        f"changed_ns={e.changed_ns}i,level={e.level}i,announced={e.announced},latching={e.latching}{optional} {point_time(e)}"
    )
