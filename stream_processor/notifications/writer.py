"""Writes Deliveries to ecg.notifications."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable

import confluent_kafka

from ingest.messages import encode
from ingest.topics import NOTIFICATIONS
from stream_processor.notifications.clients import open_producer
from stream_processor.notifications.entries import DeliveryEntry

log = logging.getLogger(__name__)
_FULL_WAIT_S = 0.05
_TIMEOUT_S = 10.0


class NotifierError(Exception):
    """A Delivery could not be written, or partitions could not be taken over. The process must end
    without a commit; its successor goes on."""


class DeliveryWriter:
    """Writes Deliveries, counts them by outcome, and reports the key of each job whose Delivery is
    on the broker."""

    def __init__(
        self, broker: str, on_written: Callable[[str], None], outcomes: Counter[str]
    ) -> None:
        self._producer = open_producer(broker)
        self._on_written, self._outcomes = on_written, outcomes
        self._failure = ""

    def write(self, entries: list[DeliveryEntry]) -> None:
        """Queue Deliveries for the broker; blocks while the queue is full."""
        for entry in entries:
            self._produce(entry)
            d = entry.delivery
            self._outcomes[d.outcome] += 1
            if d.outcome == "failed":
                log.info(
                    "%s to %s, attempt %d failed: %s", d.alarm_id, d.recipient, d.attempt, d.reason
                )

    def poll(self) -> None:
        """Serve delivery reports. Raises NotifierError if a Delivery was given up."""
        self._producer.poll(0)
        if self._failure:
            raise NotifierError(self._failure)

    def flush(self) -> None:
        """Wait until the broker has every Delivery, for at most 10 s."""
        self._producer.flush(_TIMEOUT_S)

    def _produce(self, entry: DeliveryEntry) -> None:
        def delivered(error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
            if error is None:
                self._on_written(entry.key)
            else:
                self._failure = f"{NOTIFICATIONS.name}: {error}"

        value, key = encode(entry.delivery), entry.delivery.patient_id.encode()
        while True:
            try:
                return self._producer.produce(
                    NOTIFICATIONS.name, value, key, partition=entry.partition, on_delivery=delivered
                )
            except BufferError:  # the broker is away or slow
                self._producer.poll(_FULL_WAIT_S)
