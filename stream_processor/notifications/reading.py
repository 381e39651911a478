"""Reading what a topic holds, from a moment on to its present end, outside any consumer group."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, NamedTuple, TypeVar

import confluent_kafka
from confluent_kafka import OFFSET_BEGINNING, KafkaException, TopicPartition

from ingest.broker import check_reachable, unreachable
from ingest.messages import Alarm, BadMessageError, Delivery, decode
from ingest.topics import Topic

log = logging.getLogger(__name__)
M = TypeVar("M", Alarm, Delivery)
T = TypeVar("T")
_TIMEOUT_S = 30.0
_BATCH = 1000
_TRIES, _PAUSE_S = 30, 0.2


class Kept(NamedTuple, Generic[M]):
    """A message and its place."""

    partition: int
    offset: int
    message: M


class Contents(NamedTuple, Generic[M]):
    """What was found in the partitions of a topic."""

    partitions: int  # that the topic has
    cut: set[int]  # those whose oldest messages are gone by retention
    messages: list[Kept[M]]  # in order within each partition


def read(
    broker: str,
    topic: Topic,
    kind: type[M],
    partitions: Iterable[int] | None = None,
    since_ms: int | None = None,
    keep: Callable[[Kept[M]], bool] = lambda _: True,
) -> Contents[M]:
    """Messages of these partitions (default: all) that were sent since then, Unix time in ms, and
    that are worth keeping.

    What is no such message is skipped. Raises UnreachableError.
    """
    check_reachable(broker)
    try:
        return patiently(lambda: _read(broker, topic, kind, partitions, since_ms, keep))
    except KafkaException as error:
        raise unreachable(broker) from error


def patiently(ask: Callable[[], T]) -> T:
    """Ask a broker that may not be able to tell just now: its topic has just been made, or a leader
    has moved."""
    for _ in range(_TRIES - 1):
        try:
            return ask()
        except KafkaException as error:
            log.debug("trying again: %s", error)
        time.sleep(_PAUSE_S)
    return ask()


def _read(
    broker: str,
    topic: Topic,
    kind: type[M],
    partitions: Iterable[int] | None,
    since_ms: int | None,
    keep: Callable[[Kept[M]], bool],
) -> Contents[M]:
    consumer = confluent_kafka.Consumer(
        {
            "bootstrap.servers": broker,
            # librdkafka wants a name; nothing is ever committed under it
            "group.id": f"ecgwatch-reader-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "log_level": 0,
        }
    )
    try:
        there = sorted(
            consumer.list_topics(topic.name, timeout=_TIMEOUT_S).topics[topic.name].partitions
        )
        wanted = there if partitions is None else sorted(set(partitions) & set(there))
        marks = {
            p: consumer.get_watermark_offsets(TopicPartition(topic.name, p), _TIMEOUT_S)
            for p in wanted
        }
        left = {p: high for p, (low, high) in marks.items() if high > low}
        kept = (k for m in _messages(consumer, topic, left, since_ms) for k in _kept(m, kind))
        found = [k for k in kept if k.offset < left[k.partition] and keep(k)]
        return Contents(len(there), {p for p, (low, _) in marks.items() if low > 0}, found)
    finally:
        consumer.close()


def _messages(
    consumer: confluent_kafka.Consumer, topic: Topic, left: dict[int, int], since_ms: int | None
) -> Iterator[confluent_kafka.Message]:
    starts = [TopicPartition(topic.name, p, OFFSET_BEGINNING) for p in left]
    if since_ms is not None and left:
        asked = consumer.offsets_for_times(
            [TopicPartition(topic.name, p, since_ms) for p in left], timeout=_TIMEOUT_S
        )
        # Below zero: nothing since then, or a broker that cannot tell, such as the embedded one.
        # All of it, then.
        starts = [
            TopicPartition(topic.name, a.partition, a.offset if a.offset >= 0 else OFFSET_BEGINNING)
            for a in asked
        ]
    consumer.assign(starts)
    left = dict(left)
    while left:
        for message in consumer.consume(_BATCH, timeout=0.2):
            if message.error():
                raise KafkaException(message.error())
            yield message
        for position in consumer.position([TopicPartition(topic.name, p) for p in left]):
            if position.offset >= left[position.partition]:
                del left[position.partition]


def _kept(message: confluent_kafka.Message, kind: type[M]) -> list[Kept[M]]:
    partition, offset = message.partition() or 0, message.offset() or 0
    try:
        return [Kept(partition, offset, decode(message.value() or b"", kind))]
    except BadMessageError as error:
        log.warning("%s, partition %d, offset %d: %s", message.topic(), partition, offset, error)
        return []
