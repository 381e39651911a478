"""Detects that this process was paused for too long: its machine suspended, its memory swapped out,
or itself stopped by a signal.

The consumer group gives such a worker's partitions to others, who compute its events again and go
on. Its own events are stale when it wakes up: if it stored or sent them, they would overwrite newer
ones, and an ended alarm would stand again. Kafka keeps it from committing; this module keeps it
from storing and sending. (No fence is perfect: a write that was under way when it fell asleep ends
when it wakes up.)
"""

from __future__ import annotations

import asyncio

from ingest.clock import Clock

BEAT_S = 0.5


class StalledError(Exception):
    """This process was paused for so long that its partitions may belong to another worker."""


class StallGuard:
    """Beats while the event loop runs. `check` may be called from any thread."""

    def __init__(self, clock: Clock, limit_s: float) -> None:
        self._clock, self._limit_s = clock, limit_s
        self._beat_s: float | None = None
        self._longest_s = 0.0

    def beat(self) -> None:
        """Record that the process is running."""
        self._longest_s = self._gap_s()  # first: who checks in between must not miss it
        self._beat_s = self._clock.steady_s()

    def check(self) -> None:
        """Raise StalledError if the process was ever paused for longer than the limit."""
        if (gap_s := self._gap_s()) > self._limit_s:
            raise StalledError(
                f"this worker was paused for {gap_s:.0f} s: its events are stale, a new worker starts from the last commit"
            )

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            self.beat()
            await asyncio.sleep(BEAT_S)

    def _gap_s(self) -> float:
        return (
            self._longest_s
            if self._beat_s is None
            else max(self._longest_s, self._clock.steady_s() - self._beat_s)
        )
