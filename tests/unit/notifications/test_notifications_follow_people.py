"""Whom an alarm of a device's stream is told to, while the device goes from person to person and the
person from bed to bed: registry, ingest server's streams, pipeline and notification queue, all real."""

from __future__ import annotations

from uuid import uuid4

import numpy as np

from ingest.messages import Alarm
from ingest.registry import steps
from stream_processor.notifications.plan import NotificationPlan, Recipient, Rule
from stream_processor.ward import build_ward
from tests.made_files import ecg_mv
from tests.unit.ingest.test_ingest_streams import FS, Bench
from tests.unit.notifications.test_notification_queue import Story

BEAT_S, STANDSTILL_S, CHUNK_S = 20, 20, 5
PLAN = NotificationPlan(
    recipients={f"{name}'s nurse": Recipient(url="x") for name in ("ada", "bob")},
    rules=tuple(
        Rule(recipients=(f"{name}'s nurse",), patients=(name,), kinds=("asystole",))
        for name in ("ada", "bob")
    ),
)


class Shift:
    """A bench whose clock runs on with the signal, and which keeps every alarm."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.story = Story(PLAN, self.bench.clock)
        self.ward = build_ward(self.bench.clock)
        self.alarms: list[Alarm] = []

    def step(self, make, *arguments, **fields) -> None:
        self.bench.clock.advance(60)
        self.bench.step(make, *arguments, **fields)

    def heart_stops(self, device: str) -> list[str]:
        """A new stream of the device: beats, then none. Who is told of the standstill."""
        rng = np.random.default_rng(1)
        mv = [ecg_mv(FS, BEAT_S), rng.normal(0, 0.004, round(STANDSTILL_S * FS))]
        counts = np.rint(1000 * np.concatenate(mv)).astype("<i2")
        stream, start_ns, told = str(uuid4()), self.bench.clock.now_ns(), list[str]()
        size = round(CHUNK_S * FS)
        for first in range(0, len(counts), size):
            self.bench.clock.advance(CHUNK_S)
            chunk = self.bench.chunk(
                0,
                first_sample=first,
                t0_ns=start_ns + round(first / FS * 1e9),
                samples=counts[first : first + size].tobytes(),
            )
            sent = len(self.bench.kafka.sent)
            self.bench.take(stream, chunk, device=device)
            for message in self.bench.kafka.sent[sent:]:
                found = [e for e in self.ward.push([message]) if isinstance(e, Alarm)]
                self.alarms += found
                self.story.take(*found)
            told += self.story.land()
        return told


async def test_alarms_are_told_by_person_whatever_device_and_bed() -> None:
    shift = Shift()
    shift.step(steps.transfer, "ada", "1")
    assert shift.heart_stops("h1") == ["ada's nurse"]

    shift.step(steps.transfer, "ada", "2")  # another bed, and another device
    shift.step(steps.assign, "h2", "ada")
    assert shift.heart_stops("h2") == ["ada's nurse"]

    shift.step(steps.discharge, "ada")
    shift.step(steps.assign, "h2", "bob")  # whose stream is not ada's that went before
    shift.step(steps.transfer, "bob", "2")
    assert shift.heart_stops("h2") == ["bob's nurse"]

    shift.step(steps.admit, "ada", bed="3", device_id="h1")
    assert shift.heart_stops("h1") == ["ada's nurse"]

    stops = [a for a in shift.alarms if a.kind == "asystole" and a.step == "onset"]
    assert [(a.patient_id, a.device_id) for a in stops] == [
        ("ada", "h1"),
        ("ada", "h2"),
        ("bob", "h2"),
        ("ada", "h1"),
    ]
    assert len({a.id for a in stops}) == 4
