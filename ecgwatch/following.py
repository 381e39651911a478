"""The steps of alarms as they happen."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import confluent_kafka
from confluent_kafka import TopicPartition

from ingest.broker import TIMEOUT_S, create_topics
from ingest.messages import Alarm, BadMessageError, decode
from ingest.topics import ALARMS

_POLL_S = 0.2


def follow(broker: str, on_ready: Callable[[], None]) -> Iterator[Alarm]:
    """Every step from now on, forever; `on_ready` is called once none can be missed. Raises
    UnreachableError."""
    create_topics(broker)  # asks whether the broker is there, too
    settings = {
        "bootstrap.servers": broker,
        "group.id": f"ecgwatch-tail-{uuid.uuid4()}",
        "enable.auto.commit": False,
        "log_level": 2,
    }
    consumer = confluent_kafka.Consumer(settings)
    try:
        partitions = (
            consumer.list_topics(ALARMS.name, timeout=TIMEOUT_S).topics[ALARMS.name].partitions
        )
        ends = {
            p: consumer.get_watermark_offsets(TopicPartition(ALARMS.name, p), TIMEOUT_S)[1]
            for p in partitions
        }
        consumer.assign([TopicPartition(ALARMS.name, p, end) for p, end in ends.items()])
        on_ready()
        while True:
            message = consumer.poll(_POLL_S)
            if message is not None and not message.error():
                try:
                    yield decode(message.value() or b"", Alarm)
                except BadMessageError:  # the notifier says so, too
                    continue
    finally:
        consumer.close()
