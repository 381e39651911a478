"""Alarms of a signal that came late, as after an outage."""

from __future__ import annotations

import pytest

from ingest.clock import ManualClock
from ingest.messages import Alarm, Event
from models.serving import runtime
from stream_processor.pipeline.ward import Ward
from tests.contract.test_ward import START_NS, chunks

LATE_AFTER_S = 60.0


def alarms(events: list[Event], kind: str) -> list[Alarm]:
    return [e for e in events if isinstance(e, Alarm) and e.kind == kind]


def processed(late_s: float, late_after_s: float | None = LATE_AFTER_S) -> list[Event]:
    """An asystole, half a second at a time, each so long after it was."""
    clock = ManualClock(START_NS + round(late_s * 1e9))
    ward = Ward(runtime.load(), clock, late_after_s=late_after_s)
    events: list[Event] = []
    for chunk in chunks("asystole", 256, end=False):
        clock.advance(2.0)
        events += ward.push([chunk])
    return events


@pytest.mark.parametrize(("late_s", "late_after_s"), [(5.0, LATE_AFTER_S), (9e7, None)])
def test_an_alarm_in_time_is_not_marked(late_s: float, late_after_s: float | None) -> None:
    assert {a.late_s for a in alarms(processed(late_s, late_after_s), "asystole")} == {0.0}


def test_a_late_alarm_is_marked_in_all_its_steps() -> None:
    steps = alarms(processed(3600.0), "asystole")
    assert steps[0].step == "onset"
    (late_s,) = {s.late_s for s in steps}
    assert 3590 < late_s < 3610


def test_what_still_holds_when_the_signal_is_in_time_again_is_told_as_current() -> None:
    clock = ManualClock(START_NS + 3600 * 10**9)
    ward = Ward(runtime.load(), clock, late_after_s=LATE_AFTER_S)
    pieces = chunks("asystole", 256, end=False)
    (onset, *_) = alarms([e for c in pieces for e in ward.push([c])], "asystole")
    assert onset.late_s > LATE_AFTER_S
    ward = Ward(runtime.load(), clock, late_after_s=LATE_AFTER_S)
    events: list[Event] = []
    for chunk in pieces:
        if chunk.t0_ns > onset.raised_ns + 3 * 10**9 and clock.now_ns() > chunk.t0_ns + 10**11:
            clock = ward._control._lateness._clock = ManualClock(
                chunk.t0_ns + 2 * 10**9
            )  # caught up
        clock.advance(2.0)
        events += ward.push([chunk])
    steps = [(s.step, s.late_s > 0) for s in alarms(events, "asystole") if s.id == onset.id]
    assert steps[0] == ("onset", True)
    assert ("update", False) in steps
    assert all(not late for step, late in steps[steps.index(("update", False)) :])
