"""Queue of a store that writes in batches."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from ingest.messages import Stored
from stream_processor.sinks.base import event_time
from stream_processor.sinks.refusals import Refusals, RefusedEvent

BATCH = 5_000


class QueuedSink(ABC):
    """Base of sinks that write in batches: an event stays queued until a batch that holds it has
    been written."""

    def __init__(self) -> None:
        self._pending: list[Stored] = []
        self._refusals = Refusals(event_time)

    def add(self, event: Stored) -> None:
        """Keep an event for the next flush."""
        self._pending.append(event)

    def flush(self) -> None:
        """Write all queued events. Raises SinkBusyError, and keeps those not yet written."""
        while self._pending:
            batch = self._pending[:BATCH]
            self._refusals.write(batch, self._write)
            del self._pending[: len(batch)]

    @property
    def pending(self) -> int:
        """Number of queued events."""
        return len(self._pending)

    def take_refused(self) -> list[RefusedEvent]:
        """Return the events refused for good since the last call."""
        return self._refusals.take()

    @abstractmethod
    def _write(self, batch: Sequence[Stored]) -> None:
        """Write a batch. Raises SinkBusyError, or RefusedError if the store will never take it."""
