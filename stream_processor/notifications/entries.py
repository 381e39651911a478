"""Deliveries that the notification queue writes: what became of a job."""

from __future__ import annotations

from typing import Literal, NamedTuple

import msgspec

from ingest.messages import Delivery
from stream_processor.notifications.lane import Job


class DeliveryEntry(NamedTuple):
    """A Delivery to put on ecg.notifications, and the job that it is about."""

    partition: int
    key: str
    delivery: Delivery


def entry_of(
    job: Job,
    now_ns: int,
    outcome: Literal["delivered", "failed", "held back"],
    reason: str = "",
    next_ns: int | None = None,
    attempt: int = 0,
) -> DeliveryEntry:
    """Write down what became of a job.

    Args:
        job: the job.
        now_ns: Unix time.
        outcome: of the attempt; "held back": suppressed or waiting, no attempt was made.
        reason: why it failed, was suppressed or waits.
        next_ns: when the job goes on, Unix time; None if it is closed.
        attempt: number of the attempt; 0 means the last one if it failed, otherwise the next one.
    """
    number = attempt or (job.attempts if outcome == "failed" else job.attempts + 1)
    delivery = Delivery(
        patient_id=job.alarm.patient_id,
        time_ns=now_ns,
        id=f"{job.key}|{number}",
        alarm_id=job.alarm.id,
        kind=job.alarm.kind,
        priority=job.alarm.priority,
        step=job.moment.step,
        recipient=job.recipient,
        attempt=number,
        outcome=outcome,
        reason=reason,
        next_ns=next_ns,
    )
    return DeliveryEntry(job.partition, job.key, delivery)


def closing_entry(
    partition: int, key: str, last: Delivery, now_ns: int, reason: str
) -> DeliveryEntry:
    """Close a job of which only its last Delivery is known."""
    delivery = msgspec.structs.replace(
        last, time_ns=now_ns, outcome="held back", reason=reason, next_ns=None
    )
    return DeliveryEntry(partition, key, delivery)
