"""The stream processor: faust's consumer group around Worker (slices, ward) and Checkpointer
(snapshots, commits). assembly.py builds it.

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
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import faust
from faust.types import TP

from ingest import topics
from ingest.broker import create_topics
from ingest.clock import Clock
from stream_processor.kafka.delivery import check_group
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.kafka.faust_app import on_rebalance
from stream_processor.worker.checkpointer import Checkpointer
from stream_processor.worker.counters import Counters
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import ActionReader
from stream_processor.worker.snapshots import SnapshotReader
from stream_processor.worker.stall_guard import StallGuard
from stream_processor.worker.worker import Worker

log = logging.getLogger(__name__)
MEASURE_S, LOG_EVERY_S = 0.5, 15.0
STOP_S = 10.0
# The ward's thread gives the interpreter lock away for each run of a network; with Python's 5 ms it
# would wait as long to get it back, each time that the consumer's thread is busy.
SWITCH_S = 0.0005
# Thousands of patients' states are hundreds of thousands of objects that live long; looking through
# all of them for cycles every few seconds, as Python's defaults do, takes a fifth of a core.
GC_THRESHOLDS = (50_000, 20, 1_000)


class Clients(NamedTuple):
    """A worker's clients of the broker."""

    broker: str  # its address
    app: faust.App
    event_producer: EventProducer
    actions: ActionReader
    history: SnapshotReader


@dataclass
class Processor:
    """One worker of the group. `run` ends after `stop`, or raises what broke it; run it once."""

    clients: Clients
    worker: Worker
    ledger: Ledger
    checkpointer: Checkpointer
    stall_guard: StallGuard
    clock: Clock
    counters: Counters
    stopping: asyncio.Event  # the worker's too
    on_ready: Callable[[], None]
    publish: Callable[[Counters], None]  # called every LOG_EVERY_S in a thread of its own
    partitions: set[int] = field(default_factory=set, init=False)  # assigned and restored
    _ready: bool = field(default=False, init=False)

    async def run(self) -> None:
        """Process until stopped. Raises UnreachableError if the broker does not answer at the
        start."""
        sys.setswitchinterval(SWITCH_S)
        gc.set_threshold(*GC_THRESHOLDS)
        await asyncio.to_thread(create_topics, self.clients.broker)
        on_rebalance(self.clients.app, self._assigned, self._revoked)
        await self.clients.app.start()
        beating = asyncio.create_task(self.stall_guard.run())
        try:
            async with asyncio.TaskGroup() as tasks:
                for part in (
                    self.worker.run(),
                    self.checkpointer.run(self.stopping),
                    self._watch(),
                    self._report(),
                ):
                    tasks.create_task(part)
            await self._finish()
        finally:
            self.clients.event_producer.abandon()  # frees the threads
            await self._leave()
            beating.cancel()
            self.worker.shut()
            self.checkpointer.shut()
            self.clients.actions.close()

    @property
    def ready(self) -> bool:
        """Whether the consumer group has assigned this worker its partitions, possibly none."""
        return self._ready

    def stop(self) -> None:
        """Finish what has begun, then end: snapshots, flush, commit. Call it from the event loop."""
        self.stopping.set()

    async def _assigned(self, assigned: set[TP]) -> None:
        partitions = {tp.partition for tp in assigned if tp.topic == topics.SAMPLES.name}
        await asyncio.to_thread(self.clients.event_producer.refresh)
        restored = await asyncio.to_thread(self.clients.history.read, partitions)
        await self.worker.restore(partitions, restored)
        self.partitions = partitions
        log.info("assigned partitions %s, %d snapshots", sorted(partitions), len(restored.states))
        if not self._ready:
            self._ready = True
            self.on_ready()

    async def _revoked(self, revoked: set[TP]) -> None:
        partitions = {
            tp.partition for tp in revoked if tp.topic == topics.SAMPLES.name
        } & self.partitions
        if partitions:
            await self.checkpointer.hand_over(partitions)
            self.partitions -= partitions

    async def _watch(self) -> None:
        """Raise the error that broke faust or its consumer."""
        while not self.stopping.is_set():
            if self.clients.app.should_stop:
                raise RuntimeError("the consumer broke down") from self.clients.app.crash_reason
            check_group(self.clients.app)
            await asyncio.sleep(MEASURE_S)

    async def _report(self) -> None:
        said_s = self.clock.steady_s()
        publishing: asyncio.Task[None] | None = None
        while not self.stopping.is_set():
            await asyncio.sleep(MEASURE_S)
            self._measure()
            if self.clock.steady_s() - said_s >= LOG_EVERY_S:
                said_s = self.clock.steady_s()
                self.counters.latency_p50_s, self.counters.latency_p99_s = self.worker.latencies()
                figures = replace(self.counters)
                log.info("%s", self.counters.line())
                # one that hangs must not hold up this loop
                if publishing is None or publishing.done():
                    publishing = asyncio.create_task(asyncio.to_thread(self.publish, figures))

    def _measure(self) -> None:
        """Update the counters of the present state."""
        c, pending = self.counters, self.ledger.pending
        positions = pending.positions()
        c.pending = pending.count
        ends = {
            p: self.clients.app.consumer.highwater(TP(topics.SAMPLES.name, p)) for p in positions
        }
        c.lag = sum(max((end or 0) - positions[p], 0) for p, end in ends.items())

    async def _finish(self) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self.checkpointer.finish(self.partitions)
        except TimeoutError:
            log.warning(
                "the broker does not answer: what is not committed is processed again at the next start"
            )

    async def _leave(self) -> None:
        try:
            async with asyncio.timeout(STOP_S):
                await self.clients.app.stop()
        except TimeoutError:
            log.warning("the broker does not answer: leaving the group without a farewell")
