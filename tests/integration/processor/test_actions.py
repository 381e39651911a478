"""People's actions through the real processor: acknowledged while it runs and while it does not,
silenced, limits; across restarts."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import pytest

from ecgwatch.settings import Settings
from ecgwatch.stores import open_sink
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import Action, Alarm, SampleChunk, encode, sample_offset_ns
from ingest.operator import send
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from tests.integration.processor.test_recovery import working

WAIT_S = 90.0


def story(patient: str, name: str, seconds: float, *, end: bool) -> list[SampleChunk]:
    """A simulated patient, beginning now."""
    scenario, start_ns = load(name), SystemClock().now_ns()
    counts = b"".join(
        b.counts.astype("<i2").tobytes() for b in simulate(scenario, seed=1, duration_s=seconds)
    )
    n = round(0.5 * scenario.fs_hz)
    parts = [counts[i : i + 2 * n] for i in range(0, len(counts), 2 * n)]
    return [
        SampleChunk(
            patient_id=patient,
            device_id="test",
            lead="II",
            seq=i,
            first_sample=i * n,
            fs_hz=scenario.fs_hz,
            t0_ns=start_ns + sample_offset_ns(i * n, scenario.fs_hz),
            counts_per_mv=scenario.counts_per_mv,
            samples=samples,
            end=end and i == len(parts) - 1,
        )
        for i, samples in enumerate(parts)
    ]


def produce(broker: str, chunks: list[SampleChunk]) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker, "log_level": 0, "partitioner": "murmur2_random"}
    )
    for chunk in chunks:
        producer.produce("ecg.samples", encode(chunk), chunk.patient_id.encode())
    producer.flush(WAIT_S)


def stored(sink_url: str, patient: str) -> list[Alarm]:
    sink = open_sink(Settings(sink=sink_url))
    try:
        return list(sink.read(Alarm, patient))
    finally:
        sink.close()


def eventually(sink_url: str, patient: str, wanted: Callable[[list[Alarm]], bool]) -> list[Alarm]:
    deadline = time.monotonic() + WAIT_S
    while not wanted(found := stored(sink_url, patient)) and time.monotonic() < deadline:
        time.sleep(0.3)
    assert wanted(found), found
    return found


def acknowledge(broker: str, patient: str, alarm: Alarm) -> None:
    send(
        broker,
        Action(
            patient_id=patient,
            time_ns=time.time_ns(),
            id=alarm.id,
            by="Ada",
            action="acknowledge",
            alarm_id=alarm.id,
        ),
    )


def the(kind: str, alarms: list[Alarm]) -> Alarm:
    return next(a for a in alarms if a.kind == kind)


@pytest.mark.slow
@pytest.mark.parametrize("running", [True, False], ids=["running", "down"])
def test_an_acknowledgement_counts_once_and_for_good(
    empty_kafka, tmp_path: Path, running: bool
) -> None:
    address, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    patient = f"latched-{running}"
    create_topics(address)
    chunks = story(patient, "asystole", 60, end=True)
    with working(address, sink) as worker:
        produce(address, chunks)
        alarm = the(
            "asystole",
            eventually(sink, patient, lambda a: any(x.kind == "asystole" and x.end_ns for x in a)),
        )
        assert alarm.standing
        time.sleep(6.0)  # a round of snapshots and commits
        if not running:
            worker.kill_all()
            worker.process.stdout.close()
        acknowledge(address, patient, alarm)
        if not running:
            worker.start()

        def acknowledged(found: list[Alarm]) -> bool:
            return the("asystole", found).acknowledged_by == "Ada"

        found = the("asystole", eventually(sink, patient, acknowledged))
        assert not found.standing
        assert found.end_ns == alarm.end_ns
        worker.kill_all()
        worker.process.stdout.close()
        worker.start()
        time.sleep(3.0)
        again = the("asystole", stored(sink, patient))
        assert (again.acknowledged_ns, again.acknowledged_by, again.level) == (
            found.acknowledged_ns,
            "Ada",
            found.level,
        )


@pytest.mark.slow
def test_limits_and_silence_hold_across_a_restart(empty_kafka, tmp_path: Path) -> None:
    address, sink, patient = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}", "limits"
    create_topics(address)
    limits = {"hr_high_bpm": 60.0, "hr_low_bpm": 45.0}
    send(
        address,
        Action(
            patient_id=patient,
            time_ns=time.time_ns(),
            id="1",
            by="Ada",
            action="limits",
            limits=limits,
        ),
    )
    send(
        address,
        Action(
            patient_id=patient,
            time_ns=time.time_ns(),
            id="2",
            by="Ada",
            action="silence",
            kind="hr_high",
            seconds=3600,
        ),
    )
    with working(address, sink) as worker:
        time.sleep(4.0)
        worker.kill_all()
        worker.process.stdout.close()
        worker.start()
        chunks = story(patient, "normal", 2 * WAIT_S, end=False)
        # four times as fast as life, for it reads actions when it may already have samples
        for first in range(0, len(chunks), 4):
            produce(address, chunks[first : first + 4])
            if any(x.kind == "hr_high" for x in stored(sink, patient)):
                break
            time.sleep(0.5)
        found = the(
            "hr_high", eventually(sink, patient, lambda a: any(x.kind == "hr_high" for x in a))
        )
    assert found.limit == 60.0
    assert found.silenced_until_ns is not None
