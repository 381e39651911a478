"""The only place that reads the wall clock; everything else takes a Clock."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Wall time and a steady timer, injected so that a test can control both."""

    def now_ns(self) -> int:
        """Nanoseconds since the Unix epoch."""
        ...

    def steady_s(self) -> float:
        """Seconds of a monotonic timer; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    def now_ns(self) -> int:
        return time.time_ns()  # noqa: TID251

    def steady_s(self) -> float:
        return time.monotonic()  # noqa: TID251


class ManualClock:
    """A clock that stands still until a test moves it."""

    def __init__(self, now_ns: int = 0) -> None:
        self._now_ns = now_ns

    def now_ns(self) -> int:
        return self._now_ns

    def steady_s(self) -> float:
        return self._now_ns / 1e9

    def advance(self, seconds: float) -> None:
        self._now_ns += round(seconds * 1e9)
