"""What every event store does: take events, keep them until they are safe, give them back.

A write is idempotent: an event replaces the stored one of the same identity (see ingest/messages.py), so processing input again changes
nothing. `flush` either makes everything added so far durable or raises SinkBusyError and keeps it all for the next flush.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

from ingest.messages import Alarm, Beat, Event, Rhythm, Vitals

E = TypeVar("E", Beat, Rhythm, Vitals, Alarm)


class SinkBusyError(Exception):
    """The store cannot take events just now; nothing is lost: pause, then flush again."""


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

    def patients(self) -> list[str]:
        """Every patient with a stored event, sorted."""
        ...

    def read(self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = 2**63 - 1) -> Iterator[E]:
        """Stored events of a patient with start_ns <= time < end_ns, in order of time (Beat and Vitals: time_ns; Rhythm: start_ns; Alarm: onset_ns, its last step)."""
        ...

    def check(self) -> str:
        """Version and place of the store, for `ecgwatch check`. Raises SinkBusyError with the remedy where it cannot be reached."""
        ...

    def close(self) -> None:
        """Release connections; does not flush."""
        ...
