"""Event store in this process's memory: for tests, for `annotate`, and for demos that keep
nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ingest.messages import Stored
from stream_processor.sinks.base import FOREVER_NS, KINDS, E, Kind, event_time, identity
from stream_processor.sinks.refusals import RefusedEvent


class MemorySink:
    """A Sink in memory: never busy, refuses nothing, and is gone with the process."""

    def __init__(self) -> None:
        self._pending: list[Stored] = []
        self._stored: dict[Kind, dict[tuple[Any, ...], Stored]] = {kind: {} for kind in KINDS}

    def add(self, event: Stored) -> None:
        self._pending.append(event)

    def flush(self) -> None:
        for event in self._pending:
            self._stored[type(event)][identity(event)] = event
        self._pending.clear()

    @property
    def pending(self) -> int:
        return len(self._pending)

    def take_refused(self) -> list[RefusedEvent]:
        return []

    def patients(self) -> list[str]:
        return sorted(
            {event.patient_id for events in self._stored.values() for event in events.values()}
        )

    def read(
        self, kind: type[E], patient_id: str, start_ns: int = 0, end_ns: int = FOREVER_NS
    ) -> Iterator[E]:
        found = [
            e
            for e in self._stored[kind].values()
            if e.patient_id == patient_id and start_ns <= event_time(e) < end_ns
        ]
        for event in sorted(found, key=identity):
            assert isinstance(event, kind)
            yield event

    def check(self) -> str:
        return "memory (kept by nobody after this process)"

    def close(self) -> None:
        pass
