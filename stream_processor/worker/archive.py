"""What people did and said, whom they were told, and how the stream scores: from its topics into
the store.

The checkpointer stores what the ward makes (checkpointer.py); this stores the rest, in a consumer group of its
own, by the same rule: the store is flushed before the offsets are committed. A crash in between
repeats messages, and their identities make the repetition invisible. While the store is busy
nothing more is read. What cannot be decoded goes to the dead-letter topic.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import NamedTuple

import confluent_kafka

from ingest import topics
from ingest.clock import Clock
from ingest.messages import Action, BadMessageError, Delivery, Edit, JournalEntry, Score, decode
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.sinks.base import Sink, SinkBusyError

log = logging.getLogger(__name__)
KINDS: dict[str, type[Action] | type[Delivery] | type[Score] | type[Edit] | type[JournalEntry]] = {
    topics.ACKS.name: Action,
    topics.NOTIFICATIONS.name: Delivery,
    topics.SCORES.name: Score,
    topics.EDITS.name: Edit,
    topics.JOURNAL.name: JournalEntry,
}
BATCH = 1000
STORE_S = 0.5  # how long messages are gathered before they are stored
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 10.0  # between two tries while the store is busy
STOP_S = 10.0


class _Letter(NamedTuple):
    """A message for the dead-letter topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Archive:
    """Reads, stores and commits in a thread of its own, from `start` to `stop`. It alone uses its
    sink."""

    def __init__(self, broker: str, sink: Sink, clock: Clock) -> None:
        self._broker, self._sink, self._clock = broker, sink, clock
        self._thread = threading.Thread(target=self._run, name="archive", daemon=True)
        self._stop = threading.Event()
        self._next: dict[
            tuple[str, int], int
            # by topic and partition: the first offset that is not stored, where it is to be committed
        ] = {}
        self._wait_s = 0.0  # while the store is busy
        self._try_at_s = 0.0
        self._broken: Callable[[], object] = lambda: None
        self.error: Exception | None = None  # what broke it, a defect of ours or of the broker

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
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self._broker,
                "group.id": topics.ARCHIVE_GROUP,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "session.timeout.ms": 10_000,  # how long a killed one's partitions wait
                "heartbeat.interval.ms": 2_000,
                "topic.metadata.refresh.interval.ms": 10_000,  # topics may come to be after us
                "log_level": 2,
            }
        )
        try:
            consumer.subscribe(list(KINDS), on_revoke=self._revoked)
            while not self._stop.is_set():
                self._turn(consumer, event_producer)
        # what is no BadMessageError and no SinkBusyError ends the process
        except Exception as error:
            self.error = error
            self._broken()
        finally:
            event_producer.abandon()
            consumer.close()
            self._sink.close()

    def _turn(self, consumer: confluent_kafka.Consumer, event_producer: EventProducer) -> None:
        """Take what has come, and store it unless the store wants to be left alone."""
        if self._wait_s:
            # still asked for messages, so that the group does not give us up
            consumer.pause(consumer.assignment())
        self._take(consumer.consume(BATCH, STORE_S), event_producer)
        if (
            (self._next or self._sink.pending)
            and self._clock.steady_s() >= self._try_at_s
            and self._store()
        ):
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
                continue  # told by librdkafka again and again while it mends itself
            topic, partition, offset = (
                message.topic() or "",
                message.partition() or 0,
                message.offset() or 0,
            )
            try:
                self._sink.add(decode(message.value() or b"", KINDS[topic]))
            except BadMessageError as bad:
                event_producer.dead_letter(
                    _Letter(offset, message.key(), message.value()), partition, str(bad), topic
                )
            self._next[topic, partition] = offset + 1

    def _store(self) -> bool:
        """Flush the sink. False where it is busy: then the next try waits, longer each time."""
        try:
            self._sink.flush()
        except SinkBusyError as error:
            self._wait_s = min(max(2 * self._wait_s, FIRST_WAIT_S), LONGEST_WAIT_S)
            self._try_at_s = self._clock.steady_s() + self._wait_s
            log.warning(
                "the store is busy, the archive tries again in %.0f s (nothing is lost): %s",
                self._wait_s,
                error,
            )
            return False
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
            consumer.commit(offsets=places, asynchronous=False)
        except confluent_kafka.KafkaException as error:
            if error.args[0].fatal():
                raise
            # the broker is away, or the group is changing
            log.info("the archive could not commit, and tries again: %s", error)
            return
        self._next.clear()

    def _revoked(
        self, consumer: confluent_kafka.Consumer, partitions: list[confluent_kafka.TopicPartition]
    ) -> None:
        """Another one reads these from our last commit on; what we hold of them is stored twice,
        which changes nothing."""
        for place in partitions:
            self._next.pop((place.topic, place.partition), None)
