"""Measures how long after a beat its event is made: the processor's part of the end-to-end
latency."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ingest.messages import Beat, Event

# what is older was replayed with a time in the past, or waited while nobody processed: that is lag
LIVE_NS = 600 * 10**9


class Latencies:
    """Collects latencies in the ward's thread; the event loop reads them."""

    def __init__(self) -> None:
        self._ns: list[int] = []

    def add(self, events: Iterable[Event], now_ns: int) -> None:
        """Note the beats among events that were made just now."""
        self._ns += [
            late
            for e in events
            if isinstance(e, Beat) and 0 <= (late := now_ns - e.time_ns) < LIVE_NS
        ]

    def take(self) -> tuple[float, float]:
        """Return median and 99th percentile in seconds since the last call; NaN if there was no
        live beat."""
        found, self._ns = self._ns, []
        if not found:
            return np.nan, np.nan
        median, p99 = np.percentile(found, (50, 99)) / 1e9
        return float(median), float(p99)
