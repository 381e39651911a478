"""The processor around the ward against brokers: both deliveries, restart, rebalance, garbage, a
busy store."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import confluent_kafka
import msgspec
import pytest

from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import encode
from stream_processor.worker.app import Processor
from stream_processor.worker.assembly import build_processor
from tests.brokers import kafka_first
from tests.fakes import FakeSink, FakeWard, archiving, chunk, expected, stored

WAIT_S = 90.0
PATIENTS = [f"p{i}" for i in range(9)]


# "stock" is the fall-back for a faust that whole fetches do not fit (kafka/delivery.py)
@pytest.fixture(params=["whole", pytest.param("stock", marks=pytest.mark.slow)])
def whole(request: pytest.FixtureRequest) -> bool:
    return request.param == "whole"


@asynccontextmanager
async def processing(
    address: str, sink: FakeSink, *, whole: bool = True, ward: FakeWard | None = None
) -> AsyncIterator[Processor]:
    """A processor, running until the block ends; then it finishes as at Ctrl-C."""
    processor = build_processor(
        address, lambda: ward or FakeWard(), SystemClock(), whole_fetches=whole
    )
    task = asyncio.create_task(processor.run())
    async with archiving(address, sink, processor.counters):
        try:
            yield processor
        finally:
            processor.stop()
            await task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(WAIT_S):
        while not condition():
            await asyncio.sleep(0.05)


def send(
    address: str, numbers: Sequence[int], patients: Sequence[str] = PATIENTS, *, end: bool = False
) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "log_level": 0, "partitioner": "murmur2_random"}
    )
    for number in numbers:
        for patient in patients:
            producer.produce(
                "ecg.samples",
                encode(chunk(patient, number, end=end and number == numbers[-1])),
                patient.encode(),
            )
    assert producer.flush(60) == 0


def messages(address: str, topic: str) -> list[confluent_kafka.Message]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": address,
            "group.id": "looker",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    try:
        parts = consumer.list_topics(topic, timeout=30).topics[topic].partitions
        consumer.assign([confluent_kafka.TopicPartition(topic, p, 0) for p in parts])
        found, open_parts = [], set(parts)
        while open_parts:
            for message in consumer.consume(500, timeout=0.3):
                if message.error():
                    open_parts.discard(message.partition())
                else:
                    found.append(message)
        return found
    finally:
        consumer.close()


@kafka_first
async def test_events_reach_sink_and_topic(broker, whole):
    sink = FakeSink()
    create_topics(broker.address)
    send(broker.address, range(5))  # before the group exists: nothing sent before the start is lost
    async with processing(broker.address, sink, whole=whole) as processor:
        await until(lambda: len(sink.stored) == 5 * len(PATIENTS))
        send(broker.address, range(5, 20))
        await until(lambda: len(sink.stored) == 20 * len(PATIENTS))
        assert stored(sink) == expected(PATIENTS, 20)
        assert processor.counters.dead_letters == 0
    inputs = {m.key(): m.partition() for m in messages(broker.address, "ecg.samples")}
    beats = messages(broker.address, "ecg.beats")
    assert len(beats) == 20 * len(PATIENTS)
    assert all(m.partition() == inputs[m.key()] for m in beats)


@kafka_first
async def test_restart_goes_on_where_it_stopped(broker, whole):
    sink = FakeSink()
    create_topics(broker.address)
    send(broker.address, range(10))
    async with processing(broker.address, sink, whole=whole):
        await until(lambda: len(sink.stored) == 10 * len(PATIENTS))
    send(broker.address, range(10, 20))
    ward = FakeWard()
    async with processing(broker.address, sink, whole=whole, ward=ward) as processor:
        await until(lambda: len(sink.stored) == 20 * len(PATIENTS))
        assert stored(sink) == expected(PATIENTS, 20)
        # the commit held: nothing was read again
        assert processor.counters.chunks == 10 * len(PATIENTS)
    assert sink.changed == ward.duplicates == 0


@kafka_first
async def test_garbage_ends_in_the_dead_letter_topic(broker, whole):
    sink = FakeSink()
    create_topics(broker.address)
    send(broker.address, range(3))
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "log_level": 0})
    garbage = [os.urandom(n) for n in range(1, 100)] + [encode(chunk("p0", 0))[:-1]]
    for data in garbage:
        producer.produce("ecg.samples", data, key=b"p1")
    producer.produce("ecg.samples", None, key=b"p1")
    assert producer.flush(60) == 0
    send(broker.address, range(3, 6))
    async with processing(broker.address, sink, whole=whole):
        await until(lambda: len(sink.stored) == 6 * len(PATIENTS))
    letters = messages(broker.address, "ecg.dead-letter")
    assert sorted(m.value() or b"" for m in letters) == sorted([*garbage, b""])
    inputs = {
        (m.partition(), m.offset()): m.value() for m in messages(broker.address, "ecg.samples")
    }
    for letter in letters:
        headers = {k: v.decode() for k, v in letter.headers()}
        assert headers["topic"] == "ecg.samples"
        assert headers["reason"].startswith("not a SampleChunk")
        assert inputs[int(headers["partition"]), int(headers["offset"])] == letter.value()


@kafka_first
async def test_busy_store_loses_nothing(broker, whole):
    sink = FakeSink()
    sink.busy = True
    create_topics(broker.address)
    send(broker.address, range(10))
    async with processing(broker.address, sink, whole=whole) as processor:
        await until(lambda: processor.counters.store_refusals >= 2)
        await until(lambda: processor.counters.commits > 0)  # nobody waits for the store
        await until(lambda: processor.counters.beats == 10 * len(PATIENTS))
        assert sink.stored == {}
        sink.busy = False
        await until(lambda: len(sink.stored) == 10 * len(PATIENTS))
    assert stored(sink) == expected(PATIENTS, 10)


@pytest.mark.slow
async def test_a_second_worker_takes_over_and_gives_back(empty_kafka, whole):
    # the embedded broker now and then refuses the second member of a group (SyncGroup:
    # InvalidRequest)
    broker = empty_kafka
    sink = FakeSink()  # one store for both, as in a deployment
    create_topics(broker.address)
    async with processing(broker.address, sink, whole=whole) as first:
        send(broker.address, range(10))
        await until(lambda: len(sink.stored) == 10 * len(PATIENTS))
        async with processing(broker.address, sink, whole=whole) as second:
            sent = 10
            # it joins while they come
            while sent < 60 or (second.counters.chunks == 0 and sent < 600):
                send(broker.address, [sent])
                sent += 1
                await asyncio.sleep(0.1)
            await until(lambda: second.counters.chunks > 0)
            assert 0 < len(first.partitions) < len(first.partitions | second.partitions)
            send(broker.address, range(sent, sent + 10))
            await until(lambda: len(sink.stored) == (sent + 10) * len(PATIENTS))
        send(broker.address, range(sent + 10, sent + 20))
        await until(lambda: len(sink.stored) == (sent + 20) * len(PATIENTS))
    assert stored(sink) == expected(PATIENTS, sent + 20)
    assert sink.changed == 0


@kafka_first
async def test_ended_streams_leave_no_state_behind(broker):
    sink = FakeSink()
    create_topics(broker.address)
    send(broker.address, range(5), end=True)
    async with processing(broker.address, sink) as processor:
        await until(lambda: len(sink.stored) == 5 * len(PATIENTS))
        await until(lambda: processor.counters.snapshots >= len(PATIENTS))
        await until(lambda: len(_latest_states(broker.address)) == 0)
    ward = FakeWard()
    async with processing(broker.address, sink, ward=ward) as processor:
        await until(lambda: processor.partitions != set())
        assert ward.patients() == []


def _latest_states(address: str) -> dict[bytes, bytes]:
    latest = {
        m.key(): m.value() for m in sorted(messages(address, "ecg.state"), key=lambda m: m.offset())
    }
    return {key: value for key, value in latest.items() if value is not None}


@kafka_first
async def test_a_chunk_that_breaks_the_ward_costs_the_others_no_more_than_ten_seconds(broker):
    sink, made = FakeSink(), list[FakeWard]()

    class Fragile(FakeWard):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

        def push(self, chunks):
            if any(c.device_id == "poison" for c in chunks):
                raise ZeroDivisionError("poison")
            return super().push(chunks)

    create_topics(broker.address)
    processor = build_processor(broker.address, Fragile, SystemClock())
    task = asyncio.create_task(processor.run())
    async with archiving(broker.address, sink, processor.counters):
        send(broker.address, range(5))
        await until(lambda: len(sink.stored) == 5 * len(PATIENTS))
        producer = confluent_kafka.Producer(
            {"bootstrap.servers": broker.address, "log_level": 0, "partitioner": "murmur2_random"}
        )
        poison = msgspec.structs.replace(chunk("p3", 5), device_id="poison")
        producer.produce("ecg.samples", encode(poison), b"p3")
        producer.flush(30)
        started = time.monotonic()
        others = [p for p in PATIENTS if p != "p3"]
        send(broker.address, range(5, 10), others)
        send(broker.address, range(6, 10), ["p3"])
        await until(lambda: processor.counters.chunks >= 5 * len(PATIENTS) + 5 * len(others))
        took_s = time.monotonic() - started
        await until(lambda: len(sink.stored) == 10 * len(PATIENTS) - 1)
        processor.stop()
        await task
    assert took_s < 10
    assert (processor.counters.rebuilds, processor.counters.refused) == (1, 1)
    assert stored(sink) >= expected(others, 10)
    technical = [alarm for ward in made for alarm in ward.technical]
    assert technical == [("p3", "input_refused", "ZeroDivisionError: poison")]
    (letter,) = messages(broker.address, "ecg.dead-letter")
    assert dict(letter.headers())["reason"] == b"ZeroDivisionError: poison"
