"""Questions to the store, run by a reader (readers.py): each takes its sink first, and returns
values that can be passed between processes.

Long lists are returned as the JSON that is sent to the client, so that they are not converted
twice.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable
from itertools import islice
from typing import TypeVar

import msgspec

from dashboards.monitor.live.views import (
    View,
    alarm_view,
    beat_view,
    edit_view,
    finding_view,
    journal_view,
    rhythm_view,
)
from dashboards.monitor.store import waveforms
from dashboards.monitor.store.trends import trend as in_columns
from dashboards.report.cells import escape_formula
from dashboards.report.findings import find
from dashboards.report.page import report_html
from dashboards.report.rhythm import minutes, reaching_into
from ingest.errors import RefusedError
from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Edit,
    Finding,
    JournalEntry,
    Rhythm,
    RhythmLabel,
    Strip,
    Vitals,
)
from stream_processor.sinks.base import Sink

T = TypeVar("T")
MOST = 20_000  # most events in one answer
EDIT_COLUMNS = (
    "patient_id",
    "time_ns",
    "id",
    "by",
    "target",
    "target_id",
    "at_ns",
    "said",
    "verdict",
    "label",
    "note",
)
_json = msgspec.json.Encoder()


def alarms(sink: Sink, patient: str, start_ns: int, end_ns: int) -> list[Alarm]:
    """Alarms with their onset in the period, in order."""
    return whole(sink.read(Alarm, patient, start_ns, end_ns))


def alarm(sink: Sink, patient: str, onset_ns: int, alarm_id: str) -> Alarm | None:
    """One alarm."""
    return next(
        (a for a in sink.read(Alarm, patient, onset_ns, onset_ns + 1) if a.id == alarm_id), None
    )


def alarm_list(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"alarms"}, newest first."""
    return _list("alarms", alarm_view, reversed(alarms(sink, patient, start_ns, end_ns)))


def known(sink: Sink, patient: str) -> bool:
    """True if any of the patient's signal is stored."""
    return next(iter(sink.read(Vitals, patient)), None) is not None


def found_at(
    sink: Sink, kind: type[Beat] | type[Rhythm], patient: str, at_ns: int
) -> Beat | Rhythm | None:
    """The beat at a moment, or the episode that begins then."""
    every: Iterable[Beat | Rhythm] = sink.read(kind, patient, at_ns, at_ns + 1)
    return next(iter(every), None)


def actions(sink: Sink, patient: str, start_ns: int = 0) -> list[Action]:
    """All actions on a patient's alarms since a moment."""
    return whole(sink.read(Action, patient, start_ns))


def rhythm(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"episodes"}"""
    return _list("episodes", _episode, whole(reaching_into(sink, patient, start_ns, end_ns)))


def beats(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"beats"}"""
    return _list("beats", _beat, whole(sink.read(Beat, patient, start_ns, end_ns)))


def findings(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"findings"}"""
    return _list("findings", finding_view, whole(sink.read(Finding, patient, start_ns, end_ns)))


def journal(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"journal"}, each entry with the rhythms of the minute around it, the longest first"""
    entries = whole(sink.read(JournalEntry, patient, start_ns, end_ns))
    return _list("journal", _journal_entry, minutes(sink, patient, entries))


def trend(sink: Sink, patient: str, start_ns: int, end_ns: int, columns: int) -> bytes:
    """Vitals in columns."""
    return _json.encode(
        in_columns(sink.read(Vitals, patient, start_ns, end_ns), start_ns, end_ns, columns)
    )


def envelope(sink: Sink, patient: str, start_ns: int, end_ns: int, columns: int) -> bytes:
    """The signal's range of values in columns."""
    return waveforms.envelope(sink, patient, start_ns, end_ns, columns)


def samples(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """The signal, every sample."""
    return b"".join(
        waveforms.encode_block(block) for block in waveforms.blocks(sink, patient, start_ns, end_ns)
    )


def strip(sink: Sink, patient: str, onset_ns: int, alarm_id: str) -> bytes | None:
    """The signal around an alarm."""
    found = next(
        (s for s in sink.read(Strip, patient, onset_ns, onset_ns + 1) if s.alarm_id == alarm_id),
        None,
    )
    return None if found is None else waveforms.encode_block(waveforms.strip_block(found))


def edits(sink: Sink, patient: str, start_ns: int, end_ns: int) -> bytes:
    """{"edits"}"""
    return _list("edits", edit_view, whole(sink.read(Edit, patient, start_ns, end_ns)))


def edits_csv(sink: Sink, start_ns: int, end_ns: int) -> str:
    """All patients' edits as a table."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(EDIT_COLUMNS)
    for edit in whole(
        edit for patient in sink.patients() for edit in sink.read(Edit, patient, start_ns, end_ns)
    ):
        table.writerow([escape_formula(getattr(edit, column)) for column in EDIT_COLUMNS])
    return text.getvalue()


def report(sink: Sink, patient: str, start_ns: int, end_ns: int, made_ns: int) -> str:
    """The report as a page to print."""
    return report_html(find(sink, patient, start_ns, end_ns), made_ns)


def whole(events: Iterable[T]) -> list[T]:
    """The whole list, or a refusal: a truncated list must never look complete."""
    found = list(islice(events, MOST + 1))
    if len(found) > MOST:
        raise RefusedError(400, f"more than {MOST} in this period", "Ask for a shorter period.")
    return found


def _list(name: str, view: Callable[[T], View], events: Iterable[T]) -> bytes:
    return _json.encode({name: [view(event) for event in events]})


def _episode(found: Rhythm) -> View:
    return {"id": str(found.start_ns), **rhythm_view(found)}


def _journal_entry(found: tuple[JournalEntry, list[RhythmLabel]]) -> View:
    entry, rhythm = found
    return {**journal_view(entry), "rhythm": rhythm}


def _beat(found: Beat) -> View:
    return {
        "id": str(found.time_ns),
        **beat_view(found),
        "confidence": found.confidence,
        "probability": found.label_probability,
    }
