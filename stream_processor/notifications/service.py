"""The notifier: reads ecg.alarms in its own consumer group, sends by Apprise in threads, and writes
Deliveries to ecg.notifications, in the alarm's partition.

    ecg.alarms -> NotificationQueue -> attempts -> threads -> NotificationSender
                          `---> Deliveries -> ecg.notifications -> commit

Each attempt has a time limit, and only a few run at once for each recipient. A message of
ecg.alarms is committed once every job made of it has a Delivery on the broker. A crash in between
repeats notifications that were sent and not yet recorded (with the same id in the text), and loses
none. Several processes may share the group: the partitions are divided among them, and a process
that takes one over reads which jobs were left open.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import threading
from collections import Counter
from collections.abc import Callable

import confluent_kafka
from confluent_kafka import TopicPartition

from ingest.clock import Clock
from ingest.consumers import ask_with_retries
from ingest.health import Metric
from ingest.messages import Alarm, BadMessageError, Delivery, decode
from ingest.topics import ALARMS, NOTIFICATIONS
from stream_processor.notifications.clients import check_topics, open_consumer
from stream_processor.notifications.entries import DeliveryEntry
from stream_processor.notifications.once import Once
from stream_processor.notifications.plan import NotificationPlan
from stream_processor.notifications.progress import Progress
from stream_processor.notifications.queue import GIVE_UP_S, Attempt, NotificationQueue
from stream_processor.notifications.reading import read
from stream_processor.notifications.text import NotificationText, note
from stream_processor.notifications.writer import DeliveryWriter, NotifierError

log = logging.getLogger(__name__)
LIMIT_S = 20.0  # for one attempt
MAX_STUCK = 8  # attempts to one recipient beyond their time limit whose threads still run
COMMIT_S = 1.0
STOP_S = 8.0
_TICK_S = 0.05
_BATCH = 500
_TIMEOUT_S = 10.0
Send = Callable[[str, NotificationText], str]


class Notifier:
    """One process of the group; call `run` once.

    `send(recipient, note)` returns "" if the note was sent, otherwise the reason; it is called from
    several threads.
    """

    def __init__(
        self,
        broker: str,
        plan: NotificationPlan,
        send: Send,
        clock: Clock,
        *,
        limit_s: float = LIMIT_S,
    ) -> None:
        self._broker, self._plan, self._send, self._clock, self._limit_s = (
            broker,
            plan,
            send,
            clock,
            limit_s,
        )
        self._queue, self._progress = NotificationQueue(plan, clock), Progress()
        self._landed: queue.SimpleQueue[tuple[Attempt, str]] = queue.SimpleQueue()
        self._flying: dict[int, Attempt] = {}  # by id
        self._stuck: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()  # of deliveries, since the start
        self.refused = 0  # messages of ecg.alarms that could not be decoded
        self.ready = False  # has partitions
        self._commit_s = clock.steady_s()

    def metrics(self) -> list[Metric]:
        """Return the metrics for Prometheus."""
        outcomes = dict(self.outcomes)
        reported = (
            ("delivered", "delivered"),
            ("failed", "failed_attempts"),
            ("held back", "held_back"),
        )
        return [
            *(
                Metric(f"notifications_{name}_total", "counter", f"deliveries {outcome}", n)
                for outcome, name in reported
                for n in [float(outcomes.get(outcome, 0))]
            ),
            Metric("notifications_waiting", "gauge", "jobs not yet done", self._queue.waiting),
            Metric(
                "alarms_refused_total",
                "counter",
                "messages that could not be decoded",
                self.refused,
            ),
        ]

    def run(self, stop: threading.Event, on_ready: Callable[[], None] = lambda: None) -> None:
        """Notify until `stop` is set; call `on_ready` once partitions are assigned.

        Raises UnreachableError if there is no broker, NotifierError as its docstring says.
        """
        check_topics(self._broker)
        self._writer = DeliveryWriter(self._broker, self._progress.safe, self.outcomes)
        self._consumer = open_consumer(self._broker)
        self._on_ready = Once(on_ready)
        self._consumer.subscribe(
            [ALARMS.name], on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
        )
        try:
            while not stop.is_set():
                self._consume()
                self._work()
                self._commit_when_due()
            self._finish()
        finally:
            self._consumer.close()

    def _work(self) -> None:
        """Begin the attempts that are due, and wait a moment for finished ones."""
        self._writer.write(self._queue.tick())
        self._begin()
        self._look_for_stuck()
        with contextlib.suppress(queue.Empty):
            landed = self._landed.get(timeout=_TICK_S)
            while True:
                self._note_outcome(*landed)
                landed = self._landed.get_nowait()
        self._writer.poll()

    def _consume(self) -> None:
        for message in self._consumer.consume(_BATCH, timeout=0.0):
            if message.error():
                log.warning("%s: %s", ALARMS.name, message.error())
                continue
            partition, offset = message.partition() or 0, message.offset() or 0
            keys: list[str] = []
            entries: list[DeliveryEntry] = []
            try:
                keys, entries = self._queue.take(decode(message.value() or b"", Alarm), partition)
            except BadMessageError as error:
                self.refused += 1
                log.warning(
                    "%s, partition %d, offset %d, skipped: %s",
                    ALARMS.name,
                    partition,
                    offset,
                    error,
                )
            self._progress.begin(partition, offset, keys)
            self._writer.write(entries)

    def _begin(self) -> None:
        for attempt in self._queue.start():
            recipient = attempt.job.recipient
            if self._stuck[recipient] >= MAX_STUCK:
                self._writer.write(
                    self._queue.finish(attempt, f"{MAX_STUCK} earlier attempts still hang")
                )
                continue
            self._flying[id(attempt)] = attempt
            threading.Thread(
                target=self._attempt, args=(attempt,), name=f"notify {recipient}", daemon=True
            ).start()

    def _attempt(self, attempt: Attempt) -> None:
        """Send a note, in a thread of its own."""
        job = attempt.job
        try:
            failure = self._send(job.recipient, note(self._plan, job.alarm, job.moment))
        except Exception as error:
            log.exception("notifying %s", job.recipient)
            failure = f"{type(error).__name__} in the plug-in"  # its text may hold the address
        self._landed.put((attempt, failure))

    def _note_outcome(self, attempt: Attempt, failure: str) -> None:
        if self._flying.pop(id(attempt), None) is not None:
            self._writer.write(self._queue.finish(attempt, failure))
        else:
            self._stuck[attempt.job.recipient] -= 1
            self._writer.write([] if failure else self._queue.late(attempt))
        self._begin()

    def _look_for_stuck(self) -> None:
        now_s = self._clock.steady_s()
        for key, attempt in list(self._flying.items()):
            if now_s - attempt.started_s >= self._limit_s:
                del self._flying[key]
                self._stuck[attempt.job.recipient] += 1
                self._writer.write(
                    self._queue.finish(attempt, f"no answer within {self._limit_s:g} s")
                )

    def _commit_when_due(self) -> None:
        if self._clock.steady_s() >= self._commit_s + COMMIT_S:
            self._commit_s = self._clock.steady_s()
            self._commit(asynchronous=True)

    def _commit(self, *, asynchronous: bool) -> None:
        offsets = [TopicPartition(ALARMS.name, p, at) for p, at in self._progress.commits().items()]
        if not offsets:
            return
        try:
            if asynchronous:
                self._consumer.commit(offsets=offsets, asynchronous=True)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=False)
        except confluent_kafka.KafkaException as error:  # uncommitted messages are read again
            log.warning("commit: %s", error)

    def _assigned(self, _: confluent_kafka.Consumer, assigned: list[TopicPartition]) -> None:
        try:
            ask_with_retries(lambda: self._take_over(assigned))
        except confluent_kafka.KafkaException as error:
            raise NotifierError(f"cannot take over partitions: {error}") from error

    def _take_over(self, assigned: list[TopicPartition]) -> None:
        """Read which jobs earlier processes left open in these partitions, then go on at their
        commits."""
        places = self._places(assigned)
        since_ms = (self._clock.now_ns() - round(GIVE_UP_S * 1e9)) // 10**6 - 3_600_000
        deliveries = read(self._broker, NOTIFICATIONS, Delivery, places, since_ms).messages
        alarms = read(self._broker, ALARMS, Alarm, places, since_ms).messages
        left = self._queue.restore(
            [(k.partition, k.message) for k in deliveries],
            [(k.partition, k.message) for k in alarms if k.offset < places[k.partition]],
            [k.message.id for k in alarms if k.offset >= places[k.partition]],
        )
        self._writer.write(left)
        self._consumer.assign([TopicPartition(ALARMS.name, p, at) for p, at in places.items()])
        log.info(
            "assigned partitions %s, %d notifications open", sorted(places), self._queue.waiting
        )
        self.ready = True
        self._on_ready()

    def _places(self, assigned: list[TopicPartition]) -> dict[int, int]:
        """Return the offsets at which to go on. A new group begins at the end: earlier alarms are
        not notified afterwards."""
        there = (
            self._consumer.list_topics(ALARMS.name, timeout=_TIMEOUT_S)
            .topics[ALARMS.name]
            .partitions
        )
        committed = self._consumer.committed(
            [TopicPartition(ALARMS.name, p) for p in there], timeout=_TIMEOUT_S
        )
        found = {c.partition: c.offset for c in committed if c.offset >= 0}
        marks = {
            tp.partition: self._consumer.get_watermark_offsets(tp, _TIMEOUT_S) for tp in assigned
        }
        places = {
            p: max(found.get(p, 0 if found else high), low) for p, (low, high) in marks.items()
        }
        self._consumer.commit(
            offsets=[TopicPartition(ALARMS.name, p, at) for p, at in places.items()],
            asynchronous=False,
        )
        return places

    def _revoked(self, _: confluent_kafka.Consumer, revoked: list[TopicPartition]) -> None:
        self._writer.flush()
        self._commit(asynchronous=False)
        self._forget(revoked)

    def _lost(self, _: confluent_kafka.Consumer, lost: list[TopicPartition]) -> None:
        self._forget(lost)

    def _forget(self, gone: list[TopicPartition]) -> None:
        partitions = {tp.partition for tp in gone}
        self._queue.forget(partitions)
        self._progress.forget(partitions)

    def _finish(self) -> None:
        """Wait for the attempts in flight; other jobs stay open on the broker, or their alarms are
        read again."""
        end_s = self._clock.steady_s() + STOP_S
        while self._flying and self._clock.steady_s() < end_s:
            with contextlib.suppress(queue.Empty):
                attempt, failure = self._landed.get(timeout=_TICK_S)
                if self._flying.pop(id(attempt), None) is not None:
                    self._writer.write(self._queue.finish(attempt, failure))
        self._writer.flush()
        self._commit(asynchronous=False)
