"""The live scorer: a consumer group that reads what the processor reports and what the replay
annotates, and writes Scores.

    ecg.reference, ecg.beats, ecg.rhythm, ecg.alarms -> LiveScore per patient -> ecg.scores

All topics are keyed by patient and have the same number of partitions, and the range assignment
gives a member the same partition numbers of each. Messages of a patient without annotations are not
even decoded: they are kept as bytes until an annotation arrives, or until everything has been read
that was on ecg.reference by then. The order in which a backlog is read, after a restart of the
scorer or of the broker, therefore does not matter.

Kafka gives no order across topics. A patient is therefore scored up to what the rhythm had reached
once everything has been read that was on the broker a second later. Messages that arrive after that
still count in the next Score, because settling does not depend on it (live_stream.py). Each Score
carries the state of its patient (score_log.py), and offsets are committed up to what such a state
contains: after a crash every message is taken at least once, and LiveScore counts none twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial

import confluent_kafka

from ingest import topics
from ingest.broker import create_topics
from ingest.clock import Clock
from ingest.consumers import open_consumer
from ingest.health import Metric
from ingest.messages import BadMessageError, Score, decode
from stream_processor.scoring.live import LiveScore
from stream_processor.scoring.score_log import ScoreProducer, read_scores, restore_patient
from stream_processor.scoring.scorer_offsets import Offsets, check_partitions, place
from stream_processor.scoring.scorer_parts import (
    HELD,
    INPUTS,
    PartitionState,
    ScoredPatient,
    fresh_start,
)

log = logging.getLogger(__name__)
ROUND_S, SETTLE_S, HOLD_S, QUIET_S, COMMIT_S, FORGET_S = 0.5, 1.0, 5.0, 10.0, 5.0, 3600.0
_BATCH, _POLL_S = 2000, 0.1


class Scorer:
    """One member of the consumer group; call `run` once."""

    def __init__(
        self,
        broker: str,
        clock: Clock,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[Score], None] = lambda s: None,
    ) -> None:
        self._broker, self._clock, self._on_ready, self._on_end = broker, clock, on_ready, on_end
        self._parts: dict[int, PartitionState] = {}
        self._round_s = self._commit_s = self._look_s = clock.steady_s()
        self.refused = 0  # messages that could not be decoded
        self.late = 0  # messages about time that was already settled

    def run(self, stop: threading.Event) -> None:
        """Score until `stop` is set.

        Raises UnreachableError if the broker does not answer at the start, BadInputError if the
        topics have different numbers of partitions.
        """
        check_partitions(create_topics(self._broker))
        self._stop = stop
        self._producer = ScoreProducer(self._broker)
        self._consumer = open_consumer(
            self._broker,
            topics.SCORES_GROUP,
            partition_assignment_strategy="range",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            fetch_wait_max_ms=100,
            queued_max_messages_kbytes=16_384,
        )
        self._offsets = Offsets(self._broker, self._consumer, self._clock, stop)
        try:
            self._consumer.subscribe(
                list(INPUTS), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
            while not stop.is_set():
                self._take(self._consumer.consume(_BATCH, timeout=_POLL_S))
                if self._clock.steady_s() - self._round_s >= ROUND_S:
                    self._round()
            self._commit()
        finally:
            self._consumer.close()

    def metrics(self) -> list[Metric]:
        """Return the metrics for Prometheus."""
        patients = sum(len(part.patients) for part in list(self._parts.values()))
        return [
            Metric("scored_patients", "gauge", "patients with annotations", patients),
            Metric(
                "inputs_refused_total",
                "counter",
                "messages that could not be decoded",
                self.refused,
            ),
            Metric("late_total", "counter", "messages after their time was settled", self.late),
        ]

    @property
    def partitions(self) -> set[int]:
        """Partition numbers assigned to this member."""
        return set(self._parts)

    # Messages in.

    def _take(self, messages: Iterable[confluent_kafka.Message]) -> None:
        for message in messages:
            topic, number, offset = (
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
            )
            part = self._parts.get(number)
            if message.error() is not None or part is None or topic not in part.positions:
                continue
            part.positions[topic] = offset + 1
            key, value = message.key() or b"", message.value() or b""
            patient = part.patients.get(key)
            if patient is None and topic != topics.REFERENCE.name:
                part.hold(key, (topic, offset, value))
            else:
                self._take_for(
                    patient or self._begin(part, number, key), number, key, topic, offset, value
                )

    def _begin(self, part: PartitionState, number: int, key: bytes) -> ScoredPatient:
        """Begin to score a patient whose first annotation has arrived."""
        patient = part.patients[key] = ScoredPatient(LiveScore(), self._clock.steady_s())
        for item in part.release(key):
            self._take_for(patient, number, key, *item)
        return patient

    def _take_for(
        self, patient: ScoredPatient, number: int, key: bytes, topic: str, offset: int, value: bytes
    ) -> None:
        patient.heard_s = self._clock.steady_s()
        patient.since.setdefault(topic, offset)
        try:
            scores = patient.live.take(decode(value, INPUTS[topic]))
        except BadMessageError as error:
            self.refused += 1
            log.warning("%s: %s", topic, error)
            return
        if scores:
            self._producer.publish(number, key, patient, scores)

    # Scores out.

    def _round(self) -> None:
        """Score what is complete; at intervals, drop what nobody annotates and commit."""
        now = self._round_s = self._clock.steady_s()
        for number, part in self._parts.items():
            if part.patients:
                self._judge(number, part, now)
        look = now - self._look_s >= HOLD_S
        self._look_s = now if look else self._look_s
        for number, part in self._parts.items():
            if look or part.holding >= HELD:
                part.look_through(partial(self._offsets.reference_end, number))
        if now - self._commit_s >= COMMIT_S:
            self._commit_s = now
            self._commit()

    def _judge(self, number: int, part: PartitionState, now: float) -> None:
        if part.marked is None:
            part.marked_s, part.ends = now, None
            part.marked = {key: p.live.reached() for key, p in part.patients.items()}
        elif part.ends is None and now - part.marked_s >= SETTLE_S:
            # asked again in the next round if there is no answer
            part.ends = self._offsets.attempt(partial(self._offsets.marks, number))
        elif part.ends is not None and all(
            part.positions[t] >= end for t, (_, end) in part.ends.items()
        ):
            for key, reached in part.marked.items():
                if (patient := part.patients.get(key)) is not None:
                    self._judge_patient(number, key, patient, reached, now)
            part.marked = None
            part.patients = {k: p for k, p in part.patients.items() if now - p.heard_s < FORGET_S}

    def _judge_patient(
        self, number: int, key: bytes, patient: ScoredPatient, reached: dict[int, int], now: float
    ) -> None:
        if late := patient.live.late():
            self.late += late
            log.warning(
                "%s: %d messages came too late to be scored", key.decode(errors="replace"), late
            )
        scores = patient.live.advance(reached)
        quiet = now - patient.heard_s >= QUIET_S
        if quiet and not patient.live.done:
            scores += patient.live.finish()
            if scores:
                self._on_end(scores[-1])
        if quiet and patient.since and not scores and patient.last is not None:
            scores = [patient.last]  # written again, with the state that has changed since
        if scores:
            self._producer.publish(number, key, patient, scores)

    # Offsets.

    def _commit(self) -> None:
        """Commit what a restart no longer needs, once every Score is on the broker."""
        if not self._producer.flush(self._stop):
            return
        wanted = {number: part.to_commit() for number, part in self._parts.items()}
        changed = [
            place(t, n, o)
            for n, offsets in wanted.items()
            for t, o in offsets.items()
            if self._parts[n].committed.get(t) != o
        ]
        if not changed or not self._offsets.commit(changed):
            return
        for number, offsets in wanted.items():
            self._parts[number].committed = offsets

    def _assigned(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        """Take partitions over where their last owner left them."""
        numbers = {p.partition for p in partitions}
        wanted = [
            place(name, number) for number in numbers for name in (*INPUTS, topics.SCORES.name)
        ]
        committed = self._offsets.ask_until_answered(lambda: self._offsets.committed(wanted))
        for number in numbers:
            positions = {n: committed[n, number] for n in INPUTS}
            if min(positions.values()) < 0:
                fresh = fresh_start(
                    self._offsets.ask_until_answered(partial(self._offsets.marks, number))
                )
                positions = {n: at if at >= 0 else fresh[n] for n, at in positions.items()}
            part = self._parts[number] = PartitionState(positions)
            for message in self._offsets.ask_until_answered(
                partial(read_scores, self._broker, number, committed[topics.SCORES.name, number])
            ):
                restore_patient(part, message, self._clock.steady_s())
        consumer.assign(
            [place(t, n, o) for n, part in self._parts.items() for t, o in part.positions.items()]
        )
        self._commit()
        log.info("assigned partitions %s", sorted(numbers))
        self._on_ready()

    def _revoked(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        self._commit()
        self._lost(consumer, partitions)

    def _lost(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        for number in {p.partition for p in partitions}:
            self._parts.pop(number, None)
