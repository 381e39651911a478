"""Follows the steps of alarms as they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from confluent_kafka import TopicPartition

from ingest.broker import create_topics
from ingest.consumers import extents, open_reader
from ingest.messages import Alarm, BadMessageError, decode
from ingest.topics import ALARMS

_POLL_S = 0.2


def follow(broker: str, on_ready: Callable[[], None]) -> Iterator[Alarm]:
    """Yield every step from now on, without end; call `on_ready` once no step can be missed. Raises
    UnreachableError."""
    create_topics(broker)  # also checks that the broker answers
    consumer = open_reader(broker)
    try:
        ends = {p: high for p, (_, high) in extents(consumer, ALARMS.name).items()}
        consumer.assign([TopicPartition(ALARMS.name, p, end) for p, end in ends.items()])
        on_ready()
        while True:
            message = consumer.poll(_POLL_S)
            if message is not None and not message.error():
                try:
                    yield decode(message.value() or b"", Alarm)
                except BadMessageError:  # the notifier logs it
                    continue
    finally:
        consumer.close()
