"""What ingest/embedded.py says about the in-process broker, held against each client that we use."""

import socket
import uuid
from collections.abc import Iterator

import aiokafka
import confluent_kafka
import kafka
import pytest

from ingest.embedded import KAFKA_PYTHON_API_VERSION, KEPT_BYTES, PARTITIONS, EmbeddedBroker
from ingest.topics import ALL


@pytest.fixture(scope="module")
def embedded() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as broker:
        yield broker


def confluent(embedded, **settings):
    return {"bootstrap.servers": embedded.address, "log.connection.close": False, **settings}


def new_topic() -> str:
    return f"test.{uuid.uuid4().hex}"


def test_it_answers_on_this_machine_only(embedded):
    host, port = embedded.address.split(":")
    assert host == "127.0.0.1"
    socket.create_connection((host, int(port)), timeout=10).close()


def test_all_topics_are_there_from_the_start(embedded):
    found = confluent_kafka.Producer(confluent(embedded)).list_topics(timeout=30).topics
    assert {t.name for t in ALL} <= set(found)
    assert {len(found[t.name].partitions) for t in ALL} == {PARTITIONS}


def test_it_is_gone_after_stop():
    with EmbeddedBroker() as broker:
        host, port = broker.address.split(":")
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=10)


@pytest.mark.slow
def test_confluent_kafka_produces_idempotently_and_a_group_resumes_from_its_commit(embedded):
    topic = new_topic()
    producer = confluent_kafka.Producer(
        confluent(embedded, **{"enable.idempotence": True, "acks": "all"})
    )
    for i in range(6):
        producer.produce(topic, b"%d" % i, key=b"one patient")
    assert producer.flush(60) == 0

    def read(n):
        group = {
            "group.id": "g-" + topic,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
        }
        consumer = confluent_kafka.Consumer(confluent(embedded, **group))
        consumer.subscribe([topic])
        found = []
        while len(found) < n:
            message = consumer.poll(60)
            assert message is not None
            assert message.error() is None
            found.append(message.value())
            consumer.commit(message, asynchronous=False)
        consumer.close()
        return found

    assert read(4) == [b"0", b"1", b"2", b"3"]
    assert read(2) == [b"4", b"5"]


def test_kafka_python_produces_and_consumes(embedded):
    topic = new_topic()
    common = {"bootstrap_servers": embedded.address, "api_version": KAFKA_PYTHON_API_VERSION}
    producer = kafka.KafkaProducer(**common, acks="all", enable_idempotence=True)
    offsets = [producer.send(topic, b"%d" % i, key=b"one patient").get(60).offset for i in range(3)]
    producer.close()
    assert offsets == [0, 1, 2]
    consumer = kafka.KafkaConsumer(
        **common, auto_offset_reset="earliest", consumer_timeout_ms=30_000
    )
    # Assigned, not subscribed: kafka-python 3.0.12 forgets a topic subscribed to while its first
    # metadata is under way, for 5 minutes.
    consumer.assign([kafka.TopicPartition(topic, p) for p in range(PARTITIONS)])
    assert [next(consumer).value for _ in range(3)] == [b"0", b"1", b"2"]
    consumer.close()


async def test_aiokafka_produces_and_a_group_consumes(embedded):
    topic = new_topic()
    async with aiokafka.AIOKafkaProducer(
        bootstrap_servers=embedded.address, acks="all", enable_idempotence=True
    ) as producer:
        for i in range(3):
            await producer.send_and_wait(topic, b"%d" % i, key=b"one patient")
    consumer = aiokafka.AIOKafkaConsumer(
        topic,
        bootstrap_servers=embedded.address,
        group_id="a-" + topic,
        auto_offset_reset="earliest",
    )
    async with consumer:
        assert [(await consumer.getone()).value for _ in range(3)] == [b"0", b"1", b"2"]


def test_a_partition_keeps_about_five_megabytes(embedded):
    topic = new_topic()
    producer = confluent_kafka.Producer(confluent(embedded))
    for _ in range(300):
        producer.produce(topic, bytes(25_000), partition=0)
        producer.flush(60)
    consumer = confluent_kafka.Consumer(confluent(embedded, **{"group.id": "looker"}))
    first, end = consumer.get_watermark_offsets(
        confluent_kafka.TopicPartition(topic, 0), timeout=30
    )
    consumer.close()
    assert end == 300
    assert (end - first) * 25_000 == pytest.approx(KEPT_BYTES, rel=0.05)
