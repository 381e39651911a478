"""Sends messages to Kafka, in order, until Kafka has them; the ingest server acknowledges input by
this.

librdkafka keeps what is sent while the broker is away and sends it, in order, when it is back: no
message of a partition overtakes another, so no stream ever has a hole that a repeat cannot fill. What
waits is bounded: a server asks `away` before it takes anything.
"""

from __future__ import annotations

import asyncio
import logging

import confluent_kafka

from ingest.broker import TIMEOUT_S
from ingest.clock import Clock
from ingest.kafka_access import librdkafka

log = logging.getLogger(__name__)
AWAY_S = 2.0  # the oldest message waits for longer: the broker is away
MAX_WAITING = 100_000  # messages
MAX_WAITING_BYTES = 64 * 1024 * 1024
_POLL_S, _IDLE_S = 0.004, 0.02


class KafkaRefusedError(Exception):
    """Kafka will never take the message."""


class KafkaOutlet:
    """Used on the event loop only. `run` is a task that reports deliveries."""

    def __init__(self, broker: str, clock: Clock) -> None:
        self._clock = clock
        self._producer = confluent_kafka.Producer(
            {
                **librdkafka(broker),
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 5,
                "message.timeout.ms": 0,  # for ever: a message that was given up would leave a hole behind it
                "queue.buffering.max.messages": 2 * MAX_WAITING,
                "queue.buffering.max.kbytes": 2 * MAX_WAITING_BYTES // 1024,
                "reconnect.backoff.max.ms": 1000,
                "retry.backoff.max.ms": 1000,
                "partitioner": "murmur2_random",  # as Kafka's own clients
                "log_level": 2,
            }
        )
        self._waiting: dict[int, float] = {}  # number -> when it was sent, oldest first
        self._bytes = 0
        self._count = 0

    @property
    def away(self) -> bool:
        """Whether the broker does not answer, or too much waits: take nothing more."""
        oldest = next(iter(self._waiting.values()), None)
        if oldest is not None and self._clock.steady_s() - oldest > AWAY_S:
            return True
        return len(self._waiting) >= MAX_WAITING or self._bytes >= MAX_WAITING_BYTES

    @property
    def waiting(self) -> int:
        """Messages sent that Kafka does not have yet."""
        return len(self._waiting)

    def send(self, topic: str, key: bytes, value: bytes) -> asyncio.Future[None]:
        """Send; the future is done once all replicas have it, or raises KafkaRefusedError."""
        number = self._count = self._count + 1
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def delivered(error: confluent_kafka.KafkaError | None, _: confluent_kafka.Message) -> None:
            self._waiting.pop(number, None)
            self._bytes -= len(value)
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(KafkaRefusedError(str(error)))

        self._waiting[number] = self._clock.steady_s()
        self._bytes += len(value)
        try:
            self._producer.produce(topic, value, key, on_delivery=delivered)
        except BufferError as error:
            self._waiting.pop(number)
            self._bytes -= len(value)
            raise KafkaRefusedError("too much waits for the broker") from error
        return done

    async def run(self) -> None:
        """Report deliveries until cancelled."""
        logged = False
        while True:
            self._producer.poll(0)
            if self.away != logged:
                logged = self.away
                log.warning("the broker does not answer" if logged else "the broker is back")
            await asyncio.sleep(_POLL_S if self._waiting else _IDLE_S)

    async def ready(self) -> None:
        """Wait until the broker is not away."""
        while self.away:
            await asyncio.sleep(_IDLE_S * 5)

    def close(self) -> None:
        """Wait a last time for the messages that Kafka does not have yet."""
        left = self._producer.flush(TIMEOUT_S / 2)
        if left:
            log.warning("%d messages did not reach the broker; none of them was acknowledged", left)
