"""Offsets that the live scorer asks of the broker and commits, through one consumer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

import confluent_kafka

from ingest import topics
from ingest.broker import CreatedTopic, unreachable
from ingest.clock import Clock
from ingest.errors import BadInputError
from stream_processor.scoring.scorer_parts import INPUTS

log = logging.getLogger(__name__)
INSIST_S = 60.0
_TIMEOUT_S = 10.0
T = TypeVar("T")


class Offsets:
    """Asks the broker for offsets; an answer that does not come is logged, not raised."""

    def __init__(
        self, broker: str, consumer: confluent_kafka.Consumer, clock: Clock, stop: threading.Event
    ) -> None:
        self._broker, self._consumer, self._clock, self._stop = broker, consumer, clock, stop

    def attempt(self, ask: Callable[[], T]) -> T | None:
        """Return the broker's answer; None, and a line in the log, if there is none."""
        try:
            return ask()
        except confluent_kafka.KafkaException as error:
            log.warning("broker %s: %s", self._broker, error.args[0])
            return None

    def ask_until_answered(self, ask: Callable[[], T]) -> T:
        """Ask until the broker answers. Raises UnreachableError after INSIST_S, or once the scorer
        is stopped."""
        end_s = self._clock.steady_s() + INSIST_S
        while (answer := self.attempt(ask)) is None:
            if self._stop.wait(1.0) or self._clock.steady_s() > end_s:
                raise unreachable(self._broker)
        return answer

    def marks(self, number: int) -> dict[str, tuple[int, int]]:
        """Return begin and end of a partition of each input topic. Raises KafkaException."""
        return {name: self._watermarks(name, number) for name in INPUTS}

    def reference_end(self, number: int) -> int | None:
        """Return the end of a partition of ecg.reference; None if the broker does not answer."""
        marks = self.attempt(lambda: self._watermarks(topics.REFERENCE.name, number))
        return None if marks is None else marks[1]

    def committed(self, wanted: list[confluent_kafka.TopicPartition]) -> dict[tuple[str, int], int]:
        """Return committed offsets by topic and partition, negative if nothing was committed.

        Raises KafkaException, also if the broker does not know one just now.
        """
        found = self._consumer.committed(wanted, _TIMEOUT_S)
        for error in (p.error for p in found if p.error is not None):
            raise confluent_kafka.KafkaException(error)
        return {(p.topic, p.partition): p.offset for p in found}

    def commit(self, offsets: list[confluent_kafka.TopicPartition]) -> bool:
        """Commit offsets; return False, and log a line, if the broker does not take them."""
        done = self.attempt(lambda: self._consumer.commit(offsets=offsets, asynchronous=False))
        return done is not None

    def _watermarks(self, topic: str, number: int) -> tuple[int, int]:
        found: tuple[int, int] = self._consumer.get_watermark_offsets(
            place(topic, number), _TIMEOUT_S
        )
        return found


def place(
    topic: str, number: int, offset: int = confluent_kafka.OFFSET_INVALID
) -> confluent_kafka.TopicPartition:
    """Return a partition of a topic, at an offset if one is given."""
    return confluent_kafka.TopicPartition(topic, number, offset)


def check_partitions(made: Iterable[CreatedTopic]) -> None:
    """Check that all topics of the scorer have the same number of partitions.

    Raises BadInputError that lists the numbers if they differ.
    """
    counts = {
        m.topic.name: m.partitions
        for m in made
        if m.topic.name in INPUTS or m.topic is topics.SCORES
    }
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise BadInputError(
            f"topics have different numbers of partitions: {listed}",
            "Give them all as many as ecg.samples has.",
        )
