"""The feed on brokers: what was there before, topics that appear later, garbage, and a broker that
goes away and comes back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import Producer

from dashboards.monitor.http.access import Access
from dashboards.monitor.http.server import create_app
from dashboards.monitor.live.feed import Arrival, KafkaFeed
from ingest import topics
from ingest.clock import SystemClock
from ingest.embedded import EmbeddedBroker
from ingest.messages import Action, Edit, Reference, SampleChunk, Score, Vitals, encode
from ingest.operator import OperatorOutlet
from stream_processor.pipeline.alarms.profiles import Profiles
from stream_processor.sinks.memory import MemorySink
from tests.unit.dashboards.monitor_bench import (
    ORIGIN,
    URL,
    TestClient,
    WebSocketTestSession,
    alarm,
    next_of,
)

WAIT_S = 60.0


def vitals(hr: float) -> bytes:
    return encode(
        Vitals(
            patient_id="p",
            device_id="d",
            lead="II",
            time_ns=time.time_ns(),
            hr_bpm=hr,
            sdnn_ms=None,
            rmssd_ms=None,
            quality=1.0,
        )
    )


def chunk() -> bytes:
    made = {
        "seq": 0,
        "first_sample": 0,
        "t0_ns": time.time_ns(),
        "fs_hz": 250.0,
        "counts_per_mv": 200.0,
        "samples": bytes(250),
    }
    return encode(SampleChunk(patient_id="p", device_id="d", lead="II", **made))


def produce(broker: Any, topic: str, *values: bytes, timestamp_s: float | None = None) -> None:
    producer = Producer({"bootstrap.servers": broker.address, "log.connection.close": False})
    stamp = {} if timestamp_s is None else {"timestamp": round(timestamp_s * 1000)}
    for value in values:
        producer.produce(topic, value, key="p", **stamp)
    assert producer.flush(60) == 0


@asynccontextmanager
async def feeding(broker: Any) -> AsyncIterator[tuple[KafkaFeed, list[Arrival]]]:
    feed, got = KafkaFeed(broker.address, SystemClock()), []
    task = asyncio.create_task(feed.run(got.extend))
    try:
        yield feed, got
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.05)


def rates(got: list[Arrival]) -> list[float | None]:
    return [a.message.hr_bpm for a in got if isinstance(a.message, Vitals)]


async def test_reads_a_little_of_the_past_and_then_lives(broker: Any) -> None:
    produce(broker, topics.VITALS.name, vitals(1), vitals(2))
    async with feeding(broker) as (feed, got):
        await until(lambda: rates(got) == [1, 2])
        assert feed.connected
        produce(broker, topics.VITALS.name, vitals(3))
        await until(lambda: rates(got) == [1, 2, 3])


async def test_messages_that_are_none_of_ours_stop_nothing(broker: Any) -> None:
    produce(broker, topics.VITALS.name, b"", b"\xc1garbage", vitals(1)[:-3], vitals(5))
    async with feeding(broker) as (feed, got):
        await until(lambda: rates(got) == [5])
        assert feed.refused == 3


async def test_topics_that_do_not_exist_yet_are_taken_up_and_not_made() -> None:
    host = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "", "log_level": 0})
    at = next(iter(host.list_topics(timeout=30).brokers.values()))
    broker = SimpleNamespace(address=f"{at.host}:{at.port}")
    async with feeding(broker) as (feed, got):
        await until(lambda: feed.connected)
        await asyncio.sleep(1.5)
        names = (
            Producer({"bootstrap.servers": broker.address, "log.connection.close": False})
            .list_topics(timeout=30)
            .topics
        )
        assert not names, "the monitor made a topic"
        produce(broker, topics.VITALS.name, vitals(1))
        await until(lambda: rates(got) == [1])
        produce(broker, topics.SAMPLES.name, chunk())
        await until(lambda: len(got) == 2)
        assert rates(got) == [1], "taking up a topic repeated what was read of another"


async def test_the_past_is_as_old_as_it_is_and_never_live() -> None:
    with EmbeddedBroker() as broker:
        produce(broker, topics.VITALS.name, vitals(1), timestamp_s=time.time() - 4000)
        stamp_s = time.time() - 40
        produce(broker, topics.VITALS.name, vitals(2), timestamp_s=stamp_s)
        async with feeding(broker) as (_, got):
            await until(lambda: rates(got) == [2])
            assert SystemClock().steady_s() - got[0].at_s == pytest.approx(
                time.time() - stamp_s, abs=3
            )


async def test_a_broker_that_is_not_there_is_waited_for() -> None:
    with EmbeddedBroker() as broker:
        address = broker.address
    feed = KafkaFeed(address, SystemClock())
    task = asyncio.create_task(feed.run(lambda _: None))
    await asyncio.sleep(1.5)
    assert not task.done()
    assert not feed.connected
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.slow
async def test_goes_on_after_the_broker_was_away(empty_kafka: Any) -> None:
    produce(empty_kafka, topics.VITALS.name, vitals(1))
    async with feeding(empty_kafka) as (feed, got):
        await until(lambda: rates(got) == [1])
        await asyncio.to_thread(empty_kafka.stop)
        await until(lambda: not feed.connected)
        await asyncio.to_thread(empty_kafka.start)
        await asyncio.to_thread(produce, empty_kafka, topics.VITALS.name, vitals(2))
        await until(lambda: rates(got) == [1, 2])
        await until(lambda: feed.connected)


async def test_scores_references_and_what_people_say_are_followed(broker: Any) -> None:
    counts = dict.fromkeys(
        [name for name in Score.__struct_fields__ if name[-3:] in ("_tp", "_fn", "_fp")], 1
    )
    score = Score(
        patient_id="p",
        device_id="d",
        lead="II",
        time_ns=1,
        **counts,
        rhythm_s=1.0,
        rhythm_agreed_s=1.0,
        episodes=0,
        episodes_alarmed=0,
    )
    note = Reference(patient_id="p", time_ns=1, sample=1, symbol="N")
    action = Action(patient_id="p", time_ns=1, id="a", by="Anna", action="resume")
    edit = Edit(
        patient_id="p",
        time_ns=1,
        id="e",
        by="Anna",
        target="beat",
        target_id="1",
        at_ns=1,
        said="N",
        verdict="confirmed",
    )
    for topic, message in (
        (topics.SCORES, score),
        (topics.REFERENCE, note),
        (topics.ACKS, action),
        (topics.EDITS, edit),
    ):
        produce(broker, topic.name, encode(message))
    async with feeding(broker) as (_, got):
        await until(lambda: len(got) == 4)
        assert {type(a.message): a.message for a in got} == {
            Score: score,
            Reference: note,
            Action: action,
            Edit: edit,
        }


def test_an_action_reaches_the_broker_and_comes_back_to_every_page(broker: Any) -> None:
    """From the page's POST to ecg.acks, and from there to the page; what the processor makes of it
    is its own."""
    clock, standing = (
        SystemClock(),
        alarm(0, "asystole", priority="high", latching=True, onset_ns=time.time_ns()),
    )
    app = create_app(
        KafkaFeed(broker.address, clock),
        MemorySink,
        clock,
        send=OperatorOutlet(broker.address).send,
        profiles=Profiles.load(None),
        access=Access({}, clock),
    )
    produce(broker, topics.ALARMS.name, encode(standing))
    with TestClient(app, base_url=URL) as client:
        deadline = time.monotonic() + WAIT_S
        while client.get("/api/patients").json()["total"] == 0:
            assert time.monotonic() < deadline, "the alarm did not come"
            time.sleep(0.05)
        with client.websocket_connect("/live", headers=ORIGIN) as socket:
            socket.send_json({"watch": ["p"]})
            next_of(socket, "patient")
            body = {"action": "acknowledge", "alarm": standing.id, "by": "Anna"}
            answer = client.post("/api/patients/p/actions", json=body)
            assert answer.status_code == 202, answer.text
            told = _action(socket)
    assert (told["id"], told["by"], told["alarm"]) == (answer.json()["id"], "Anna", standing.id)


def _action(socket: WebSocketTestSession) -> Any:
    """The next action that the page is told."""
    while True:
        for event in next_of(socket, "events")["events"]:
            if "action" in event:
                return event["action"]
