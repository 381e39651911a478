"""Stores messages from their topics: the ward's events, people's actions and edits, deliveries of
notifications, scores.

A consumer group of its own, so that nothing that watches a patient ever waits for the store. The
rule is the same as the processor's: the store is flushed before the offsets are committed. A crash
in between repeats messages, and their identities make the repetition invisible. While the store is
busy nothing more is read: what is to be stored waits on its topics, and is lost only if the store
stays away for longer than they keep it (ingest/topics.py; 7 days at least). A store that has been
away for AWAY_S is reported as an alarm of the system.

What cannot be decoded, and what the store will never take, goes to the dead-letter topic.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import confluent_kafka

from ingest import topics
from ingest.clock import Clock
from ingest.consumers import open_consumer, unread
from ingest.messages import (
    Action,
    Alarm,
    BadMessageError,
    Beat,
    Delivery,
    Edit,
    Finding,
    JournalEntry,
    Rhythm,
    Score,
    Strip,
    Vitals,
    Waveform,
    decode,
)
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.sinks.base import Sink, SinkBusyError
from stream_processor.sinks.opening import OpeningSink
from stream_processor.worker.counters import Counters
from stream_processor.worker.stall_guard import StalledError
from stream_processor.worker.store_watch import StoreWatch

log = logging.getLogger(__name__)
KINDS: dict[str, type[Any]] = {
    topics.BEATS.name: Beat,
    topics.RHYTHM.name: Rhythm,
    topics.VITALS.name: Vitals,
    topics.ALARMS.name: Alarm,
    topics.FINDINGS.name: Finding,
    topics.STRIPS.name: Strip,
    topics.WAVEFORMS.name: Waveform,
    topics.ACKS.name: Action,
    topics.NOTIFICATIONS.name: Delivery,
    topics.SCORES.name: Score,
    topics.EDITS.name: Edit,
    topics.JOURNAL.name: JournalEntry,
}
BATCH = 5000
STORE_S = 0.5  # how long messages are gathered before they are stored
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 10.0  # between two tries while the store is busy
SESSION_S = 10.0  # how long a killed one's partitions wait
STALLED_S = 8.0  # after a longer pause between reading and storing, the messages held may be stale
MEASURE_S = 10.0
STOP_S = 10.0
KEPT_DAYS = min(t.retention_ms for t in topics.ALL if t.name in KINDS) / topics.DAY_MS


class _Letter(NamedTuple):
    """A message for the dead-letter topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Archive:
    """Reads, stores and commits in a thread of its own, from `start` to `stop`. It opens the store
    itself, and tries again if that fails. Keeps the counters `unstored`, `store_refusals` and
    `unfit`."""

    def __init__(
        self,
        broker: str,
        open_sink: Callable[[], Sink],
        clock: Clock,
        counters: Counters | None = None,
    ) -> None:
        self._broker, self._sink, self._clock = broker, OpeningSink(open_sink), clock
        self.counters = counters or Counters()
        self._watch = StoreWatch(clock)
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._stop = threading.Event()
        # by topic and partition: the first offset that is not stored, to be committed
        self._next: dict[tuple[str, int], int] = {}
        self._wait_s = 0.0  # while the store is busy
        self._try_at_s = 0.0
        self._measure_at_s = clock.steady_s() + MEASURE_S
        self._broken: Callable[[], object] = lambda: None
        self.error: Exception | None = None  # what broke it, a defect of ours or of the broker

    @property
    def store_away_s(self) -> float:
        """Seconds for which the store has been away; 0 if it is not."""
        return self._watch.away_s

    def start(self, broken: Callable[[], object]) -> None:
        """Begin. `broken` is called, in the archive's thread, should it break down."""
        self._broken = broken
        self._thread.start()

    def stop(self) -> None:
        """Finish what has begun, as far as broker and store let it; what is not committed is read
        again at the next start."""
        self._stop.set()
        self._thread.join(STOP_S)
        if self._thread.is_alive():
            log.warning(
                "the archive cannot finish: what it has not committed is read again at the next start"
            )

    # Everything below runs in the archive's thread.

    def _run(self) -> None:
        event_producer = EventProducer(self._broker)
        consumer = open_consumer(
            self._broker,
            topics.ARCHIVE_GROUP,
            session_timeout_ms=round(SESSION_S * 1000),
            heartbeat_interval_ms=2_000,
            topic_metadata_refresh_interval_ms=10_000,  # topics may be made after this consumer
        )
        # reads nothing, so that measuring never waits behind reading, see `unread`
        gauge = open_consumer(self._broker, topics.ARCHIVE_GROUP)
        try:
            consumer.subscribe(list(KINDS), on_revoke=self._revoked)
            while not self._stop.is_set():
                self._turn(consumer, event_producer)
                self._measure(gauge, consumer.assignment())
        # what is no BadMessageError and no SinkBusyError ends the process
        except Exception as error:
            self.error = error
            self._broken()
        finally:
            event_producer.abandon()
            gauge.close()
            consumer.close()
            self._sink.close()

    def _turn(self, consumer: confluent_kafka.Consumer, event_producer: EventProducer) -> None:
        """Take new messages, and store them unless a retry of the store must still wait. Raises
        StalledError."""
        begun_s = self._clock.steady_s()
        if self._wait_s:
            # still asked for messages, so that the group does not give us up
            consumer.pause(consumer.assignment())
        self._take(consumer.consume(BATCH, STORE_S), event_producer)
        if (self._next or self._sink.pending) and self._clock.steady_s() >= self._try_at_s:
            if (gap_s := self._clock.steady_s() - begun_s) > STALLED_S:
                raise StalledError(
                    f"the archive was paused for {gap_s:.0f} s: another may have stored newer events"
                )
            stored = self._store(event_producer)
            if alarms := self._watch.alarms(stored, consumer):
                for alarm in alarms:
                    event_producer.event(alarm, None)
                event_producer.check()
            if stored:
                event_producer.settle(event_producer.mark())
                self._commit(consumer)
                consumer.resume(consumer.assignment())

    def _take(
        self, messages: Iterable[confluent_kafka.Message], event_producer: EventProducer
    ) -> None:
        for message in messages:
            if error := message.error():
                if error.fatal():
                    raise confluent_kafka.KafkaException(error)
                continue  # reported by librdkafka repeatedly while it reconnects by itself
            topic, partition, offset = (
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
            )
            try:
                event = decode(message.value() or b"", KINDS[topic])
                self._sink.add(event)
                if type(event) is Alarm:
                    self._watch.note_seen(event)
            except BadMessageError as bad:
                event_producer.dead_letter(
                    _Letter(offset, message.key(), message.value()), partition, str(bad), topic
                )
            self._next[topic, partition] = offset + 1

    def _store(self, event_producer: EventProducer) -> bool:
        """Flush the sink. Returns False if it is busy: then the next try waits, longer each
        time."""
        try:
            self._sink.flush()
        except SinkBusyError as error:
            self.counters.store_refusals += 1
            self._wait_s = min(max(2 * self._wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
            self._try_at_s = self._clock.steady_s() + self._wait_s
            log.warning(
                "the store is busy, trying again in %.0f s; events wait on their topics, for up to %g days: %s",
                self._wait_s,
                KEPT_DAYS,
                error,
            )
            return False
        for event, reason in self._sink.take_refused():
            self.counters.unfit += 1
            event_producer.refused_event(event, reason)
        self._wait_s = 0.0
        return True

    def _commit(self, consumer: confluent_kafka.Consumer) -> None:
        if not self._next:
            return
        places = [
            confluent_kafka.TopicPartition(topic, partition, offset)
            for (topic, partition), offset in self._next.items()
        ]
        try:
            committed = consumer.commit(offsets=places, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            if error.args[0].fatal():
                raise
            # the broker is away, or the group is changing
            log.info("the archive could not commit, and tries again: %s", error)
            return
        for place in committed:
            if place.error is None:
                self._next.pop((place.topic, place.partition), None)
            else:  # of one partition alone: it stays for the next turn
                log.info(
                    "the archive could not commit %s %d, and tries again: %s",
                    place.topic,
                    place.partition,
                    place.error,
                )

    def _measure(
        self, gauge: confluent_kafka.Consumer, ours: list[confluent_kafka.TopicPartition]
    ) -> None:
        """Bring the counter `unstored` up to date, now and then."""
        if self._clock.steady_s() < self._measure_at_s:
            return
        self._measure_at_s = self._clock.steady_s() + MEASURE_S
        try:
            self.counters.unstored = unread(gauge, ours)
        except confluent_kafka.KafkaException as error:
            log.debug("unstored: %s", error)

    def _revoked(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        """Give up partitions: their next owner reads from our last commit on. What is stored twice
        changes nothing."""
        for place in partitions:
            self._next.pop((place.topic, place.partition), None)
