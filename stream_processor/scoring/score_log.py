"""Scores on ecg.scores, and the state of each patient in their headers.

The last Score of a batch carries, in a header, everything that the scorer remembers of the patient.
A scorer that takes a partition over reads those headers and goes on from there.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from functools import partial

import confluent_kafka
import msgspec

from ingest import topics
from ingest.consumers import extents, open_reader, read_to_end
from ingest.kafka_access import librdkafka
from ingest.messages import BadMessageError, Score, decode, encode
from stream_processor.scoring.live import LiveScore
from stream_processor.scoring.scorer_parts import PartitionState, ScoredPatient

log = logging.getLogger(__name__)
STATE_HEADER = "state"
# A broker takes messages of up to 1 MB; a state is larger only while the scorer catches up.
STATE_BYTES = 900_000
_POLL_S = 0.1


class ScoreProducer:
    """Writes Scores, and notes at which offset the newest state of each patient is stored."""

    def __init__(self, broker: str) -> None:
        self._producer = confluent_kafka.Producer(
            {
                **librdkafka(broker),
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 0,
                "log_level": 2,
            }
        )

    def publish(self, number: int, key: bytes, patient: ScoredPatient, scores: list[Score]) -> None:
        """Write the Scores of a patient to a partition; the last one carries the state."""
        state = patient.live.snapshot()
        for score in scores[:-1]:
            self._produce(number, key, score, {})
        patient.last = scores[-1]
        if len(state) > STATE_BYTES:
            self._produce(number, key, scores[-1], {})
            return
        self._produce(number, key, scores[-1], {STATE_HEADER: state}, partial(_saved, patient))
        patient.since = {}  # the caller commits only after `flush`

    def flush(self, stop: threading.Event) -> bool:
        """Wait until the broker has every Score; False if `stop` was set first."""
        while self._producer.flush(_POLL_S):
            if stop.is_set():
                return False
        return True

    def _produce(
        self,
        number: int,
        key: bytes,
        score: Score,
        headers: dict[str, bytes],
        done: Callable[..., None] = lambda *_: None,
    ) -> None:
        while True:
            try:
                self._producer.produce(
                    topics.SCORES.name,
                    encode(score),
                    key,
                    number,
                    headers=[*headers.items()],
                    on_delivery=done,
                )
                self._producer.poll(0)
                return
            except BufferError:  # the broker is away
                self._producer.poll(_POLL_S)


def read_scores(broker: str, number: int, begin: int) -> list[confluent_kafka.Message]:
    """Read a partition of ecg.scores from an offset to its end.

    Returns no messages if the offset is negative, because nothing was committed then. Raises
    KafkaException.
    """
    if begin < 0:
        return []
    consumer, topic = open_reader(broker), topics.SCORES.name
    try:
        return list(
            read_to_end(consumer, topic, extents(consumer, topic, [number]), {number: begin})
        )
    finally:
        consumer.close()


def restore_patient(part: PartitionState, message: confluent_kafka.Message, now_s: float) -> None:
    """Put a patient back as the header of a Score says; of several Scores the last one holds.

    A message without a state, or with one of another version, changes nothing.
    """
    state = dict(message.headers() or []).get(STATE_HEADER)
    if not isinstance(state, bytes):
        return
    try:
        live, last = LiveScore.restore(state), decode(message.value() or b"", Score)
    except (BadMessageError, msgspec.DecodeError) as error:
        log.warning(
            "%s: a state that this version cannot read was skipped: %s", topics.SCORES.name, error
        )
        return
    part.patients[message.key() or b""] = ScoredPatient(
        live, now_s, last=last, saved=message.offset()
    )


def _saved(
    patient: ScoredPatient,
    error: confluent_kafka.KafkaError | None,
    message: confluent_kafka.Message,
) -> None:
    if error is None:
        patient.saved = message.offset()
