"""Alarms assembled from their steps: when each began, was raised, was announced and ended."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from ingest.messages import Alarm, AlarmKind, Priority
from stream_processor.pipeline.alarms.catalogue import CATALOGUE


class ReportedAlarm(NamedTuple):
    """One alarm; times in seconds since the start of the stream."""

    kind: AlarmKind
    priority: Priority
    onset_s: float
    raised_s: float
    announced_s: float | None  # None: suppressed all the time
    end_s: float  # infinite if it was still on at the end

    @property
    def technical(self) -> bool:
        """True for an alarm of the equipment, not of the patient."""
        return CATALOGUE[self.kind].technical

    def near(self, start_s: float, end_s: float, tolerance_s: float = 0.0) -> bool:
        """Return whether the alarm's condition held between these times, or no further away than
        the tolerance."""
        return self.onset_s <= end_s + tolerance_s and self.end_s >= start_s - tolerance_s


def assemble(steps: Iterable[Alarm], start_ns: int = 0) -> list[ReportedAlarm]:
    """Assemble alarms from their steps, given in the order they were emitted; ordered by onset."""
    found: dict[str, ReportedAlarm] = {}
    for step in steps:
        before = found.get(step.id)
        announced = before.announced_s if before else None
        # an alarm that returns with its old onset was raised before
        raised = before.raised_s if before else _s(step.raised_ns - start_ns)
        if announced is None and step.announced:
            announced = _s((step.changed_ns if before else step.raised_ns) - start_ns)
        found[step.id] = ReportedAlarm(
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
