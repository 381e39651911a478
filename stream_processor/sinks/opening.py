"""A sink that opens its store at the first flush, so that a process can start without the store."""

from __future__ import annotations

from collections.abc import Callable

from ingest.errors import UnreachableError
from ingest.messages import Stored
from stream_processor.sinks.base import Sink, SinkBusyError
from stream_processor.sinks.refusals import RefusedEvent


class OpeningSink:
    """The writing half of a Sink; busy while the store cannot be opened."""

    def __init__(self, open_sink: Callable[[], Sink]) -> None:
        self._open = open_sink
        self._sink: Sink | None = None
        self._waiting: list[Stored] = []

    def add(self, event: Stored) -> None:
        """Keep an event for the next flush."""
        self._waiting.append(event)

    def flush(self) -> None:
        """Open the store if it is not open, and make all added events durable. Raises
        SinkBusyError."""
        if self._sink is None:
            try:
                self._sink = self._open()
            except UnreachableError as error:
                raise SinkBusyError(error.problem) from error
        for event in self._waiting:
            self._sink.add(event)
        self._waiting.clear()
        self._sink.flush()

    @property
    def pending(self) -> int:
        """Events added and not yet flushed."""
        return len(self._waiting) + (self._sink.pending if self._sink else 0)

    def take_refused(self) -> list[RefusedEvent]:
        """Return the store's refused events, see Sink."""
        return self._sink.take_refused() if self._sink else []

    def close(self) -> None:
        """Release the store's connections."""
        if self._sink is not None:
            self._sink.close()
