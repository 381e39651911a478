"""Producer of the stream processor's output: events, orders, dead letters, snapshots.

Events are idempotent by identity (ingest/messages), so sending one again is harmless; losing one
is not. The producer is therefore idempotent with acks=all and never gives up by itself, and
`settle` returns once everything sent before a mark is on the broker.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

import confluent_kafka

from ingest import topics
from ingest.kafka_access import librdkafka
from ingest.messages import (
    Alarm,
    Beat,
    Event,
    Finding,
    Orders,
    Rhythm,
    Stored,
    Strip,
    Vitals,
    Waveform,
    encode,
)

TOPICS = {
    Beat: topics.BEATS.name,
    Rhythm: topics.RHYTHM.name,
    Vitals: topics.VITALS.name,
    Alarm: topics.ALARMS.name,
    Finding: topics.FINDINGS.name,
    Strip: topics.STRIPS.name,
    Waveform: topics.WAVEFORMS.name,
}
OFFSET_HEADER = "offset"
_QUEUE_WAIT_S = 0.1
_TIMEOUT_S = 30.0


class InputRecord(Protocol):
    """A message of ecg.samples, as the consumer delivers it."""

    @property
    def offset(self) -> int: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...


class Letter(NamedTuple):
    """A Record that does not come from the consumer."""

    offset: int
    key: bytes | None
    value: bytes | None


class EventProducerError(Exception):
    """The producer has given up on a message. The process must end without a commit; its successor
    sends the message again."""


class EventProducer:
    """Sends to the partition number that is asked for: the one that the patient's input came from
    first. Safe to call from several threads."""

    def __init__(self, broker: str) -> None:
        settings = {
            **librdkafka(broker),
            "enable.idempotence": True,
            "acks": "all",
            "linger.ms": 20,
            # never expire: while the broker is away messages wait, none is lost
            "message.timeout.ms": 0,
            "queue.buffering.max.messages": 500_000,
            "partitioner": "murmur2_random",  # as Kafka's own clients do
            "log_level": 2,
        }
        self._producer = confluent_kafka.Producer(settings)
        self._lock = threading.Lock()
        self._mark = 0
        self._report = partial(self._delivered, 0)
        self._open: Counter[int] = Counter()  # by mark: sent and not yet on the broker
        self._failure: str | None = None

    def event(self, event: Event, partition: int | None) -> None:
        """Send an event to its topic."""
        self._send(TOPICS[type(event)], event.patient_id.encode(), encode(event), partition)

    def orders(self, patient_id: str, orders: Orders | None, partition: int | None) -> None:
        """Send the orders that hold for a patient to ecg.orders; None removes them."""
        value = None if orders is None else encode(orders)
        self._send(topics.ORDERS.name, patient_id.encode(), value, partition)

    def refused_event(self, event: Stored, reason: str) -> None:
        """Send an event that the store refuses for good to ecg.dead-letter, with the reason and the
        kind in headers."""
        headers = {"reason": reason.encode(), "kind": type(event).__name__.encode()}
        self._send(topics.DEAD_LETTER.name, event.patient_id.encode(), encode(event), None, headers)

    def dead_letter(
        self, record: InputRecord, partition: int, reason: str, topic: str = topics.SAMPLES.name
    ) -> None:
        """Send the original bytes of a message to ecg.dead-letter, with the reason and the origin
        in headers."""
        headers = {
            "reason": reason,
            "topic": topic,
            "partition": str(partition),
            OFFSET_HEADER: str(record.offset),
        }
        self._send(
            topics.DEAD_LETTER.name,
            record.key,
            record.value,
            partition,
            {k: v.encode() for k, v in headers.items()},
        )

    def state(
        self, patient_id: str, state: bytes | None, partition: int, headers: Mapping[str, str] = {}
    ) -> None:
        """Send a patient's snapshot to ecg.state; None removes it."""
        self._send(
            topics.STATE.name,
            patient_id.encode(),
            state,
            partition,
            {name: value.encode() for name, value in headers.items()},
        )

    def refresh(self) -> None:
        """Fetch the topics' partitions again, because some may have been added. Blocks."""
        self._producer.list_topics(timeout=_TIMEOUT_S)

    def mark(self) -> int:
        """Return a mark after everything sent so far, for `settle`."""
        with self._lock:
            self._mark += 1
            self._report = partial(self._delivered, self._mark)
            return self._mark

    def settle(self, mark: int) -> None:
        """Return once everything sent before the mark is on the broker, however long the broker is
        away. Raises EventProducerError."""
        while any(at < mark and count for at, count in self._snapshot_of_open()):
            self._producer.poll(0.02)
            self.check()

    def abandon(self) -> None:
        """Stop every wait: `settle` raises EventProducerError from now on."""
        self._failure = self._failure or "abandoned"

    def check(self) -> None:
        """Serve delivery reports. Raises EventProducerError if a message was given up."""
        self._producer.poll(0.0)
        if self._failure:
            raise EventProducerError(self._failure)

    def _send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        partition: int | None,
        headers: dict[str, bytes] | None = None,
    ) -> None:
        with self._lock:
            self._open[self._mark] += 1
            report = self._report
        options: dict[str, Any] = {} if partition is None else {"partition": partition}
        if headers:
            options["headers"] = headers
        while True:
            try:
                return self._producer.produce(topic, value, key, on_delivery=report, **options)
            except BufferError:  # the broker is away or slow: waiting here slows the input down
                self._producer.poll(_QUEUE_WAIT_S)
                self.check()

    def _delivered(
        self, mark: int, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
    ) -> None:
        with self._lock:
            self._open[mark] -= 1
            if not self._open[mark]:
                del self._open[mark]
        if error is not None:
            self._failure = f"{message.topic()}: {error}"

    def _snapshot_of_open(self) -> list[tuple[int, int]]:
        with self._lock:
            return list(self._open.items())
