"""What every event store does: take events, keep them until they are safe, give them back.

A write is idempotent: an event replaces the stored one of the same identity (see ingest/messages.py), so processing input again changes
nothing. `flush` either makes everything added so far durable or raises SinkBusyError and keeps what is not for the next flush. An event
that the store will never take (a time beyond its range, say) is set aside, logged in full and kept in `refused`: it stops nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from ingest.messages import Alarm, Beat, Event, Rhythm, Vitals

KINDS: tuple[type[Beat] | type[Rhythm] | type[Vitals] | type[Alarm], ...] = (Beat, Rhythm, Vitals, Alarm)
FOREVER_NS = 2**63 - 1
E = TypeVar("E", Beat, Rhythm, Vitals, Alarm)


class SinkBusyError(Exception):
    """The store cannot take events just now; nothing is lost: pause, then flush again."""


def event_time(event: Event) -> int:
    """The time that an event is filed and read by, in nanoseconds."""
    if isinstance(event, Beat | Vitals):
        return event.time_ns
    return event.start_ns if isinstance(event, Rhythm) else event.onset_ns


def identity(event: Event) -> tuple[str, int, str, str, str]:
    """What makes two events of a type the same one: patient, time, device, lead and, for an alarm, its kind.

    An alarm's id says no more than that (patient:kind:onset_ns). Events are read in this order.
    """
    return event.patient_id, event_time(event), event.device_id, event.lead, event.kind if isinstance(event, Alarm) else ""


class Sink(Protocol):
    """A store of events (memory, SQLite, InfluxDB)."""

    def add(self, event: Event) -> None:
        """Keep an event for the next flush. Never blocks, never mutates the event."""
        ...

    def flush(self) -> None:
        """Make all added events durable. Raises SinkBusyError, and keeps them, where that cannot be done now."""
        ...

    @property
    def pending(self) -> int:
        """Events added and not yet flushed."""
        ...

    @property
    def refused(self) -> Sequence[Event]:
        """The events that the store will never take, the last 1,000 of them."""
        ...

    def patients(self) -> list[str]:
        """Every patient with a stored event, sorted."""
        ...

    def read(self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS) -> Iterator[E]:
        """Stored events of a patient with start_ns <= time < end_ns (`event_time`), ordered by time, then device, lead and kind.

        Lazy: a day's events are never all in memory. Raises SinkBusyError where the store cannot be reached.
        """
        ...

    def check(self) -> str:
        """Version and place of the store, for `ecgwatch check`. Raises SinkBusyError with the remedy where it cannot be reached."""
        ...

    def close(self) -> None:
        """Release connections; does not flush."""
        ...
