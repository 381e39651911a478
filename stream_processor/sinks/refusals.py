"""Writes batches of which the store refuses some events for good."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec

from ingest.messages import Stored

log = logging.getLogger(__name__)
LOGGED = 3  # refused events of a batch that are logged in full; all go to the dead-letter topic


class RefusedEvent(NamedTuple):
    """An event that the store will never take, and the reason."""

    event: Stored
    reason: str


class BatchRefusedError(Exception):
    """The store will never take this batch; the text is the reason. `all_of_it`: it takes none of
    the events, so they need not be tried one by one."""

    def __init__(self, reason: str, *, all_of_it: bool = False) -> None:
        super().__init__(reason)
        self.all_of_it = all_of_it


class Refusals:
    """Collects refused events until they are taken."""

    def __init__(self, key: Callable[[Stored], int]) -> None:
        self._key, self._found = key, list[RefusedEvent]()

    def write(self, batch: Sequence[Stored], write: Callable[[Sequence[Stored]], None]) -> None:
        """Write a batch except its refused events.

        Refused events are found by halving the batch: a few calls of `write` for each event, or for
        each run of them. Raises SinkBusyError as `write` does; then nothing is set aside.
        """
        found: list[RefusedEvent] = []
        try:
            write(batch)
        except BatchRefusedError:
            # sorted by time: most refused events are too old, and then lie together
            _halve(sorted(batch, key=self._key), write, found)
        for event, reason in found[:LOGGED]:
            log.error(
                "the store refuses this event for good, so it is not stored: %s: %s",
                reason,
                msgspec.json.encode(event).decode(),
            )
        if len(found) > LOGGED:
            log.error("and %d more of this batch", len(found) - LOGGED)
        self._found += found

    def take(self) -> list[RefusedEvent]:
        """Return the events refused since the last call."""
        found, self._found = self._found, []
        return found


def _halve(
    batch: Sequence[Stored], write: Callable[[Sequence[Stored]], None], found: list[RefusedEvent]
) -> None:
    try:
        write(batch)
    except BatchRefusedError as error:
        if len(batch) == 1 or error.all_of_it:
            found += [RefusedEvent(event, str(error)) for event in batch]
            return
        middle = len(batch) // 2
        _halve(batch[:middle], write, found)
        _halve(batch[middle:], write, found)
