"""The story of an alarm out of its steps: when it began, was known, was announced and ended."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ingest.messages import Alarm, AlarmKind, Priority
from stream_processor.pipeline.alarms.catalogue import CATALOGUE


class Told(NamedTuple):
    """One alarm; seconds since the stream's start."""

    kind: AlarmKind
    priority: Priority
    onset_s: float
    raised_s: float
    announced_s: float | None  # None: held back all the time
    end_s: float  # infinite where it still held at the end

    @property
    def technical(self) -> bool:
        return CATALOGUE[self.kind].technical

    def near(self, start_s: float, end_s: float, tolerance_s: float = 0.0) -> bool:
        """Whether its condition held at any time between these, or no further away than the
        tolerance."""
        return self.onset_s <= end_s + tolerance_s and self.end_s >= start_s - tolerance_s


def told(steps: Iterable[Alarm], start_ns: int = 0) -> list[Told]:
    """One per alarm, ordered by onset, from all of its steps in the order they came."""
    found: dict[str, Told] = {}
    for step in steps:
        before = found.get(step.id)
        announced = before.announced_s if before else None
        # one that comes back with its old onset was raised before
        raised = before.raised_s if before else _s(step.raised_ns - start_ns)
        if announced is None and step.announced:
            announced = _s((step.changed_ns if before else step.raised_ns) - start_ns)
        found[step.id] = Told(
            step.kind,
            step.priority,
            _s(step.onset_ns - start_ns),
            raised,
            announced,
            math.inf if step.end_ns is None else _s(step.end_ns - start_ns),
        )
    return sorted(found.values())


def _s(ns: int) -> float:
    return ns / 1e9
