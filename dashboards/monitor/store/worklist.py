"""All patients' alarms of a period with what reviewers said of them: the worklist, and its table
for the hand-over."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

from dashboards.monitor.live.views import View, alarm_view
from dashboards.monitor.store.questions import whole
from dashboards.report.cells import escape_formula
from ingest.messages import Alarm, Edit
from stream_processor.sinks.base import Sink

COLUMNS = (
    "bed",
    "patient",
    "name",
    "priority",
    "alarm",
    "kind",
    "onset",
    "end",
    "state",
    "acknowledged",
    "acknowledged_by",
    "verdict",
    "reviewed_by",
    "note",
)
People = dict[str, tuple[str, str]]  # bed and name by patient


def worklist(sink: Sink, start_ns: int, end_ns: int) -> list[View]:
    """The announced alarms with their onset in the period, newest first, each with its patient and
    its newest review ("" if nobody has reviewed it)."""
    found = whole(
        (patient, alarm)
        for patient in sink.patients()
        for alarm in sink.read(Alarm, patient, start_ns, end_ns)
        if alarm.announced
    )
    reviews = {
        edit.target_id: edit
        for patient in sorted({patient for patient, _ in found})
        for edit in sink.read(Edit, patient, start_ns)
        if edit.target == "alarm"
    }
    found.sort(key=lambda item: -item[1].onset_ns)
    return [row(patient, alarm, reviews.get(alarm.id)) for patient, alarm in found]


def row(patient: str, alarm: Alarm, review: Edit | None) -> View:
    """One line of the worklist."""
    return {
        "patient": patient,
        **alarm_view(alarm),
        "verdict": review.verdict if review else "",
        "verdict_label": review.label if review else "",
        "reviewed_by": review.by if review else "",
        "note": review.note if review else "",
    }


def state_of(line: View) -> str:
    """The state of an alarm in one word, as the page has it."""
    if line["over"]:
        return "not acknowledged" if line["standing"] else "over"
    return "acknowledged" if line["acknowledged"] is not None else "holds"


def as_csv(rows: list[View], people: People) -> str:
    """The worklist as a table. Times are ISO 8601, in UTC."""
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    for line in rows:
        bed, name = people.get(line["patient"], ("", ""))
        written = {
            **line,
            "bed": bed,
            "name": name,
            "alarm": line["text"] or line["kind"],
            "state": state_of(line),
            **{key: _iso(line[key]) for key in ("onset", "end", "acknowledged")},
        }
        table.writerow([escape_formula(written[column]) for column in COLUMNS])
    return text.getvalue()


def _iso(time_ms: Any) -> str:
    if time_ms is None:
        return ""
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="seconds")
