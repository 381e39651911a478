"""Jobs of earlier processes, from their Deliveries on ecg.notifications."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from ingest.clock import Clock
from ingest.messages import Alarm, Delivery
from stream_processor.notifications.entries import DeliveryEntry, closing_entry
from stream_processor.notifications.lane import Job
from stream_processor.notifications.moments import AlarmMoment

_NOT_DUE = (
    "the notifications file no longer names its recipient for it, or its alarm is older than a day"
)


@dataclass
class PastJob:
    """A job of an earlier process, as the broker holds it."""

    partition: int
    last: Delivery  # the one that counts: once delivered, always delivered
    since_ns: int

    @property
    def closed(self) -> bool:
        """True if no further attempt is due."""
        return self.last.next_ns is None


class PastJobs:
    """Jobs of earlier processes that have not been taken up yet, by key."""

    def __init__(self) -> None:
        self._jobs: dict[str, PastJob] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._jobs

    def add(self, partition: int, delivery: Delivery) -> None:
        """Add a Delivery; those of one job come oldest first."""
        key = delivery.id.rpartition("|")[0]
        past = self._jobs.setdefault(key, PastJob(partition, delivery, delivery.time_ns))
        past.last = past.last if past.last.outcome == "delivered" else delivery

    def pop(self, key: str) -> PastJob | None:
        """Hand out a job, once; None if no earlier process had it."""
        return self._jobs.pop(key, None)

    def close_others(self, coming: Set[str], now_ns: int) -> list[DeliveryEntry]:
        """Drop every job whose alarm (by id) is not among those still to come, and return what
        closes the open ones."""
        entries: list[DeliveryEntry] = []
        for key, past in list(self._jobs.items()):
            if past.last.alarm_id not in coming:
                del self._jobs[key]
                if not past.closed:
                    entries.append(closing_entry(past.partition, key, past.last, now_ns, _NOT_DUE))
        return entries


def make_job(
    key: str,
    recipient: str,
    alarm: Alarm,
    moment: AlarmMoment,
    partition: int,
    past: PastJob | None,
    clock: Clock,
) -> Job:
    """Make a job that begins now or, if an earlier process had it, goes on where that left it."""
    now_s, now_ns = clock.steady_s(), clock.now_ns()
    job = Job(key, recipient, alarm, moment, partition, now_ns, now_s)
    if past is not None:
        last = past.last
        job.since_ns = past.since_ns
        job.since_s = now_s - (now_ns - past.since_ns) / 1e9
        job.attempts = last.attempt if last.outcome == "failed" else last.attempt - 1
        job.due_s = now_s + max(((last.next_ns or 0) - now_ns) / 1e9, 0.0)
    return job
