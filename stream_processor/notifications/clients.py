"""Kafka clients of the notifier."""

from __future__ import annotations

import confluent_kafka

from ingest.broker import create_topics
from ingest.consumers import open_consumer as open_member
from ingest.errors import BadInputError
from ingest.kafka_access import librdkafka
from ingest.topics import ALARMS, NOTIFICATIONS

GROUP = "ecgwatch-notify"
SESSION_S = 10.0  # until the partitions of a killed process are reassigned


def check_topics(broker: str) -> None:
    """Create missing topics. Raises UnreachableError, or BadInputError if ecg.alarms and
    ecg.notifications have different numbers of partitions."""
    made = {m.topic: m.partitions for m in create_topics(broker)}
    if made[ALARMS] != made[NOTIFICATIONS]:
        raise BadInputError(
            f"{NOTIFICATIONS.name} has {made[NOTIFICATIONS]} partitions and {ALARMS.name} {made[ALARMS]}",
            "Give both the same number (kafka-topics.sh --alter --partitions N), so that one process sees all of a patient.",
        )


def open_producer(broker: str) -> confluent_kafka.Producer:
    """Open the producer of Deliveries."""
    settings = {
        **librdkafka(broker),
        "enable.idempotence": True,
        "acks": "all",
        "linger.ms": 5,
        "message.timeout.ms": 0,  # never expire: while the broker is away messages wait, none is lost
        "log_level": 2,
    }
    return confluent_kafka.Producer(settings)


def open_consumer(broker: str) -> confluent_kafka.Consumer:
    """Open a consumer in the notifier's group."""
    return open_member(
        broker,
        GROUP,
        session_timeout_ms=int(SESSION_S * 1000),
        max_poll_interval_ms=600_000,  # taking over a day of alarms may take long
    )
