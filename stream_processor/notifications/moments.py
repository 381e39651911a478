"""Moments of an alarm that people are notified about: its onset, each time it re-alarms and, if a
rule asks for them, its end and its acknowledgement."""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import Alarm


class AlarmMoment(NamedTuple):
    """A moment of an alarm that people are notified about."""

    step: str  # onset, escalated, end, acknowledged, or late: several late alarms in one message
    level: int  # of escalation; late: number of alarms
    since_ns: int = 0  # late: onset of the first alarm, Unix time in ns
    until_ns: int = 0


def moment_of(alarm: Alarm, *, first: bool) -> AlarmMoment | None:
    """Return the moment that a step of an alarm is, or None. `first`: no announced step of the
    alarm has been seen before.

    An alarm that was suppressed at its onset and is announced later begins for people at that time,
    and so does an alarm that was reported late and still holds when its signal is in time again.
    """
    if not alarm.announced or alarm.late_s:
        return None
    if alarm.step in ("escalated", "end", "acknowledged"):
        return AlarmMoment(alarm.step, alarm.level)
    if first or alarm.step == "onset":
        return AlarmMoment("onset", 0)
    return None


def moment_id(alarm: Alarm, moment: AlarmMoment) -> str:
    """Return an id that is the same for every repeat of a message, so that a receiver can drop
    repeats."""
    return f"{alarm.id}|{moment.step}|{moment.level}"


def is_silenced(alarm: Alarm) -> bool:
    """Return whether the alarm is silenced as of this step; a high-priority alarm never is."""
    return (
        alarm.priority != "high"
        and alarm.silenced_until_ns is not None
        and alarm.silenced_until_ns > alarm.changed_ns
    )
