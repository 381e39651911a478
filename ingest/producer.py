"""Produce messages to Kafka, through kafka-python: idempotent, acknowledged by all replicas, keyed
by patient, in a bounded buffer.

While the broker is unreachable, messages are kept in order and sent when it is back; once the
buffer is full, `send` blocks. Nothing is dropped: a message that the broker refuses for good is an
error, and so is one that the stream processor would refuse (ingest/bounds.py).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError, KafkaTimeoutError

from ingest.bounds import chunk_problems, jump_problem, reference_problems, sentence
from ingest.broker import TIMEOUT_S, check_reachable, settings, unreachable
from ingest.clock import Clock
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import Reference, SampleChunk, encode
from ingest.topics import REFERENCE, SAMPLES

BUFFER_BYTES = 32 * 1024 * 1024  # about ten minutes of 100 patients at 250 Hz
LINGER_MS = 20
SILENT_S = 3.0  # unacknowledged for longer: the broker counts as unreachable
# 24 days: kafka-python drops a message that has waited for longer than this setting
_FOREVER_MS = 2**31 - 1
_OVERHEAD_BYTES = 200  # rough overhead of a message beside its value, bytes


class Producer:
    """Sends SampleChunk and Reference messages. A context manager that flushes at its end.

    Calls `notice` once when the broker stops answering and once when it is back. Raises
    UnreachableError if there is no broker at the start, and from `send` and `flush` if the broker
    has refused a message.
    """

    def __init__(
        self,
        broker: str,
        clock: Clock,
        notice: Callable[[str], None] = lambda text: None,
        *,
        buffer_bytes: int = BUFFER_BYTES,
    ) -> None:
        check_reachable(broker)
        self._broker, self._clock, self._notice, self._room = broker, clock, notice, buffer_bytes
        self._changed = threading.Condition()
        self._pending = self._pending_bytes = 0
        # last time that the broker acknowledged anything or that nothing was pending
        self._heard_s = clock.steady_s()
        self._away = self._impatient = False
        self._refused: Exception | None = None
        # by patient whose stream has not ended: the sample that should come next
        self._next: dict[str, int] = {}
        try:
            self._kafka = KafkaProducer(
                **settings(broker),
                acks="all",
                enable_idempotence=True,
                linger_ms=LINGER_MS,
                batch_size=64 * 1024,
                delivery_timeout_ms=_FOREVER_MS,
                request_timeout_ms=10_000,
                max_block_ms=1000,
            )
        except KafkaError as error:
            raise unreachable(broker) from error

    def __enter__(self) -> Producer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None and issubclass(kind, UnreachableError):
            self._kafka.close(timeout=0)
        else:
            self.close(TIMEOUT_S if kind is None else TIMEOUT_S / 2)

    @property
    def pending(self) -> int:
        """Number of messages sent and not yet acknowledged."""
        return self._pending

    def send(self, message: SampleChunk | Reference) -> None:
        """Queue a message; returns at once unless the buffer is full. Raises BadInputError if the
        stream processor would refuse the message."""
        self._check(message)
        topic = SAMPLES if isinstance(message, SampleChunk) else REFERENCE
        value = encode(message)
        size = len(value) + _OVERHEAD_BYTES
        self._wait(lambda: self._pending_bytes + size <= self._room or self._pending == 0)
        with self._changed:
            if self._pending == 0:
                self._heard_s = self._clock.steady_s()
            self._pending += 1
            self._pending_bytes += size
        future = self._hand_over(topic.name, message.patient_id.encode(), value)
        future.add_callback(lambda _: self._done(size, None))
        future.add_errback(lambda error: self._done(size, error))

    def flush(self, timeout_s: float = math.inf) -> None:
        """Wait until everything is acknowledged. Raises UnreachableError after `timeout_s`, with
        the number of messages that are not."""
        self._wait(lambda: self._pending == 0, timeout_s)

    def close(self, timeout_s: float = TIMEOUT_S) -> None:
        """Flush, then close. Raises UnreachableError if some messages could not be delivered in
        time."""
        try:
            self.flush(timeout_s)
        finally:
            self._kafka.close(timeout=0 if self._pending else TIMEOUT_S)

    def _check(self, message: SampleChunk | Reference) -> None:
        patient = message.patient_id
        if isinstance(message, Reference):
            problems = reference_problems(message)
        elif not (problems := chunk_problems(message)):
            next_sample = self._next.get(patient, 0) if message.first_sample else 0
            jump = jump_problem(next_sample, message)
            problems = [jump] if jump else []
            self._next[patient] = max(next_sample, message.first_sample + message.n)
            if message.end:
                del self._next[patient]
        if problems:
            problem = f"patient {patient[:40]!r}: a {type(message).__name__} that the stream processor would refuse: {sentence(problems)}"
            raise BadInputError(
                problem,
                "Correct what is named; a stream that cannot go on where it was begins anew at first_sample 0.",
            )

    def _hand_over(self, topic: str, key: bytes, value: bytes) -> Any:
        while True:
            try:
                return self._kafka.send(topic, key=key, value=value)
            except KafkaTimeoutError:  # the first message of a topic needs to know its partitions
                self._look()

    def _wait(self, done: Callable[[], bool], timeout_s: float = math.inf) -> None:
        give_up_s = self._clock.steady_s() + (
            min(timeout_s, TIMEOUT_S / 2) if self._impatient else timeout_s
        )
        try:
            while True:
                self._look()
                with self._changed:
                    if self._changed.wait_for(done, timeout=0.2):
                        return
                if self._clock.steady_s() >= give_up_s:
                    problem = f"Kafka broker {self._broker} does not answer: {self._pending} messages were not delivered"
                    raise UnreachableError(
                        problem,
                        "Start it and stream again with the same --start-time: nothing is counted twice.",
                    )
        except KeyboardInterrupt:
            # a user who interrupted a wait for a full buffer does not want to wait for it again
            self._impatient = True
            raise

    def _look(self) -> None:
        """Report when the broker stops answering and when it is back; raise the error of a refused
        message."""
        if self._refused is not None:
            remedy = "Check the broker's log, the topic's settings (`ecgwatch topics create`) and its access rights."
            raise UnreachableError(
                f"Kafka broker {self._broker} refused a message: {self._refused}", remedy
            ) from self._refused
        silent = self._pending > 0 and self._clock.steady_s() - self._heard_s > SILENT_S
        if silent and not self._away:
            self._notice(
                f"Kafka broker {self._broker} does not answer; messages are kept and sent when it is back. Is it running?"
            )
        if self._away and not silent:
            self._notice(f"Kafka broker {self._broker} is back; going on.")
        self._away = silent

    def _done(self, size: int, error: Exception | None) -> None:
        """Called by kafka-python's thread."""
        with self._changed:
            self._pending -= 1
            self._pending_bytes -= size
            self._heard_s = self._clock.steady_s()
            self._refused = self._refused or error
            self._changed.notify_all()
