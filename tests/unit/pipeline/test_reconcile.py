"""Detected = stored = notified: what is missing on which side, and what only looks so."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from ecgwatch.alarming.reconciling import Detected, compare_kept, compare_notified, report
from ingest.messages import Alarm, Delivery
from stream_processor.notifications.plan import Escalation, NotificationPlan, Recipient, Rule
from stream_processor.sinks.memory import MemorySink

S = 10**9
PLAN = NotificationPlan(
    recipients={"nurse": Recipient(url="x"), "doctor": Recipient(url="x")},
    rules=(
        Rule(recipients=("nurse",), priorities=("high",), escalation=(Escalation(1, ("doctor",)),)),
    ),
)


def alarm(second: int, *, patient: str = "p", **changes: Any) -> Alarm:
    a = Alarm(
        patient_id=patient,
        device_id="d",
        lead="II",
        fs_hz=250.0,
        id=f"{patient}:asystole:{second * S}",
        kind="asystole",
        priority="high",
        step="onset",
        changed_ns=second * S,
        onset_ns=second * S,
        raised_ns=second * S,
        onset_sample=0,
        raised_sample=0,
    )
    return msgspec.structs.replace(a, **changes)


def delivery(
    alarm_: Alarm,
    recipient: str,
    outcome: str,
    *,
    moment: str = "onset|0",
    attempt: int = 1,
    **changes: Any,
) -> Delivery:
    d = Delivery(
        patient_id=alarm_.patient_id,
        time_ns=1,
        id=f"{alarm_.id}|{moment}|{recipient}|{attempt}",
        alarm_id=alarm_.id,
        kind=alarm_.kind,
        priority=alarm_.priority,
        step=moment.split("|")[0],
        recipient=recipient,
        attempt=attempt,
        outcome="delivered",
    )
    return msgspec.structs.replace(d, outcome=outcome, **changes)


def detected(*steps: Alarm, begins: dict[int, int] | None = None) -> Detected:
    return Detected(list(steps), 1, begins or {})


@pytest.fixture
def store():
    def _store(*alarms: Alarm) -> MemorySink:
        sink = MemorySink()
        for one in alarms:
            sink.add(one)
        sink.flush()
        return sink

    return _store


def test_all_is_there(store):
    alarms = [alarm(1), alarm(2, announced=False), alarm(3, patient="q")]
    kept = compare_kept(detected(*alarms, alarm(1, step="end")), store(*alarms), 0, 10 * S)
    assert (len(kept.detected), len(kept.announced), len(kept.stored)) == (3, 2, 3)
    assert kept.unstored == kept.undetected == []


def test_what_is_missing_on_each_side(store):
    kept = compare_kept(
        detected(alarm(1), alarm(2)), store(alarm(2), alarm(3), alarm(99)), 0, 10 * S
    )
    assert (kept.unstored, kept.undetected) == ([alarm(1).id], [alarm(3).id])
    lines = report(kept, None)
    assert f"not stored: {alarm(1).id}" in lines
    assert f"stored, but not on ecg.alarms: {alarm(3).id}" in lines


def test_what_the_broker_no_longer_keeps_is_not_missing(store):
    sink = store(alarm(1), alarm(5), alarm(7))
    assert compare_kept(detected(alarm(5)), sink, 0, 10 * S).undetected == [
        alarm(1).id,
        alarm(7).id,
    ]
    kept = compare_kept(detected(alarm(5), begins={0: 5 * S}), sink, 0, 10 * S)
    assert (kept.expired, kept.undetected) == ({alarm(1).id}, [alarm(7).id])


def test_notices():
    steps = [
        alarm(1),
        alarm(1, step="escalated", level=1),
        alarm(2),
        alarm(3, priority="low"),
        alarm(4, announced=False),
        alarm(5),
        alarm(6),
        alarm(4, step="update"),
        alarm(7),
    ]
    told = compare_notified(
        steps,
        [
            delivery(alarm(1), "nurse", "failed", next_ns=5),
            delivery(alarm(1), "nurse", "delivered", attempt=2),
            delivery(alarm(1), "nurse", "delivered", moment="escalated|1"),
            delivery(alarm(2), "nurse", "held back", reason="acknowledged by Ann"),
            delivery(alarm(5), "nurse", "failed", reason="refused", next_ns=9),
            delivery(alarm(6), "nurse", "failed", reason="refused; given up after a day"),
            delivery(alarm(7), "nurse", "held back", reason="waits its turn", next_ns=9),
        ],
        PLAN,
    )
    assert (told.due, told.delivered, told.held_back) == (8, 2, Counter({"acknowledged": 1}))
    assert {(what, recipient): why.split(":")[0] for what, recipient, why in told.missing} == {
        (f"{alarm(1).id} escalated 1", "doctor"): "no attempt was made",
        (f"{alarm(4).id} onset", "nurse"): "no attempt was made",
        (f"{alarm(5).id} onset", "nurse"): "attempt 1 failed and it is tried again",
        (f"{alarm(6).id} onset", "nurse"): "attempt 1",
        (f"{alarm(7).id} onset", "nurse"): "attempt 1 is still to come",
    }
