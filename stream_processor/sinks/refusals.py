"""Writing a batch of which the store refuses some events for good."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence

import msgspec

from ingest.messages import Stored
from stream_processor.sinks.base import SinkBusyError

log = logging.getLogger(__name__)
KEPT = 1000
MOST = 20  # of one batch; where more are refused, it is the store that is not as it should be


class RefusedError(Exception):
    """The store will never take this batch as it is; the text says why."""


class Refusals:
    """The events that were set aside, each logged in full."""

    def __init__(self) -> None:
        self.events: deque[Stored] = deque(maxlen=KEPT)

    def write(self, batch: Sequence[Stored], write: Callable[[Sequence[Stored]], None]) -> None:
        """Write a batch, all but its refused events, which are found by halving: a few calls of
        `write` for each.

        Raises SinkBusyError as `write` does, and where more than MOST events are refused; then
        nothing is set aside.
        """
        found: list[tuple[Stored, str]] = []
        _halve(batch, write, found)
        for event, reason in found:
            log.error(
                "the store refuses this event for good, it is set aside: %s: %s",
                reason,
                msgspec.json.encode(event).decode(),
            )
            self.events.append(event)


def _halve(
    batch: Sequence[Stored],
    write: Callable[[Sequence[Stored]], None],
    found: list[tuple[Stored, str]],
) -> None:
    try:
        write(batch)
    except RefusedError as error:
        if len(batch) == 1:
            found.append((batch[0], str(error)))
            if len(found) > MOST:
                raise SinkBusyError(f"the store refuses most events: {error}") from error
            return
        middle = len(batch) // 2
        _halve(batch[:middle], write, found)
        _halve(batch[middle:], write, found)
