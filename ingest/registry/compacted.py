"""Reads a compacted topic: every partition from the beginning to its end, then new messages as they
come."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable
from typing import Generic, TypeVar

import confluent_kafka

from ingest.broker import TIMEOUT_S, create_topics, unreachable
from ingest.consumers import open_consumer
from ingest.messages import BadMessageError
from ingest.topics import Topic

log = logging.getLogger(__name__)
R = TypeVar("R")
_POLL_S = 0.05
_BATCH = 500
_TRIES, _RETRY_S = 20, 0.5


class TopicReader(Generic[R]):
    """A consumer outside any group. Not for use from two threads at once; every call may raise KafkaException."""

    def __init__(self, broker: str, topic: Topic, decode: Callable[[bytes], R]) -> None:
        self._topic, self._decode = topic, decode
        self._consumer = open_consumer(
            broker, f"ecgwatch-reader-{uuid.uuid4()}", fetch_wait_max_ms=100
        )
        self._ends: dict[int, int] | None = None
        self._seen: dict[int, int] = {}

    def take(self, wait_s: float) -> list[R]:
        """Return the messages since the last call, in order within each partition; one that cannot
        be decoded is logged."""
        if self._ends is None:
            self._assign()
        found: list[R] = []
        for message in self._consumer.consume(_BATCH, wait_s):
            if message.error():
                continue  # librdkafka mends itself
            self._seen[message.partition() or 0] = (message.offset() or 0) + 1
            try:
                found.append(self._decode(message.value() or b""))
            except BadMessageError as bad:
                log.warning("%s[%s]: %s", self._topic.name, message.partition(), bad)
        return found

    @property
    def at_end(self) -> bool:
        """Whether every message that the topic held at the first `take` has been taken."""
        return self._ends is not None and all(
            self._seen.get(p, 0) >= end for p, end in self._ends.items()
        )

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()

    def _assign(self) -> None:
        found = self._consumer.list_topics(self._topic.name, timeout=TIMEOUT_S).topics[
            self._topic.name
        ]
        parts = [
            confluent_kafka.TopicPartition(self._topic.name, p, confluent_kafka.OFFSET_BEGINNING)
            for p in found.partitions
        ]
        if not parts:
            unknown = confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART
            raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(unknown))
        marks = {
            part.partition: self._consumer.get_watermark_offsets(part, TIMEOUT_S) for part in parts
        }
        self._consumer.assign(parts)
        self._ends = {
            partition: high if high > low else 0 for partition, (low, high) in marks.items()
        }


def read_all(broker: str, topic: Topic, decode: Callable[[bytes], R]) -> list[R]:
    """Return all that the topic holds now. Makes the topics that are missing. Raises
    UnreachableError."""
    create_topics(broker)
    reader = TopicReader(broker, topic, decode)
    found: list[R] = []
    failures = 0
    try:
        while not reader.at_end:
            try:
                found += reader.take(_POLL_S)
            except confluent_kafka.KafkaException as error:
                failures += 1  # a topic that was just made has no leader for a moment
                if failures >= _TRIES:
                    raise unreachable(broker) from error
                time.sleep(_RETRY_S)
    finally:
        reader.close()
    return found
