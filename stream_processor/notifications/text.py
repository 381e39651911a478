"""Text of notifications."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from ingest.messages import Alarm, Priority
from stream_processor.notifications.moments import AlarmMoment, moment_id
from stream_processor.notifications.plan import NotificationPlan

MARKS: dict[Priority, str] = {"high": "***", "medium": "**", "low": "*"}


class NotificationText(NamedTuple):
    """Title and body of a notification."""

    title: str
    body: str
    tone: str  # Apprise's notify_type: failure, warning, info or success
    # for receivers that have fields of their own for these:
    short: str = ""  # the body without link and id
    link: str = ""  # the alarm's page; "" if the plan names no monitor
    tag: str = ""  # the alarm's id: a later message with it takes the place of an earlier one


def note(plan: NotificationPlan, alarm: Alarm, moment: AlarmMoment) -> NotificationText:
    """Write the notification about a moment of an alarm."""
    marks, what, patient = (
        MARKS[alarm.priority],
        _line(alarm.text or alarm.kind),
        _line(alarm.patient_id),
    )
    lines = [f"{marks} {what}", f"Patient: {patient}", f"Since: {_local(plan, alarm.onset_ns)}"]
    title, tone = (
        f"{marks} {patient}: {what}",
        {"high": "failure", "medium": "warning", "low": "info"}[alarm.priority],
    )
    if moment.step == "late":
        span = f"from {_local(plan, moment.since_ns)} to {_local(plan, moment.until_ns)}"
        title, tone = f"{patient}: {moment.level} late alarm(s), worst {what}", "warning"
        lines = [
            f"{moment.level} alarm(s) {span}, reported late: the connection was interrupted.",
            f"Patient: {patient}",
            f"Worst: {marks} {what}",
            "Alarms that still hold are reported separately.",
        ]
    elif moment.step == "escalated":
        title, lines = (
            f"{title} (call {moment.level + 1})",
            [*lines, f"Nobody has dealt with it: this is call {moment.level + 1}."],
        )
    elif moment.step == "acknowledged":
        title, tone, lines = (
            f"Acknowledged: {title}",
            "info",
            [*lines, f"Acknowledged by {_line(alarm.acknowledged_by)}."],
        )
    elif moment.step == "end":
        title, tone, lines = (
            f"Over: {title}",
            "success",
            [*lines, f"Over since: {_local(plan, alarm.end_ns or alarm.changed_ns)}"],
        )
    link, short = "", "\n".join(lines)
    if plan.monitor:
        patient, id_ = (quote(text, safe="") for text in (alarm.patient_id, alarm.id))
        link = f"{plan.monitor.rstrip('/')}/alarm?patient={patient}&id={id_}"
        lines.append(f"Monitor: {link}")
    body = "\n".join([*lines, f"Id: {_line(moment_id(alarm, moment))}"])
    return NotificationText(title, body, tone, short, link, alarm.id)


def _line(text: str) -> str:
    """Put a text on one line, because a title becomes the header of a mail."""
    return "".join(c if c.isprintable() else " " for c in text)


def _local(plan: NotificationPlan, time_ns: int) -> str:
    return (
        datetime.fromtimestamp(time_ns // 10**9, UTC)
        .astimezone(plan.zone)
        .strftime("%Y-%m-%d %H:%M:%S %Z")
    )
