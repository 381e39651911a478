"""What of an alarm's life people are told: its onset, each time it calls again and, where a rule
wants it, its end and acknowledgement."""

from __future__ import annotations

from typing import NamedTuple

from ingest.messages import Alarm


class Moment(NamedTuple):
    """Something about an alarm that people are to be told."""

    step: str  # onset, escalated, end or acknowledged; late: several that came late, in one message
    level: int  # late: how many
    since_ns: int = 0  # late: onsets of the first and the last
    until_ns: int = 0


def moment_of(alarm: Alarm, *, first: bool) -> Moment | None:
    """The moment that this step of an alarm is, if any; `first`: nothing announced has been seen of
    the alarm before.

    An alarm that was held back at its onset and is announced later begins for people then, and so
    does one that was told late and still holds when its signal is in time again.
    """
    if not alarm.announced or alarm.late_s:
        return None
    if alarm.step in ("escalated", "end", "acknowledged"):
        return Moment(alarm.step, alarm.level)
    if first or alarm.step == "onset":
        return Moment("onset", 0)
    return None


def moment_id(alarm: Alarm, moment: Moment) -> str:
    """The same for every repeat of a message, so that a receiver can drop repeats."""
    return f"{alarm.id}|{moment.step}|{moment.level}"


def is_silenced(alarm: Alarm) -> bool:
    """Whether somebody has silenced it as of this step; high ones break through."""
    return (
        alarm.priority != "high"
        and alarm.silenced_until_ns is not None
        and alarm.silenced_until_ns > alarm.changed_ns
    )
