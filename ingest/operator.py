"""Send what people enter (actions, edits, journal entries, records of devices and people) to Kafka.

Actions go to ecg.acks, Edits to ecg.edits and JournalEntries to ecg.journal, in the partition of the
patient's samples; records of devices and people to ecg.registry, by their own key.
"""

from __future__ import annotations

import threading

import confluent_kafka

from ingest.broker import METADATA_MS, TIMEOUT_S, create_topics, unreachable
from ingest.errors import UnreachableError
from ingest.kafka_access import librdkafka
from ingest.messages import Action, Edit, JournalEntry, encode
from ingest.registry.records import DeviceRecord, PersonRecord, Record, encode_record
from ingest.topics import ACKS, EDITS, JOURNAL, REGISTRY

Order = Action | Edit | JournalEntry | Record
_POLL_S = 0.05
_TOPICS = {Action: ACKS, Edit: EDITS, JournalEntry: JOURNAL}


class OperatorOutlet:
    """Sends one message at a time and returns once all replicas have it. Safe to call from several
    threads.

    Opening it asks nothing of the broker; the first `send` makes the topics that are not there yet,
    so that none is created with another number of partitions than ecg.samples has.
    """

    def __init__(self, broker: str) -> None:
        self._broker = broker
        self._opening = threading.Lock()
        self._producer: confluent_kafka.Producer | None = None

    def send(self, message: Order) -> None:
        """Send a message and wait until all replicas have it. Raises UnreachableError: the message
        may still have arrived, so repeat it with the same id."""
        done = threading.Event()
        failures: list[confluent_kafka.KafkaError] = []

        def delivered(error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
            failures.extend([error] if error else [])
            done.set()

        producer = self._opened()
        if isinstance(message, DeviceRecord | PersonRecord):
            producer.produce(
                REGISTRY.name, encode_record(message), message.key, on_delivery=delivered
            )
        else:
            key = message.patient_id.encode()
            producer.produce(
                _TOPICS[type(message)].name, encode(message), key, on_delivery=delivered
            )
        while not done.is_set():  # ends: the producer reports failure after message.timeout.ms
            producer.poll(_POLL_S)
        if failures:
            with self._opening:
                # the next `send` opens a new producer, and fails at once if the broker is still
                # unreachable
                self._producer = None
            raise self._failed(failures[0])

    def _opened(self) -> confluent_kafka.Producer:
        with self._opening:
            if self._producer is None:
                create_topics(self._broker)
                settings = {
                    **librdkafka(self._broker),
                    "enable.idempotence": True,
                    "topic.metadata.refresh.interval.ms": METADATA_MS,
                    "acks": "all",
                    "linger.ms": 0,
                    "message.timeout.ms": int(TIMEOUT_S * 1000),
                    # the partitioner of Kafka's own clients, and of kafka-python for the samples
                    "partitioner": "murmur2_random",
                    "log_level": 0,
                }
                self._producer = confluent_kafka.Producer(settings)
            return self._producer

    def _failed(self, error: confluent_kafka.KafkaError) -> UnreachableError:
        if error.code() in (
            confluent_kafka.KafkaError._MSG_TIMED_OUT,
            confluent_kafka.KafkaError._TIMED_OUT,
        ):
            return unreachable(self._broker)
        remedy = "Check the broker's log, the topic's settings (`ecgwatch topics create`) and its access rights."
        return UnreachableError(f"Kafka broker {self._broker} refused the message: {error}", remedy)


def send(broker: str, message: Order) -> None:
    """Send a single message and wait until all replicas have it. Raises UnreachableError."""
    OperatorOutlet(broker).send(message)
