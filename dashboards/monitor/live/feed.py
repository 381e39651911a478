"""Reads the live topics without a consumer group: every partition, from a little before its end;
survives a broker's restart.

The monitor only observes: it commits nothing and creates no topic. Topics that do not exist yet are
read once they appear.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from dashboards.monitor.live.refused_input import RefusedInput, refused_input
from ingest import topics
from ingest.clock import Clock
from ingest.kafka_access import aiokafka
from ingest.messages import (
    Action,
    Alarm,
    BadMessageError,
    Beat,
    Edit,
    Finding,
    JournalEntry,
    Orders,
    Reference,
    Rhythm,
    SampleChunk,
    Score,
    Vitals,
    decode,
)

log = logging.getLogger(__name__)
Followed = (
    SampleChunk
    | Reference
    | Beat
    | Rhythm
    | Vitals
    | Alarm
    | Score
    | Finding
    | Action
    | Edit
    | JournalEntry
    | Orders
    | RefusedInput
)

# How far back a new monitor reads each partition; the store has the alarms from before that.
_KINDS: dict[str, tuple[type[Any], int]] = {
    topics.SAMPLES.name: (SampleChunk, 500),
    topics.REFERENCE.name: (Reference, 200),
    topics.BEATS.name: (Beat, 500),
    topics.RHYTHM.name: (Rhythm, 200),
    topics.VITALS.name: (Vitals, 200),
    topics.ALARMS.name: (Alarm, 500),
    topics.SCORES.name: (Score, 200),
    topics.FINDINGS.name: (Finding, 200),
    topics.ACKS.name: (Action, 200),
    topics.EDITS.name: (Edit, 200),
    topics.JOURNAL.name: (JournalEntry, 200),
    topics.DEAD_LETTER.name: (RefusedInput, 500),
    topics.ORDERS.name: (Orders, 10**9),  # all: an order stays in force until a newer message
}
_OLDEST_S = 3600.0
_REFRESH_S = 5.0
_RETRY_S = 1.0
_ANSWER_S = 5.0  # a broker that takes longer counts as gone
_POLL_MS = 100
_MAX_ID = 128


class Arrival(NamedTuple):
    """A message and its arrival time, in seconds of the steady clock."""

    message: Followed
    at_s: float


Deliver = Callable[[Sequence[Arrival]], None]


class Feed(Protocol):
    """A source of the monitor's messages."""

    @property
    def connected(self) -> bool:
        """True while the source answers."""
        ...

    async def run(self, deliver: Deliver) -> None:
        """Deliver arriving messages until cancelled."""
        ...


class KafkaFeed:
    """The live topics of a broker, "HOST:PORT[,HOST:PORT...]"."""

    def __init__(self, broker: str, clock: Clock) -> None:
        self._broker = broker
        self._clock = clock
        # offsets at which to continue after the broker was unreachable
        self._next: dict[TopicPartition, int] = {}
        # older records were written before this monitor started
        self._live_from: dict[TopicPartition, int] = {}
        self.refused = 0
        self._connected = False

    @property
    def connected(self) -> bool:
        return self._connected

    async def run(self, deliver: Deliver) -> None:
        while True:
            try:
                await self._session(deliver)
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning(
                    "broker %s: %s; trying again", self._broker, error or type(error).__name__
                )
            finally:
                self._connected = False
            await asyncio.sleep(_RETRY_S)

    async def _session(self, deliver: Deliver) -> None:
        """Read until the broker stops answering."""
        admin = AIOKafkaAdminClient(**aiokafka(self._broker))
        consumer = AIOKafkaConsumer(
            **aiokafka(self._broker),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
            metadata_max_age_ms=10_000,
        )
        try:
            await admin.start()
            await consumer.start()
            reading = asyncio.create_task(self._read(consumer, deliver))
            try:
                await self._watch(admin, consumer, reading)
            finally:
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
        finally:
            await asyncio.gather(consumer.stop(), admin.close(), return_exceptions=True)

    async def _watch(
        self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer, reading: asyncio.Task[None]
    ) -> None:
        """Check every few seconds that the broker answers, and look for new partitions. Raises if
        the broker does not answer or reading failed."""
        while True:
            async with asyncio.timeout(_ANSWER_S):
                await self._assign(consumer, await admin.describe_topics())
            self._connected = True
            missing = len({tp.topic for tp in consumer.assignment()}) < len(_KINDS)
            done, _ = await asyncio.wait([reading], timeout=_RETRY_S if missing else _REFRESH_S)
            for task in done:
                task.result()

    async def _assign(self, consumer: AIOKafkaConsumer, described: list[dict[str, Any]]) -> None:
        found = {
            TopicPartition(t["topic"], p["partition"])
            for t in described
            if t["topic"] in _KINDS
            for p in t["partitions"]
        }
        assigned = consumer.assignment()
        if not found - assigned:
            return
        begin, end = (
            await consumer.beginning_offsets(list(found)),
            await consumer.end_offsets(list(found)),
        )
        consumer.assign(list(found))
        for tp in found:
            start = self._next.get(tp, end[tp] - _KINDS[tp.topic][1])
            self._live_from.setdefault(tp, end[tp])
            consumer.seek(tp, min(max(start, begin[tp]), end[tp]))

    async def _read(self, consumer: AIOKafkaConsumer, deliver: Deliver) -> None:
        while True:
            if not consumer.assignment():
                await asyncio.sleep(_POLL_MS / 1000)
                continue
            fetched = await consumer.getmany(timeout_ms=_POLL_MS, max_records=5000)
            arrivals = [
                a for tp, records in fetched.items() for r in records if (a := self._arrival(tp, r))
            ]
            if arrivals:
                deliver(arrivals)

    def _arrival(self, tp: TopicPartition, record: ConsumerRecord[Any, Any]) -> Arrival | None:
        """The record's message, or None if it is not valid (the processor reports those) or too old
        to show."""
        self._next[tp] = record.offset + 1
        age_s = 0.0
        if record.offset < self._live_from[tp] and record.timestamp > 0:
            age_s = max(0.0, self._clock.now_ns() / 1e9 - record.timestamp / 1e3)
        if age_s > _OLDEST_S and tp.topic != topics.ORDERS.name:
            return None
        try:
            if tp.topic == topics.ORDERS.name and record.value is None:
                gone = bytes(record.key or b"").decode(errors="replace")
                return Arrival(Orders(patient_id=gone), self._clock.steady_s())
            if tp.topic == topics.DEAD_LETTER.name:
                refused = refused_input(record.key, dict(record.headers))
                return Arrival(refused, self._clock.steady_s() - age_s)
            message = decode(record.value or b"", _KINDS[tp.topic][0])
        except BadMessageError:
            self.refused += 1
            return None
        if not 0 < len(message.patient_id) <= _MAX_ID:
            self.refused += 1
            return None
        return Arrival(message, self._clock.steady_s() - age_s)
