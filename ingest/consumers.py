"""The one consumer set-up, and the one way to read a topic to its present end."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

import confluent_kafka
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from ingest.kafka_access import librdkafka

TIMEOUT_S = 30.0
_BATCH = 1000
_POLL_S = 0.2
_TRIES, _PAUSE_S = 30, 0.2
# a topic has just been made, partitions have been added, or a leader has moved
_UNSETTLED = {
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_PARTITION,
}
T = TypeVar("T")


class Extent(NamedTuple):
    """The offsets that a partition holds now."""

    low: int  # offset of the oldest message
    high: int  # offset of the next one


def open_consumer(broker: str, group: str, **settings: Any) -> confluent_kafka.Consumer:
    """A member of a consumer group that commits by itself alone; from the beginning where the group
    has committed nothing. `settings`: more of librdkafka's, with underscores for dots."""
    base = {
        "group.id": group,
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "log_level": 2,
    }
    more = {name.replace("_", "."): value for name, value in settings.items()}
    return confluent_kafka.Consumer({**librdkafka(broker), **base, **more})


def open_reader(broker: str) -> confluent_kafka.Consumer:
    """A consumer outside any group, for `extents` and `read_to_end`."""
    # librdkafka demands a group name; nothing is ever committed under it
    return open_consumer(broker, f"ecgwatch-reader-{uuid.uuid4()}", enable_partition_eof=True)


def extents(
    consumer: confluent_kafka.Consumer, topic: str, partitions: Iterable[int] | None = None
) -> dict[int, Extent]:
    """Return the offsets that these partitions of the topic (default: all) hold. Raises
    KafkaException."""
    if partitions is None:
        found = consumer.list_topics(topic, timeout=TIMEOUT_S).topics[topic]
        if found.error is not None:
            raise KafkaException(found.error)
        partitions = sorted(found.partitions)
    found_of = _extents(consumer, [TopicPartition(topic, p) for p in partitions])
    return {partition: extent for (_, partition), extent in found_of.items()}


def read_to_end(
    consumer: confluent_kafka.Consumer,
    topic: str,
    within: Mapping[int, Extent],
    starts: Mapping[int, int] | None = None,
) -> Iterator[Message]:
    """The messages of these partitions up to their extent, each from its start (default: the
    oldest), in order within a partition. Takes over the consumer's assignment.

    Raises KafkaException, also if nothing has come for TIMEOUT_S.
    """
    begins = {p: max(low, (starts or {}).get(p, low)) for p, (low, _) in within.items()}
    left = {p: high for p, (_, high) in within.items() if high > begins[p]}
    consumer.assign([TopicPartition(topic, p, begins[p]) for p in left])
    silent_s = 0.0
    while left:
        messages = consumer.consume(_BATCH, timeout=_POLL_S)
        silent_s = 0.0 if messages else silent_s + _POLL_S
        if silent_s > TIMEOUT_S:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        for message in messages:
            partition, offset = message.partition() or 0, message.offset() or 0
            if (error := message.error()) is not None:
                # the end may lie behind the last message: compaction takes messages away
                if error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                left.pop(partition, None)
                continue
            if partition in left and offset < left[partition]:
                yield message
            if offset + 1 >= left.get(partition, 0):
                left.pop(partition, None)


def ask_with_retries(ask: Callable[[], T]) -> T:
    """Ask a broker that may not be able to tell just now: its topic has just been made, or a leader
    has moved."""
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except KafkaException:
            time.sleep(_PAUSE_S)
    return ask()


def unread(
    consumer: confluent_kafka.Consumer,
    places: Iterable[TopicPartition],
    timeout_s: float = TIMEOUT_S,
) -> int:
    """How many messages lie behind the group's commits of these topic partitions. Raises
    KafkaException.

    Give it a consumer that reads nothing: a broker answers each of its clients in turn, and the
    request of one that waits for messages takes up to half a second.
    """
    wanted = [TopicPartition(tp.topic, tp.partition) for tp in places]
    if not wanted:
        return 0
    within = _extents(consumer, wanted, timeout_s)
    left = 0
    for tp in consumer.committed(wanted, timeout_s):
        if tp.error is not None:
            raise KafkaException(tp.error)
        low, high = within[tp.topic, tp.partition]
        left += high - max(tp.offset, low)
    return left


def _extents(
    consumer: confluent_kafka.Consumer,
    places: Iterable[TopicPartition],
    timeout_s: float = TIMEOUT_S,
) -> dict[tuple[str, int], Extent]:
    """Two requests for all partitions: one by one, a consumer that reads would wait half a second
    for each."""
    names = [(tp.topic, tp.partition) for tp in places]
    lows = _offsets(consumer, names, OFFSET_BEGINNING, timeout_s)
    highs = _offsets(consumer, names, OFFSET_END, timeout_s)
    return {name: Extent(lows[name], highs[name]) for name in names}


def _offsets(
    consumer: confluent_kafka.Consumer,
    names: Iterable[tuple[str, int]],
    where: int,
    timeout_s: float,
) -> dict[tuple[str, int], int]:
    # in ListOffsets, -2 asks for the beginning and -1 for the end, as librdkafka numbers them too
    asked = [TopicPartition(topic, partition, where) for topic, partition in names]
    for tried in range(_TRIES) if asked else ():
        try:
            return _offsets_now(consumer, asked, timeout_s)
        except KafkaException as error:
            if error.args[0].code() not in _UNSETTLED or tried == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S)
            # else librdkafka answers from what it knew of the topic, for up to five minutes
            for topic in {tp.topic for tp in asked}:
                consumer.list_topics(topic, timeout=timeout_s)
    return {}


def _offsets_now(
    consumer: confluent_kafka.Consumer, asked: list[TopicPartition], timeout_s: float
) -> dict[tuple[str, int], int]:
    found = consumer.offsets_for_times(asked, timeout=timeout_s)
    for tp in found:
        if tp.error is not None:
            raise KafkaException(tp.error)
    return {(tp.topic, tp.partition): tp.offset for tp in found}


def lag(broker: str, group: str, names: Iterable[str], timeout_s: float = TIMEOUT_S) -> int:
    """How many messages of these topics the group has not processed. Raises KafkaException, also
    if the broker does not answer within `timeout_s`."""
    consumer = open_consumer(broker, group)  # joins nothing: it is subscribed to nothing
    try:
        there = consumer.list_topics(timeout=timeout_s).topics
        places = [
            TopicPartition(name, p)
            for name in names
            if name in there
            for p in there[name].partitions
        ]
        return unread(consumer, places, timeout_s)
    finally:
        consumer.close()
