"""Events that the parts of the simulator exchange, and the schedule of ectopic beats."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ingest.simulator.morphology import Kernels


class Event(NamedTuple):
    """An event at a sample: a beat, a wave without annotation (no symbol), or an annotation without
    a wave (no kernels)."""

    sample: int
    symbol: str = ""
    aux: str = ""
    kernels: Kernels | None = None


class EctopySchedule:
    """Schedule of ectopic beats: each kind evenly spread over time, with some jitter."""

    def __init__(
        self, per_minute: dict[str, float], start_s: float, rng: np.random.Generator
    ) -> None:
        self._period = {kind: 60 / rate for kind, rate in per_minute.items() if rate > 0}
        self._next = {
            kind: start_s + period * rng.uniform(0.2, 0.6) for kind, period in self._period.items()
        }
        self._rng = rng

    def due(self, time_s: float) -> str | None:
        """Take the kind that has been due longest; None while none is due."""
        kind = min(self._next, key=self._next.__getitem__, default=None)
        if kind is None or self._next[kind] > time_s:
            return None
        self._next[kind] += self._period[kind] * self._rng.uniform(0.8, 1.2)
        return kind
