"""Late alarms, gathered into one message per patient and recipient."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass

from ingest.clock import Clock
from ingest.messages import Alarm

QUIET_S = 15.0  # without another late alarm before the gathered ones are sent
_RANK = ("high", "medium", "low")


@dataclass
class LateBatch:
    """Late alarms of one patient for one recipient."""

    key: str  # key of the job that the batch becomes
    recipient: str
    partition: int
    worst: Alarm
    since_ns: int
    until_ns: int
    heard_s: float
    count: int = 0


def late_key(first: Alarm, recipient: str) -> str:
    """Return the key of the job about late alarms of which `first` is the first."""
    return f"{first.id}|late|0|{recipient}"


class LateAlarms:
    """Gathers late alarms until none has arrived for QUIET_S."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._batches: dict[tuple[str, str], LateBatch] = {}

    def add(self, alarm: Alarm, recipient: str, partition: int) -> str:
        """Add an alarm; return the key of the batch that it begins, or "" if it joins one."""
        now_s, place = self._clock.steady_s(), (alarm.patient_id, recipient)
        batch = self._batches.get(place)
        key = ""
        if batch is None:
            key = late_key(alarm, recipient)
            batch = self._batches[place] = LateBatch(
                key, recipient, partition, alarm, alarm.onset_ns, alarm.onset_ns, now_s
            )
        batch.count += 1
        batch.heard_s = now_s
        batch.since_ns = min(batch.since_ns, alarm.onset_ns)
        batch.until_ns = max(batch.until_ns, alarm.onset_ns)
        if _RANK.index(alarm.priority) < _RANK.index(batch.worst.priority):
            batch.worst = alarm
        return key

    def due(self) -> list[LateBatch]:
        """Hand out the batches to send now."""
        now_s = self._clock.steady_s()
        found = {k: b for k, b in self._batches.items() if now_s - b.heard_s >= QUIET_S}
        for place in found:
            del self._batches[place]
        return list(found.values())

    def forget(self, partitions: Set[int]) -> None:
        """Drop the batches of partitions that another process has taken over."""
        self._batches = {k: b for k, b in self._batches.items() if b.partition not in partitions}
