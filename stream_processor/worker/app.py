"""The stream processor: faust's consumer group around Worker (slices, ward) and Checkpointer
(snapshots, commits).

    ecg.samples -> delivery.py -> Worker -> Ward -> events -> event_producer.py -> their topics -> archive.py -> sink
                                   `---> Checkpointer -> ecg.state, commit

Partitions are the unit of scaling: start more processes. When they come, their patients are
restored from ecg.state before their first message is processed; before they go, they get a last
round of snapshots and a commit.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import faust
from faust.types import TP
from faust.types.auth import CredentialsT

from ingest import topics
from ingest.broker import METADATA_MS, create_topics
from ingest.clock import Clock
from ingest.kafka_access import security_of
from models.serving.runtime import Model
from stream_processor.kafka.delivery import FetchDelivery, StockDelivery, check_group
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.worker.checkpointer import Checkpointer
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard, WardLike
from stream_processor.worker.operator_actions import ActionReader
from stream_processor.worker.snapshots import SnapshotReader
from stream_processor.worker.stall_guard import StallGuard
from stream_processor.worker.worker import Worker

log = logging.getLogger(__name__)
MEASURE_S, LOG_EVERY_S = 0.5, 15.0
STOP_S = 10.0
# how long a killed worker's partitions wait; how often one says that it lives
SESSION_S, HEARTBEAT_S = 10.0, 2.0
# The ward's thread gives the interpreter lock away for each run of a network; with Python's 5 ms it
# would wait as long to get it back, each time that the consumer's thread is busy.
SWITCH_S = 0.0005
# Thousands of patients' states are hundreds of thousands of objects that live long; looking through
# all of them for cycles every few seconds, as Python's defaults do, takes a fifth of a core.
GC_THRESHOLDS = (50_000, 20, 1_000)


@dataclass
class Processor:
    """One worker of the group. `run` ends after `stop`, or raises what broke it; run it once."""

    broker: str
    make_ward: Callable[[], WardLike]
    clock: Clock
    whole_fetches: bool = True
    on_ready: Callable[[], None] = lambda: None
    # called every LOG_EVERY_S in a thread of its own
    publish: Callable[[Counters], None] = lambda _: None
    next_model: Callable[[], Model | None] = lambda: None  # see GuardedWard
    counters: Counters = field(default_factory=Counters)
    partitions: set[int] = field(default_factory=set, init=False)  # assigned and restored
    _ready: bool = field(default=False, init=False)
    _stop: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self) -> None:
        """Process until stopped. Raises UnreachableError where the broker does not answer at the
        start."""
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*GC_THRESHOLDS)
        await asyncio.to_thread(create_topics, self.broker)
        event_producer = self._event_producer = EventProducer(self.broker)
        actions = ActionReader(self.broker)
        stall_guard = StallGuard(self.clock, SESSION_S - HEARTBEAT_S)
        self._reader = SnapshotReader(self.broker)
        ward = GuardedWard(
            self.make_ward, event_producer, actions, self.clock, self.counters, stall_guard
        )
        ward.next_model = self.next_model
        self._worker = Worker(ward, self._reader, self.clock, self.counters)
        self._app = _faust_app(self.broker)
        self._worker.held_up = lambda: self.full
        self._delivery = (FetchDelivery if self.whole_fetches else StockDelivery)(self._app, self)
        self._checkpointer = Checkpointer(
            self._worker, event_producer, self._delivery, self.clock, stall_guard
        )
        _connect(self._app, self._assigned, self._revoked)
        await self._app.start()
        beating = asyncio.create_task(stall_guard.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (
                    self._worker.run(self._stop),
                    self._checkpointer.run(self._stop),
                    self._watch(),
                    self._report(),
                ):
                    tasks.create_task(part)
            await self._finish()
        finally:
            event_producer.abandon()  # frees the threads
            await self._leave()
            beating.cancel()
            self._worker.shut()
            self._checkpointer.shut()
            actions.close()

    @property
    def ready(self) -> bool:
        """Whether the group has given this worker its part, if only an empty one."""
        return self._ready

    def stop(self) -> None:
        """Finish what has begun, then end: snapshots, flush, commit. Call it from the event loop."""
        self._stop.set()

    @property
    def full(self) -> bool:
        """True where the delivery should wait: too much is pending."""
        return self._worker.pending.full or self._stop.is_set()

    def receive(self, partition: int, records: Any) -> None:
        """Messages from the delivery."""
        self._worker.receive(partition, records)

    async def _assigned(self, assigned: set[TP]) -> None:
        partitions = {tp.partition for tp in assigned if tp.topic == topics.SAMPLES.name}
        await asyncio.to_thread(self._event_producer.refresh)
        restored = await asyncio.to_thread(self._reader.read, partitions)
        await self._worker.restore(partitions, restored)
        self.partitions = partitions
        log.info("assigned partitions %s, %d snapshots", sorted(partitions), len(restored.states))
        if not self._ready:
            self._ready = True
            self.on_ready()

    async def _revoked(self, revoked: set[TP]) -> None:
        partitions = {
            tp.partition for tp in revoked if tp.topic == topics.SAMPLES.name
        } & self.partitions
        if not partitions:
            return
        await self._checkpointer.finish(partitions)
        await self._worker.release(partitions)
        # A slice may have come between the two. The next owner will compute its events again, and
        # ours must not come behind later ones.
        await self._checkpointer.settle()
        self._checkpointer.forget(partitions)
        self._delivery.release(partitions)
        self.partitions -= partitions

    async def _watch(self) -> None:
        """Raise what broke faust, or its consumer."""
        while not self._stop.is_set():
            if self._app.should_stop:
                raise RuntimeError("the consumer broke down") from self._app.crash_reason
            check_group(self._app)
            await asyncio.sleep(MEASURE_S)

    async def _report(self) -> None:
        said_s = self.clock.steady_s()
        publishing: asyncio.Task[None] | None = None
        while not self._stop.is_set():
            await asyncio.sleep(MEASURE_S)
            self._measure()
            if self.clock.steady_s() - said_s >= LOG_EVERY_S:
                said_s = self.clock.steady_s()
                self.counters.latency_p50_s, self.counters.latency_p99_s = (
                    self._worker.ward.latencies.take()
                )
                figures = replace(self.counters)
                log.info("%s", self.counters.line())
                # one that hangs must not hold up this loop
                if publishing is None or publishing.done():
                    publishing = asyncio.create_task(asyncio.to_thread(self.publish, figures))

    def _measure(self) -> None:
        """Bring the counters that say "now" up to date."""
        c, positions = self.counters, self._worker.pending.positions()
        c.pending = self._worker.pending.count
        ends = {p: self._app.consumer.highwater(TP(topics.SAMPLES.name, p)) for p in positions}
        c.lag = sum(max((end or 0) - positions[p], 0) for p, end in ends.items())

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self._checkpointer.finish(self.partitions)
        except TimeoutError:
            log.warning(
                "the broker does not answer: what is not committed is processed again at the next start"
            )

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self._app.stop()
        except TimeoutError:
            log.warning("the broker does not answer: leaving the group without a farewell")


def _connect(
    app: faust.App,
    assigned: Callable[[set[TP]], Awaitable[None]],
    revoked: Callable[[set[TP]], Awaitable[None]],
) -> None:
    async def on_assigned(*arguments: Any, **_: Any) -> None:
        await assigned(arguments[-1])

    async def on_revoked(*arguments: Any, **_: Any) -> None:
        await revoked(arguments[-1])

    app.on_partitions_assigned.connect(on_assigned)
    app.on_partitions_revoked.connect(on_revoked)


def _credentials(broker: str) -> CredentialsT | None:
    """How faust logs in, if the broker asks for it."""
    security = security_of(broker)
    if security.sasl:
        return faust.SASLCredentials(
            username=security.username,
            password=security.password,
            mechanism=security.mechanism,
            ssl_context=security.context(),
        )
    return faust.SSLCredentials(security.context()) if security.tls else None


def _faust_app(broker: str) -> faust.App:
    return faust.App(
        topics.PROCESSOR_GROUP,
        broker=[f"kafka://{address.strip()}" for address in broker.split(",")],
        broker_credentials=_credentials(broker),
        # faust makes it and, without tables, leaves it empty
        datadir=Path(tempfile.gettempdir()) / "ecgwatch-faust",
        autodiscover=False,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        stream_wait_empty=False,
        broker_max_poll_records=4000,
        broker_commit_interval=1.0,
        # a store that is away for hours must not cost us the partitions
        broker_max_poll_interval=24 * 3600.0,
        broker_session_timeout=SESSION_S,
        broker_heartbeat_interval=HEARTBEAT_S,
        consumer_metadata_max_age_ms=METADATA_MS,
        consumer_auto_offset_reset="earliest",
    )
