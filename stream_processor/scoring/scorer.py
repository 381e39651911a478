"""The live scorer: a consumer group over what the processor tells and what the replay annotates, Scores out.

    ecg.reference, ecg.beats, ecg.rhythm, ecg.alarms -> LiveScore per patient -> ecg.scores

All topics are keyed by patient and have the same number of partitions, and the range assignment gives a member the same partition numbers
of each. What comes for a patient without annotations is not even decoded: the last few messages are kept as bytes until one comes.

Nothing says across topics what has been read; so what the rhythm had reached is judged once all that was on the broker a second later has
been read. Each Score carries, in a header, what the scorer remembers of the patient: the next one goes on from there. Offsets are committed
up to what is inside of such a header, so that whatever dies, a message is taken at least once, and LiveScore takes none twice.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial

import confluent_kafka
import msgspec

from ingest import topics
from ingest.broker import Made, create_topics
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.messages import Alarm, BadMessageError, Beat, Reference, Rhythm, Score, decode, encode
from stream_processor.scoring.live import LiveScore

log = logging.getLogger(__name__)
INPUTS: dict[str, type[Reference] | type[Beat] | type[Rhythm] | type[Alarm]] = {
    topics.REFERENCE.name: Reference, topics.BEATS.name: Beat, topics.RHYTHM.name: Rhythm, topics.ALARMS.name: Alarm,
}  # fmt: skip
STATE_HEADER = "state"
STATE_BYTES = 900_000  # a broker takes messages of 1 MB; more is pending only while the scorer catches up
RECENT = 32  # messages kept of a patient without annotations, about 20 s; an annotation comes before what we make of its beat
ROUND_S, SETTLE_S, QUIET_S, COMMIT_S, FORGET_S = 0.5, 1.0, 10.0, 5.0, 3600.0
_BATCH, _POLL_S, _TIMEOUT_S = 2000, 0.1, 10.0
Recent = deque[tuple[str, int, bytes]]


@dataclass
class Patient:
    """One patient with annotations."""

    live: LiveScore
    heard_s: float
    since: dict[str, int] = field(default_factory=dict)  # by topic, the first message that is in no header yet
    last: Score | None = None
    saved: int | None = None  # offset of the newest header


@dataclass
class Part:
    """One partition number of all topics."""

    positions: dict[str, int]  # next message, by topic
    patients: dict[bytes, Patient] = field(default_factory=dict)
    recent: dict[bytes, Recent] = field(default_factory=dict)
    before: dict[bytes, Recent] = field(default_factory=dict)  # those not heard of since the last change of generations
    marked_s: float = 0.0
    marked: dict[bytes, dict[int, int]] | None = None  # what the rhythms had reached
    ends: dict[str, int] | None = None  # ends of the topics, a while after that
    committed: dict[str, int] = field(default_factory=dict)


class Scorer:
    """One member of the group. `run` it once."""

    def __init__(
        self, broker: str, clock: Clock, *, on_ready: Callable[[], None] = lambda: None, on_end: Callable[[Score], None] = lambda s: None
    ) -> None:
        self._broker, self._clock, self._on_ready, self._on_end = broker, clock, on_ready, on_end
        self._parts: dict[int, Part] = {}
        self._round_s = self._commit_s = self._generation_s = clock.steady_s()
        self._moved = False
        self.refused = 0  # messages that were none of ours

    def run(self, stop: threading.Event) -> None:
        """Score until stopped. Raises UnreachableError where the broker does not answer at the start, BadInputError for unequal topics."""
        _check(create_topics(self._broker))
        base = {"bootstrap.servers": self._broker, "log_level": 2}
        self._stop = stop
        self._producer = confluent_kafka.Producer(base | {"enable.idempotence": True, "linger.ms": 5, "message.timeout.ms": 0})
        self._consumer = confluent_kafka.Consumer(base | {
            "group.id": topics.SCORES_GROUP, "enable.auto.commit": False, "auto.offset.reset": "earliest",
            "partition.assignment.strategy": "range", "session.timeout.ms": 10_000, "heartbeat.interval.ms": 2_000,
            "fetch.wait.max.ms": 100, "queued.max.messages.kbytes": 16_384,
        })  # fmt: skip
        try:
            self._consumer.subscribe(list(INPUTS), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost)
            while not stop.is_set():
                self._take(self._consumer.consume(_BATCH, timeout=_POLL_S))
                if self._clock.steady_s() - self._round_s >= ROUND_S:
                    self._round()
            self._commit()
        finally:
            self._consumer.close()

    @property
    def partitions(self) -> set[int]:
        """Those that are assigned."""
        return set(self._parts)

    # Messages in.

    def _take(self, messages: Iterable[confluent_kafka.Message]) -> None:
        for message in messages:
            topic, number, offset = message.topic() or "", message.partition() or 0, message.offset() or 0
            part = self._parts.get(number)
            if message.error() is not None or part is None or topic not in part.positions:
                continue
            part.positions[topic] = offset + 1
            key, value = message.key() or b"", message.value() or b""
            patient = part.patients.get(key)
            if patient is None and topic != topics.REFERENCE.name:
                _recent(part, key).append((topic, offset, value))
            else:
                self._take_for(patient or self._begin(part, key), number, key, topic, offset, value)

    def _begin(self, part: Part, key: bytes) -> Patient:
        """A patient with annotations from now on."""
        patient = part.patients[key] = Patient(LiveScore(), self._clock.steady_s())
        for item in part.recent.pop(key, ()) or part.before.pop(key, ()):
            self._take_for(patient, 0, key, *item)  # opens one stream at most: nothing to publish
        return patient

    def _take_for(self, patient: Patient, number: int, key: bytes, topic: str, offset: int, value: bytes) -> None:
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
        if now - self._generation_s >= 60:
            self._generation_s = now
            for part in self._parts.values():
                part.before, part.recent = part.recent, {}
        if now - self._commit_s >= COMMIT_S:
            self._commit_s = now
            self._commit()

    def _judge(self, number: int, part: Part, now: float) -> None:
        if part.marked is None:
            part.marked_s, part.ends = now, None
            part.marked = {key: p.live.reached() for key, p in part.patients.items()}
        elif part.ends is None and now - part.marked_s >= SETTLE_S:
            part.ends = self._ends(number, part.positions)
        elif part.ends is not None and all(part.positions[t] >= end for t, end in part.ends.items()):
            for key, reached in part.marked.items():
                if (patient := part.patients.get(key)) is not None:
                    self._judge_patient(number, key, patient, reached, now)
            part.marked = None
            part.patients = {k: p for k, p in part.patients.items() if now - p.heard_s < FORGET_S}

    def _judge_patient(self, number: int, key: bytes, patient: Patient, reached: dict[int, int], now: float) -> None:
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
        self, number: int, key: bytes, score: Score, headers: dict[str, bytes], done: Callable[..., None] = lambda *_: None
    ) -> None:
        self._producer.produce(topics.SCORES.name, encode(score), key, partition=number, headers=[*headers.items()], on_delivery=done)
        self._producer.poll(0)

    # Offsets.

    def _ends(self, number: int, names: Iterable[str]) -> dict[str, int] | None:
        """Where the topics end just now; None where the broker does not answer."""
        try:
            return {n: self._consumer.get_watermark_offsets(_tp(n, number), _TIMEOUT_S)[1] for n in names}
        except confluent_kafka.KafkaException as error:
            log.warning("broker %s: %s", self._broker, error.args[0])
            return None

    def _commit(self) -> None:
        """Commit what no restart needs any more, once every Score is on the broker."""
        while self._producer.flush(_POLL_S):
            if self._stop.is_set():
                return
        wanted = {number: _to_commit(part) for number, part in self._parts.items()}
        changed = [_tp(t, n, o) for n, offsets in wanted.items() for t, o in offsets.items() if self._parts[n].committed.get(t) != o]
        if not changed:
            return
        try:
            self._consumer.commit(offsets=changed, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            log.warning("broker %s: commit: %s", self._broker, error.args[0])
            return
        for number, offsets in wanted.items():
            self._parts[number].committed = offsets

    def _assigned(self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
        """Take partitions over where their last owner has left them; a group that is new begins at their ends."""
        numbers = {p.partition for p in partitions}
        names = [*INPUTS, topics.SCORES.name]
        known = consumer.committed([_tp(n, i) for i in numbers for n in names], _TIMEOUT_S)
        at = {(p.topic, p.partition): p.offset for p in known}
        for number in numbers:
            ends = self._ends(number, names)
            if ends is None:
                raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT))
            start = {n: at[n, number] if at[n, number] >= 0 else ends[n] for n in names}
            scores_from = start.pop(topics.SCORES.name)
            self._parts[number] = Part(start)
            self._restore(number, scores_from)
        consumer.assign([_tp(t, n, o) for n, part in self._parts.items() for t, o in part.positions.items()])
        self._commit()
        log.info("assigned partitions %s", sorted(numbers))
        self._on_ready()

    def _restore(self, number: int, begin: int) -> None:
        """What the last headers of the partition's patients say."""
        part, now = self._parts[number], self._clock.steady_s()
        for message in _read(self._broker, number, begin):
            state = dict(message.headers() or []).get(STATE_HEADER)
            if not isinstance(state, bytes):
                continue
            try:
                score = decode(message.value() or b"", Score)
                patient = Patient(LiveScore.restore(state), now, last=score, saved=message.offset())
            except (BadMessageError, msgspec.DecodeError) as error:
                log.warning("%s: a state that this version cannot read: %s", topics.SCORES.name, error)
                continue
            part.patients[message.key() or b""] = patient

    def _revoked(self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
        self._commit()
        self._lost(consumer, partitions)

    def _lost(self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]) -> None:
        for number in {p.partition for p in partitions}:
            self._parts.pop(number, None)


def _check(made: Iterable[Made]) -> None:
    counts = {m.topic.name: m.partitions for m in made if m.topic.name in INPUTS or m.topic is topics.SCORES}
    if len(set(counts.values())) > 1:
        said = ", ".join(f"{name} {n}" for name, n in counts.items())
        raise BadInputError(f"topics have different numbers of partitions: {said}", "Give them all as many as ecg.samples has.")


def _tp(topic: str, number: int, offset: int = confluent_kafka.OFFSET_INVALID) -> confluent_kafka.TopicPartition:
    return confluent_kafka.TopicPartition(topic, number, offset)


def _recent(part: Part, key: bytes) -> Recent:
    found = part.recent.get(key)
    if found is None:
        found = part.recent[key] = part.before.pop(key) if key in part.before else deque(maxlen=RECENT)
    return found


def _to_commit(part: Part) -> dict[str, int]:
    """The first message of each topic that a restart would need."""
    offsets = {t: min([at, *(p.since[t] for p in part.patients.values() if t in p.since)]) for t, at in part.positions.items()}
    saved = [p.saved for p in part.patients.values() if p.saved is not None]
    return offsets | ({topics.SCORES.name: min(saved)} if saved else {})


def _saved(patient: Patient, error: confluent_kafka.KafkaError | None, message: confluent_kafka.Message) -> None:
    if error is None:
        patient.saved = message.offset()


def _read(broker: str, number: int, begin: int) -> list[confluent_kafka.Message]:
    """The messages of a partition of ecg.scores."""
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": broker, "group.id": f"{topics.SCORES_GROUP}-state", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "log_level": 2,
    })  # fmt: skip
    try:
        low, high = consumer.get_watermark_offsets(_tp(topics.SCORES.name, number), _TIMEOUT_S)
        if high <= max(low, begin):
            return []
        consumer.assign([_tp(topics.SCORES.name, number, max(low, begin))])
        found: list[confluent_kafka.Message] = []
        while not found or (found[-1].offset() or 0) < high - 1:
            some = [m for m in consumer.consume(_BATCH, timeout=_TIMEOUT_S) if m.error() is None]
            if not some:
                raise confluent_kafka.KafkaException(confluent_kafka.KafkaError(confluent_kafka.KafkaError._TIMED_OUT))
            found += some
        return found
    finally:
        consumer.close()
