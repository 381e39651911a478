"""Interface of every event store: add events, make them durable, read them back.

A write is idempotent: an event replaces the stored one of the same identity (see
ingest/messages), so processing input again changes nothing. `flush` either makes everything
added so far durable, or raises SinkBusyError and keeps the rest for the next flush. An event that
the store refuses for good (a time beyond its range, for example) is set aside for `take_refused`
and stops no other event.
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Delivery,
    Edit,
    Finding,
    JournalEntry,
    Rhythm,
    Score,
    Stored,
    Strip,
    Vitals,
    Waveform,
)
from stream_processor.sinks.refusals import RefusedEvent

FOREVER_NS = 2**63 - 1
E = TypeVar("E", bound=Stored)
Kind = type[Any]  # of Stored; type checkers take a type[E] for no member of type[Stored]


class Filing(NamedTuple):
    """Storage of one kind of event: the field of its time, the fields that distinguish two events
    of the same patient and time, and its retention."""

    time: str
    apart_by: tuple[str, ...]
    kept: Literal["always", "keep_days", "waveform_days"] = "always"


_PLACE = ("device_id", "lead")
FILING: dict[Kind, Filing] = {
    Beat: Filing("time_ns", _PLACE, "keep_days"),
    Rhythm: Filing("start_ns", _PLACE, "keep_days"),
    Vitals: Filing("time_ns", _PLACE, "keep_days"),
    # its id holds the same (patient:kind:onset_ns)
    Alarm: Filing("onset_ns", (*_PLACE, "kind")),
    Strip: Filing("onset_ns", (*_PLACE, "kind")),  # as its alarm
    Waveform: Filing("start_ns", _PLACE, "waveform_days"),
    Action: Filing("time_ns", ("id",)),
    Delivery: Filing("time_ns", ("id",)),
    Score: Filing("time_ns", _PLACE, "keep_days"),
    Edit: Filing("time_ns", ("id",)),
    Finding: Filing("time_ns", (*_PLACE, "task"), "keep_days"),
    JournalEntry: Filing("time_ns", ("id",)),
}
KINDS: tuple[type[Stored], ...] = tuple(FILING)
KEY: dict[Kind, tuple[str, ...]] = {
    kind: ("patient_id", filing.time, *filing.apart_by) for kind, filing in FILING.items()
}  # the fields of an identity, in order
# kinds timed by the stream; the others are timed by the wall clock
OF_A_STREAM: set[Kind] = {kind for kind in FILING if "device_id" in KEY[kind]}
_identity = {kind: attrgetter(*fields) for kind, fields in KEY.items()}


class SinkBusyError(Exception):
    """The store cannot take events just now. Nothing is lost: pause, then flush again."""


def event_time(event: Stored) -> int:
    """Return the time that an event is stored and read by, Unix time in ns."""
    time: int = getattr(event, FILING[type(event)].time)
    return time


def identity(event: Stored) -> tuple[Any, ...]:
    """Return what identifies an event among those of its kind: patient, time and the fields in
    FILING. Events are read in this order."""
    fields: tuple[Any, ...] = _identity[type(event)](event)
    return fields


class Sink(Protocol):
    """A store of events (memory, SQLite, InfluxDB)."""

    def add(self, event: Stored) -> None:
        """Keep an event for the next flush. Never blocks and never mutates the event."""
        ...

    def flush(self) -> None:
        """Make all added events durable. Raises SinkBusyError, and keeps them, if that is not
        possible now."""
        ...

    @property
    def pending(self) -> int:
        """Events added and not yet flushed."""
        ...

    def take_refused(self) -> list[RefusedEvent]:
        """Return the events refused for good since the last call; the caller sends them to the
        dead-letter topic."""
        ...

    def patients(self) -> list[str]:
        """Return every patient with a stored event, sorted."""
        ...

    def read(
        self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[E]:
        """Read the events of a patient with start_ns <= time < end_ns (`event_time`), ordered by
        `identity`.

        Lazy: a day's events are never all in memory. Raises SinkBusyError if the store cannot be
        reached.
        """
        ...

    def check(self) -> str:
        """Return version and place of the store, for `ecgwatch check`. Raises SinkBusyError with
        the remedy if the store cannot be reached."""
        ...

    def close(self) -> None:
        """Release connections; does not flush."""
        ...
