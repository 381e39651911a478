"""A model that has learned a task more is deployed under a running processor: no sample is lost,
nothing but findings changes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest

from ecgwatch.commands.upkeep.topics import to_store
from ecgwatch.modelling.deploying import deploy
from ingest import topics
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.messages import Event, Finding, SampleChunk, encode
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving.runtime import Model, read_spec
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.base import KINDS, identity
from stream_processor.sinks.sqlite import SqliteSink
from stream_processor.worker.archive import Archive
from stream_processor.worker.assembly import build_processor
from stream_processor.worker.model_watch import ModelWatch
from tests.made_chunks import made_chunk
from tests.made_models import SHIPPED, copied, extended, network

WAIT_S = 120.0
SECONDS = 240
FS_HZ = {"vt": 250.0, "afib": 360.0, "pvcs": 128.0}
# chunks of half a second; the model is in use before the later one is sent
SWAP_AT, LATEST = 60, 400
TASKS = {"again", "made-up-rhythm-10s"}  # of the findings
START_NS = 1_760_000_000 * 10**9


def rounds() -> list[list[SampleChunk]]:
    """Half a second of every patient at a time."""
    streams = [list(_chunks(patient, fs)) for patient, fs in FS_HZ.items()]
    return [list(batch) for batch in zip(*streams, strict=True)]


def _chunks(patient: str, fs: float) -> list[SampleChunk]:
    scenario = load(patient).model_copy(update={"fs_hz": fs})
    x, n = np.concatenate([b.counts for b in simulate(scenario, duration_s=SECONDS)]), round(fs / 2)
    return [
        made_chunk(
            patient,
            i * n,
            x[i * n : (i + 1) * n],
            START_NS,
            fs,
            seq=i,
            lead="I",
            end=i == 2 * SECONDS - 1,
        )
        for i in range(2 * SECONDS)
    ]


def stored(events: list[Event]) -> dict[object, Event]:
    """By identity, as a store keeps them; without findings."""
    return {(type(e).__name__, *identity(e)): e for e in events if not isinstance(e, Finding)}


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.05)


def deploy_both(folder: Path, place: Path) -> None:
    """A model that has learned a task more, then a network of another architecture beside it."""
    deploy(extended(folder / "new"), place)
    deploy(network(folder / "network"), place)


@pytest.mark.slow
async def test_a_model_is_deployed_while_signals_run(tmp_path: Path) -> None:
    place, clock = copied(tmp_path / "model"), SystemClock()
    all_rounds = rounds()
    wanted = Ward(Model(SHIPPED), clock).push([chunk for batch in all_rounds for chunk in batch])
    assert not any(isinstance(event, Finding) for event in wanted)
    with EmbeddedBroker() as broker:
        models = ModelWatch(place, clock)
        path = tmp_path / "events.db"
        processor = build_processor(
            broker.address, lambda: Ward(models.model, clock), clock, next_model=models.take
        )
        archive = Archive(
            broker.address, lambda: SqliteSink(path, keep_days=30_000, waveform_days=30_000), clock
        )
        archive.start(broken=lambda: None)
        running = asyncio.create_task(processor.run())
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": broker.address, "log.connection.close": False}
        )
        await until(lambda: bool(processor.partitions) or running.done())
        for number, batch in enumerate(all_rounds):
            if number == SWAP_AT:  # what came before has been processed by the old model
                await asyncio.to_thread(producer.flush, WAIT_S)
                await until(
                    lambda: processor.counters.chunks == SWAP_AT * len(FS_HZ) or running.done()
                )
                deploying = asyncio.create_task(asyncio.to_thread(deploy_both, tmp_path, place))
            if number == LATEST:
                await deploying
                await until(lambda: models.model.spec.version == read_spec(place).version)
            for chunk in batch:
                producer.produce(topics.SAMPLES.name, encode(chunk), key=chunk.patient_id)
            producer.poll(0)
            if SWAP_AT <= number < LATEST and not models.model.spec.networks:
                # samples go on while the model is looked at, loaded and checked
                await asyncio.sleep(0.05)
        await asyncio.to_thread(producer.flush, WAIT_S)
        await until(
            lambda: processor.counters.chunks == len(all_rounds) * len(FS_HZ) or running.done()
        )
        processor.stop()
        await running
        await until(lambda: to_store(broker.address) == 0)
        archive.stop()
    sink = SqliteSink(path, keep_days=30_000, waveform_days=30_000)
    found = [event for patient in FS_HZ for kind in KINDS for event in sink.read(kind, patient)]
    sink.close()
    assert processor.counters.chunks == len(all_rounds) * len(FS_HZ)
    got, expected = stored(found), stored(wanted)
    assert got.keys() == expected.keys()
    assert [key for key in expected if got[key] != expected[key]] == []
    findings = [event for event in found if isinstance(event, Finding)]
    for task in TASKS:
        assert {f.patient_id for f in findings if f.task == task} == {*FS_HZ}
    assert {f.task for f in findings} == TASKS
    versions = {read_spec(tmp_path / "new").version, read_spec(place).version}
    assert {f.model for f in findings} <= versions
    assert all(finding.start_ns >= START_NS + (SWAP_AT / 2 - 3) * 10**9 for finding in findings)
    assert {max(f.time_ns for f in findings if f.patient_id == patient) for patient in FS_HZ} == {
        START_NS + SECONDS * 10**9
    }
