"""Reads the orders about a patient's alarms (limits, silences) that the processor last reported."""

from __future__ import annotations

from confluent_kafka import KafkaException

from ingest.broker import create_topics, unreachable
from ingest.consumers import ask_with_retries, extents, open_reader, read_to_end
from ingest.messages import BadMessageError, Orders, decode
from ingest.topics import ORDERS


def read_orders(broker: str, patient: str) -> Orders | None:
    """Read the orders that hold for a patient; None if none do. Raises UnreachableError."""
    create_topics(broker)  # also checks that the broker answers
    consumer = open_reader(broker)
    found: Orders | None = None
    try:
        within = ask_with_retries(lambda: extents(consumer, ORDERS.name))
        for message in read_to_end(consumer, ORDERS.name, within):
            if message.key() != patient.encode():
                continue
            try:
                value = message.value()
                found = None if value is None else decode(value, Orders)
            except BadMessageError:  # written by a later version
                continue
    except KafkaException as error:
        raise unreachable(broker) from error
    finally:
        consumer.close()
    return found
