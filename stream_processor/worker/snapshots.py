"""Reading back the patients' snapshots from the compacted topic ecg.state.

A message is one patient's complete state. Its header `offset` is the first message of the patient's
input partition that is NOT inside: whatever comes again from before it is skipped, exactly, whether
the stream went on, ended or started anew in between. An empty value says that the patient's stream
had ended by then; None (a tombstone) that nothing is to be known.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable
from typing import NamedTuple

import confluent_kafka

from ingest import topics
from stream_processor.kafka.event_producer import OFFSET_HEADER

log = logging.getLogger(__name__)
ENDED = b""
_TIMEOUT_S = 30.0
_BATCH = 500


class Snapshot(NamedTuple):
    """A patient's state (ENDED: no open stream) and the first input offset that is not inside."""

    partition: int
    state: bytes
    offset: int


class SnapshotReader:
    """Reads whole partitions of ecg.state with a plain consumer, outside the group."""

    def __init__(self, broker: str) -> None:
        self._settings = {
            "bootstrap.servers": broker,
            # librdkafka wants a name; nothing is ever committed under it
            "group.id": f"ecgwatch-state-{uuid.uuid4()}",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            "auto.offset.reset": "earliest",
            "log_level": 2,
        }

    def read(self, partitions: Iterable[int]) -> dict[str, Snapshot]:
        """The last snapshot of every patient of these partitions. Blocks; seconds for thousands of
        patients."""
        consumer = confluent_kafka.Consumer(self._settings)
        try:
            ends = {
                p: consumer.get_watermark_offsets(
                    confluent_kafka.TopicPartition(topics.STATE.name, p), _TIMEOUT_S
                )
                for p in partitions
            }
            inputs = {
                p: consumer.get_watermark_offsets(
                    confluent_kafka.TopicPartition(topics.SAMPLES.name, p), _TIMEOUT_S
                )[1]
                for p in ends
            }
            left = {p: high for p, (low, high) in ends.items() if high > low}
            return {
                patient: s
                for patient, s in self._last(consumer, left).items()
                if _belongs(patient, s, inputs)
            }
        finally:
            consumer.close()

    def _last(
        self, consumer: confluent_kafka.Consumer, left: dict[int, int]
    ) -> dict[str, Snapshot]:
        found: dict[str, Snapshot] = {}
        consumer.assign(
            [
                confluent_kafka.TopicPartition(
                    topics.STATE.name, p, confluent_kafka.OFFSET_BEGINNING
                )
                for p in left
            ]
        )
        while left:
            for message in consumer.consume(_BATCH, timeout=0.2):
                if message.error():
                    raise confluent_kafka.KafkaException(message.error())
                _apply(found, message)
            # compaction may have taken the last message: the position tells, not the offsets seen
            for p in list(left):
                position = consumer.position(
                    [confluent_kafka.TopicPartition(topics.STATE.name, p)]
                )[0].offset
                if position >= left[p]:
                    del left[p]
        return found


def _apply(found: dict[str, Snapshot], message: confluent_kafka.Message) -> None:
    patient, value = bytes(message.key() or b"").decode(errors="replace"), message.value()
    offset = dict(message.headers() or []).get(OFFSET_HEADER) or b""
    if value is None:
        found.pop(patient, None)
    elif offset.isdigit():
        found[patient] = Snapshot(message.partition() or 0, value, int(offset))


def _belongs(patient: str, snapshot: Snapshot, inputs: dict[int, int]) -> bool:
    """False where ecg.samples ends before the snapshot's offset: the topic was made anew, and
    skipping would lose its messages."""
    if snapshot.offset <= inputs[snapshot.partition]:
        return True
    log.warning(
        "snapshot of %s is from an earlier life of %s: dropped", patient, topics.SAMPLES.name
    )
    return False
