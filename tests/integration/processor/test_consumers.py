"""What the partitions of a topic hold, asked by a consumer that is reading them: right, and not one
wait for each partition."""

from __future__ import annotations

import confluent_kafka
from confluent_kafka import TopicPartition

from ingest.broker import create_topics, grow_topics
from ingest.consumers import extents, lag, open_consumer, open_reader

TOPIC = "ecg.beats"


def test_extents_while_reading_are_right_and_cost_two_requests(broker) -> None:
    create_topics(broker.address)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "log_level": 0})
    for _ in range(3):
        producer.produce(TOPIC, b"x", partition=1)
    assert producer.flush(30) == 0
    consumer = open_reader(broker.address)
    try:
        there = extents(consumer, TOPIC)
        consumer.assign([TopicPartition(TOPIC, p, extent.high) for p, extent in there.items()])
        consumer.consume(100, timeout=1.5)  # now a request waits at the broker for messages
        asked: list[str] = []

        class Counted:
            """The consumer, with every call written down."""

            def __getattr__(self, name: str):
                asked.append(name)
                return getattr(consumer, name)

        found = extents(Counted(), TOPIC)
        assert asked == ["list_topics", "offsets_for_times", "offsets_for_times"]
        single = {
            p: consumer.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=30) for p in found
        }
        assert found == single == there
        assert found[1] == (0, 3)
        assert set(found.values()) == {(0, 3), (0, 0)}
    finally:
        consumer.close()


def test_lag_is_what_a_group_has_not_committed(broker) -> None:
    create_topics(broker.address)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "log_level": 0})
    for partition, number in ((0, 4), (2, 3)):
        for _ in range(number):
            producer.produce(TOPIC, b"x", partition=partition)
    assert producer.flush(30) == 0
    assert lag(broker.address, "someone", [TOPIC, "ecg.alarms"]) == 7
    consumer = open_consumer(broker.address, "someone")
    try:
        consumer.commit(offsets=[TopicPartition(TOPIC, 0, 3)], asynchronous=False)
    finally:
        consumer.close()
    assert lag(broker.address, "someone", [TOPIC, "ecg.alarms"]) == 4
    assert lag(broker.address, "someone", ["ecg.alarms"]) == 0


def test_partitions_added_since_the_consumer_asked_last_are_found(empty_kafka) -> None:
    create_topics(empty_kafka.address, 2)
    consumer = open_reader(empty_kafka.address)
    try:
        consumer.assign([TopicPartition(TOPIC, 0, 0)])
        assert extents(consumer, TOPIC) == {0: (0, 0), 1: (0, 0)}
        grow_topics(empty_kafka.address, 3)
        assert extents(consumer, TOPIC, [0, 2]) == {0: (0, 0), 2: (0, 0)}
    finally:
        consumer.close()
