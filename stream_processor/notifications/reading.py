"""Reads a topic from a time to its present end, outside any consumer group."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

import confluent_kafka
from confluent_kafka import KafkaException, TopicPartition

from ingest.broker import check_reachable, unreachable
from ingest.consumers import TIMEOUT_S, ask_with_retries, extents, open_reader, read_to_end
from ingest.messages import Alarm, BadMessageError, Delivery, decode
from ingest.topics import Topic

log = logging.getLogger(__name__)
M = TypeVar("M", Alarm, Delivery)


class TopicMessage(NamedTuple, Generic[M]):
    """A message with its partition and offset."""

    partition: int
    offset: int
    message: M


class Contents(NamedTuple, Generic[M]):
    """Messages found in the partitions of a topic."""

    partitions: int  # number of partitions of the topic
    cut: set[int]  # partitions whose oldest messages retention has deleted
    messages: list[TopicMessage[M]]  # in order within each partition


def read(
    broker: str,
    topic: Topic,
    kind: type[M],
    partitions: Iterable[int] | None = None,
    since_ms: int | None = None,
    keep: Callable[[TopicMessage[M]], bool] = lambda _: True,
) -> Contents[M]:
    """Read the messages of a topic.

    Args:
        broker: address.
        topic: to read.
        kind: of the messages; others are skipped with a line in the log.
        partitions: to read; default all.
        since_ms: only messages sent since then, Unix time in ms.
        keep: returns whether to keep a message.

    Raises UnreachableError if the broker does not answer.
    """
    check_reachable(broker)
    try:
        return ask_with_retries(lambda: _read(broker, topic, kind, partitions, since_ms, keep))
    except KafkaException as error:
        raise unreachable(broker) from error


def _read(
    broker: str,
    topic: Topic,
    kind: type[M],
    partitions: Iterable[int] | None,
    since_ms: int | None,
    keep: Callable[[TopicMessage[M]], bool],
) -> Contents[M]:
    consumer = open_reader(broker)
    try:
        there = extents(consumer, topic.name)
        wanted = set(there) if partitions is None else set(partitions) & set(there)
        within = {p: there[p] for p in sorted(wanted)}
        messages = read_to_end(
            consumer, topic.name, within, _starts(consumer, topic, within, since_ms)
        )
        found = [k for message in messages for k in _kept(message, kind) if keep(k)]
        return Contents(len(there), {p for p, (low, _) in within.items() if low > 0}, found)
    finally:
        consumer.close()


def _starts(
    consumer: confluent_kafka.Consumer, topic: Topic, within: Iterable[int], since_ms: int | None
) -> dict[int, int]:
    """Return, by partition, the offset of the first message since `since_ms`.

    A partition is left out, and read whole, if there is no such message or the broker cannot tell,
    as the embedded one.
    """
    wanted = [TopicPartition(topic.name, p, since_ms) for p in within if since_ms is not None]
    asked = consumer.offsets_for_times(wanted, timeout=TIMEOUT_S) if wanted else []
    return {a.partition: a.offset for a in asked if a.offset >= 0}


def _kept(message: confluent_kafka.Message, kind: type[M]) -> list[TopicMessage[M]]:
    partition, offset = message.partition() or 0, message.offset() or 0
    try:
        return [TopicMessage(partition, offset, decode(message.value() or b"", kind))]
    except BadMessageError as error:
        log.warning("%s, partition %d, offset %d: %s", message.topic(), partition, offset, error)
        return []
