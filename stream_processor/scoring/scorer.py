"""The live scorer: a consumer group over what the processor tells and what the replay annotates,
Scores out.

    ecg.reference, ecg.beats, ecg.rhythm, ecg.alarms -> LiveScore per patient -> ecg.scores

All topics are keyed by patient and have the same number of partitions, and the range assignment
gives a member the same partition numbers of each. What comes for a patient without annotations is
not even decoded: it is kept as bytes until one comes, or until all has been read that was on
ecg.reference by then. In which order a backlog is read, after a restart of ours or of the broker,
is thus of no matter.

Nothing says across topics what has been read; so what the rhythm had reached is scored once all
that was on the broker a second later has been read. What comes later still counts, in the next
Score: what is judged for good does not depend on it (live_stream.py). Each Score carries, in a
header, what the scorer remembers of the patient: the next one goes on from there. Offsets are
committed up to what is inside of such a header, so that whatever dies, a message is taken at least
once, and LiveScore takes none twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from functools import partial
from typing import TypeVar

import confluent_kafka
import msgspec

from ingest import topics
from ingest.broker import Made, create_topics, unreachable
from ingest.clock import Clock
from ingest.consumers import extents, open_consumer, open_reader, read_to_end
from ingest.errors import BadInputError
from ingest.health import Metric
from ingest.kafka_access import librdkafka
from ingest.messages import BadMessageError, Score, decode, encode
from stream_processor.scoring.live import LiveScore
from stream_processor.scoring.scorer_parts import HELD, INPUTS, Part, Patient, fresh_start

log = logging.getLogger(__name__)
STATE_HEADER = "state"
# a broker takes messages of 1 MB; more is pending only while the scorer catches up
STATE_BYTES = 900_000
ROUND_S, SETTLE_S, HOLD_S, QUIET_S, COMMIT_S, FORGET_S = 0.5, 1.0, 5.0, 10.0, 5.0, 3600.0
INSIST_S = 60.0
_BATCH, _POLL_S, _TIMEOUT_S = 2000, 0.1, 10.0
T = TypeVar("T")


class Scorer:
    """One member of the group. `run` it once."""

    def __init__(
        self,
        broker: str,
        clock: Clock,
        *,
        on_ready: Callable[[], None] = lambda: None,
        on_end: Callable[[Score], None] = lambda s: None,
    ) -> None:
        self._broker, self._clock, self._on_ready, self._on_end = broker, clock, on_ready, on_end
        self._parts: dict[int, Part] = {}
        self._round_s = self._commit_s = self._look_s = clock.steady_s()
        self.refused = 0  # messages that were none of ours
        self.late = 0  # messages that came after their time was judged for good

    def run(self, stop: threading.Event) -> None:
        """Score until stopped. Raises UnreachableError where the broker does not answer at the
        start, BadInputError for unequal topics."""
        _check(create_topics(self._broker))
        self._stop = stop
        self._producer = confluent_kafka.Producer(
            {
                **librdkafka(self._broker),
                "enable.idempotence": True,
                "linger.ms": 5,
                "message.timeout.ms": 0,
                "log_level": 2,
            }
        )
        self._consumer = open_consumer(
            self._broker,
            topics.SCORES_GROUP,
            partition_assignment_strategy="range",
            session_timeout_ms=10_000,
            heartbeat_interval_ms=2_000,
            fetch_wait_max_ms=100,
            queued_max_messages_kbytes=16_384,
        )
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
        """What it tells Prometheus."""
        patients = sum(len(part.patients) for part in list(self._parts.values()))
        return [
            Metric("scored_patients", "gauge", "patients with annotations", patients),
            Metric(
                "inputs_refused_total", "counter", "messages that were none of ours", self.refused
            ),
            Metric("late_total", "counter", "messages after their time was judged", self.late),
        ]

    @property
    def partitions(self) -> set[int]:
        """Those that are assigned."""
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

    def _begin(self, part: Part, number: int, key: bytes) -> Patient:
        """A patient with annotations from now on."""
        patient = part.patients[key] = Patient(LiveScore(), self._clock.steady_s())
        for item in part.release(key):
            self._take_for(patient, number, key, *item)
        return patient

    def _take_for(
        self, patient: Patient, number: int, key: bytes, topic: str, offset: int, value: bytes
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
            self._publish(number, key, patient, scores)

    # Scores out.

    def _round(self) -> None:
        """Judge what is complete; now and then, commit."""
        now = self._round_s = self._clock.steady_s()
        for number, part in self._parts.items():
            if part.patients:
                self._judge(number, part, now)
        look = now - self._look_s >= HOLD_S
        self._look_s = now if look else self._look_s
        for number, part in self._parts.items():
            if look or part.holding >= HELD:
                part.look_through(partial(self._reference_end, number))
        if now - self._commit_s >= COMMIT_S:
            self._commit_s = now
            self._commit()

    def _judge(self, number: int, part: Part, now: float) -> None:
        if part.marked is None:
            part.marked_s, part.ends = now, None
            part.marked = {key: p.live.reached() for key, p in part.patients.items()}
        elif part.ends is None and now - part.marked_s >= SETTLE_S:
            # None: asked again in the next round
            part.ends = self._try(partial(self._marks, number))
        elif part.ends is not None and all(
            part.positions[t] >= end for t, (_, end) in part.ends.items()
        ):
            for key, reached in part.marked.items():
                if (patient := part.patients.get(key)) is not None:
                    self._judge_patient(number, key, patient, reached, now)
            part.marked = None
            part.patients = {k: p for k, p in part.patients.items() if now - p.heard_s < FORGET_S}

    def _judge_patient(
        self, number: int, key: bytes, patient: Patient, reached: dict[int, int], now: float
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
            scores = [patient.last]  # once more, with what has come since
        if scores:
            self._publish(number, key, patient, scores)

    def _publish(self, number: int, key: bytes, patient: Patient, scores: list[Score]) -> None:
        state = patient.live.snapshot()
        for score in scores[:-1]:
            self._produce(number, key, score, {})
        patient.last = scores[-1]
        if len(state) > STATE_BYTES:
            self._produce(number, key, scores[-1], {})
            return
        self._produce(number, key, scores[-1], {STATE_HEADER: state}, partial(_saved, patient))
        patient.since = {}  # no commit before it is on the broker

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

    # Offsets.

    def _marks(self, number: int) -> dict[str, tuple[int, int]]:
        """Where the topics begin and end just now. Raises KafkaException."""
        return {n: self._consumer.get_watermark_offsets(_tp(n, number), _TIMEOUT_S) for n in INPUTS}

    def _reference_end(self, number: int) -> int | None:
        """Where ecg.reference ends just now; None where the broker does not answer."""
        marks = self._try(
            lambda: self._consumer.get_watermark_offsets(
                _tp(topics.REFERENCE.name, number), _TIMEOUT_S
            )
        )
        return None if marks is None else marks[1]

    def _try(self, ask: Callable[[], T]) -> T | None:
        """The broker's answer; None, and a line in the log, where there is none."""
        try:
            return ask()
        except confluent_kafka.KafkaException as error:
            log.warning("broker %s: %s", self._broker, error.args[0])
            return None

    def _insist(self, ask: Callable[[], T]) -> T:
        """The broker's answer, asked for until it comes. Raises UnreachableError after a minute, or
        when told to stop."""
        end_s = self._clock.steady_s() + INSIST_S
        while (answer := self._try(ask)) is None:
            if self._stop.wait(1.0) or self._clock.steady_s() > end_s:
                raise unreachable(self._broker)
        return answer

    def _commit(self) -> None:
        """Commit what no restart needs any more, once every Score is on the broker."""
        while self._producer.flush(_POLL_S):
            if self._stop.is_set():
                return
        wanted = {number: part.to_commit() for number, part in self._parts.items()}
        changed = [
            _tp(t, n, o)
            for n, offsets in wanted.items()
            for t, o in offsets.items()
            if self._parts[n].committed.get(t) != o
        ]
        if not changed:
            return
        if self._try(lambda: self._consumer.commit(offsets=changed, asynchronous=False)) is None:
            return
        for number, offsets in wanted.items():
            self._parts[number].committed = offsets

    def _assigned(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        """Take partitions over where their last owner has left them."""
        numbers = {p.partition for p in partitions}
        wanted = [_tp(name, number) for number in numbers for name in (*INPUTS, topics.SCORES.name)]
        committed = self._insist(lambda: _committed(consumer, wanted))
        for number in numbers:
            positions = {n: committed[n, number] for n in INPUTS}
            if min(positions.values()) < 0:
                fresh = fresh_start(self._insist(partial(self._marks, number)))
                positions = {n: at if at >= 0 else fresh[n] for n, at in positions.items()}
            part = self._parts[number] = Part(positions)
            for message in self._insist(
                partial(_read, self._broker, number, committed[topics.SCORES.name, number])
            ):
                self._restore(part, message)
        consumer.assign(
            [_tp(t, n, o) for n, part in self._parts.items() for t, o in part.positions.items()]
        )
        self._commit()
        log.info("assigned partitions %s", sorted(numbers))
        self._on_ready()

    def _restore(self, part: Part, message: confluent_kafka.Message) -> None:
        """What the header of a Score says of its patient; the last one of several holds."""
        state = dict(message.headers() or []).get(STATE_HEADER)
        if not isinstance(state, bytes):
            return
        try:
            live, last = LiveScore.restore(state), decode(message.value() or b"", Score)
        except (BadMessageError, msgspec.DecodeError) as error:
            log.warning("%s: a state that this version cannot read: %s", topics.SCORES.name, error)
            return
        part.patients[message.key() or b""] = Patient(
            live, self._clock.steady_s(), last=last, saved=message.offset()
        )

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


def _check(made: Iterable[Made]) -> None:
    counts = {
        m.topic.name: m.partitions
        for m in made
        if m.topic.name in INPUTS or m.topic is topics.SCORES
    }
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise BadInputError(
            f"topics have different numbers of partitions: {said}",
            "Give them all as many as ecg.samples has.",
        )


def _tp(
    topic: str, number: int, offset: int = confluent_kafka.OFFSET_INVALID
) -> confluent_kafka.TopicPartition:
    return confluent_kafka.TopicPartition(topic, number, offset)


def _committed(
    consumer: confluent_kafka.Consumer, wanted: list[confluent_kafka.TopicPartition]
) -> dict[tuple[str, int], int]:
    """Offsets by topic and partition, negative where nothing was committed. Raises KafkaException,
    also where one is not known just now."""
    found = consumer.committed(wanted, _TIMEOUT_S)
    for error in (p.error for p in found if p.error is not None):
        raise confluent_kafka.KafkaException(error)
    return {(p.topic, p.partition): p.offset for p in found}


def _saved(
    patient: Patient, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message
) -> None:
    if error is None:
        patient.saved = message.offset()


def _read(broker: str, number: int, begin: int) -> list[confluent_kafka.Message]:
    """The messages of a partition of ecg.scores from an offset on; none where it is negative, for
    nothing was committed then."""
    if begin < 0:
        return []
    consumer, topic = open_reader(broker), topics.SCORES.name
    try:
        return list(
            read_to_end(consumer, topic, extents(consumer, topic, [number]), {number: begin})
        )
    finally:
        consumer.close()
