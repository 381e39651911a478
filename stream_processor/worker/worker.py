"""The processor's inner loop, independent of how messages are delivered: slices through the ward,
timers, partitions that are assigned and revoked.

Every SLICE_S all pending chunks of all patients go through the ward at once, in the one thread that
ever touches the ward (guarded_ward.py), so that the event loop never blocks. Events leave for their
topics at the end of the slice; checkpointer.py snapshots and commits, archive.py stores what is on the
topics.

Errors: bytes that are no SampleChunk go to the dead-letter topic. If the ward breaks down, it is
built anew from the snapshots and the input since the last commit, and what broke it is found and
refused on the way (quarantine.py). Anything else that is unexpected ends `run`, and with it the
process, without a commit: the successor takes the last commit and the snapshots, and computes the
same events again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from ingest.clock import Clock
from ingest.messages import Event
from stream_processor.kafka.event_producer import InputRecord
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard, WardBrokeError
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.snapshots import ENDED, Restored, Snapshot

log = logging.getLogger(__name__)
SLICE_S = 0.1
CLOCK_S = 0.5
# after the delivery was held up, or we were behind, patients are not called silent for so long
GRACE_S = 5.0
MAX_SLICE = 4000  # messages: bounds a slice while catching up
# partitions that have come to the topic wait no longer than this for the others
ADDED_WAIT_S = 30.0
REBUILT_S = 60.0  # a second breakdown this soon, without a patient found whose input causes it, ends the worker
T = TypeVar("T")


class InputHistory(Protocol):
    """The interface of SnapshotReader that the worker needs; both methods block."""

    def read(self, partitions: Iterable[int]) -> Restored: ...
    def input(
        self, until: Mapping[int, int]
    ) -> Mapping[int, tuple[int, Sequence[InputRecord]]]: ...


class Worker:
    """Owns the ward. All methods belong to the event loop; what is CPU-bound runs in the ward's own
    thread, one call at a time."""

    def __init__(
        self,
        ward: GuardedWard,
        ledger: Ledger,
        history: InputHistory,
        clock: Clock,
        counters: Counters,
        stop: asyncio.Event,
    ) -> None:
        self._ward, self._history, self._clock, self.counters = ward, history, clock, counters
        self._ledger, self._pending = ledger, ledger.pending
        self._stop = stop
        self._rebuilt_s: float | None = None
        self._added_at: float | None = None  # since when partitions that were added wait
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ward")
        self._turn = asyncio.Lock()
        self._clock_at = clock.steady_s()
        self.last_chunk_s = clock.steady_s()

    @property
    def full(self) -> bool:
        """True if the delivery should wait: too much is pending, or the end is near."""
        return self._pending.full or self._stop.is_set()

    def receive(self, partition: int, records: Sequence[InputRecord]) -> None:
        """Keep fetched messages of ecg.samples for the next slice."""
        self._pending.add(partition, records)

    async def run(self) -> None:
        """Process slices until stopped. A slice is never interrupted, because its events would be
        lost while its state is kept."""
        while not self._stop.is_set():
            started = self._clock.steady_s()
            await self.slice()
            left = SLICE_S - (self._clock.steady_s() - started)
            await asyncio.sleep(0 if self._pending.ready else max(left, 0.0))

    async def slice(self) -> None:
        """Pass everything pending through the ward once, and run its timers if they are due. Raises
        StalledError."""
        async with self._turn:
            now = self._clock.steady_s()
            if self._added_at is not None and now - self._added_at > ADDED_WAIT_S:
                self._pending.open_all()
                self._added_at = None
            batch = self._pending.take(MAX_SLICE)
            if self.full:  # the delivery waits for us
                self._clock_at = now + GRACE_S
            if self._pending.ready:  # behind: who seems silent may only be waiting
                self._clock_at = now + GRACE_S
            timers = now - self._clock_at >= CLOCK_S
            if not (batch or timers):
                return
            try:
                patients, events, behind = await self._in_thread(
                    lambda: self._ward.slice(batch, timers)
                )
            except WardBrokeError as error:
                await self._rebuild(error)
                return
            if timers or behind:
                self._clock_at = now + GRACE_S * behind
            if batch:
                self.last_chunk_s = self._clock.steady_s()
            self._ledger.note(patients | {e.patient_id for e in events})

    async def snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        """Return the state of these patients (with their partitions) between two slices; ENDED if
        the stream has ended."""
        async with self._turn:
            states = await self._in_thread(lambda: self._ward.snapshot(patients))
            self._ledger.snapshotted(patients)
            return states

    async def restore(self, partitions: Iterable[int], restored: Restored) -> None:
        """Take over partitions with their patients' states; their messages are processed from now
        on, and not at all if this fails."""
        async with self._turn:
            wanted = set(partitions)
            self._pending.open(wanted - restored.added)
            self._pending.open(wanted & restored.added, restored.before)
            self._added_at = self._clock.steady_s() if restored.before else None
            try:
                found = await self._in_thread(lambda: self._ward.restore(restored))
            except BaseException:
                # until the process ends, a slice would begin these patients anew
                self._pending.close(wanted)
                raise
            self._take_over(restored, found)

    async def _rebuild(self, error: WardBrokeError) -> None:
        """Build a ward from the last snapshots and the input since; raises the error if the ward
        was rebuilt a moment ago and no patient was found whose input breaks it."""
        now = self._clock.steady_s()
        again_so_soon = self._rebuilt_s is not None and now - self._rebuilt_s < REBUILT_S
        if again_so_soon and not self._ward.found:
            raise error
        self._rebuilt_s = now
        log.error("the ward broke down, it is built anew", exc_info=error.__cause__)
        until = self._pending.taken()
        restored = await asyncio.to_thread(self._history.read, self._pending.partitions)
        again = await asyncio.to_thread(self._history.input, until)
        for partition, (start, records) in again.items():
            self._pending.rewind(partition, records, start)
        found = await self._in_thread(lambda: self._ward.rebuild(restored, until))
        self._take_over(restored, found)
        self._clock_at = self._clock.steady_s() + GRACE_S

    def _take_over(self, restored: Restored, found: list[Event]) -> None:
        """Note whose snapshot must be written anew: those who ended, so that the checkpointer
        removes it in time, those who have moved, and those about whom an event was sent."""
        again = (
            p for p, s in restored.states.items() if s.state == ENDED or s.partition not in s.inside
        )
        self._ledger.note({*again, *restored.outdated, *(e.patient_id for e in found)})

    async def release(self, partitions: Iterable[int]) -> None:
        """Close the patients of these partitions, and drop their pending messages."""
        gone = set(partitions)
        async with self._turn:
            self._pending.close(gone)
            await self._in_thread(lambda: self._ward.close(gone))

    def latencies(self) -> tuple[float, float]:
        """Return median and 99th percentile, in s, of the latencies since the last call."""
        return self._ward.latencies.take()

    async def commit_actions(self, places: Mapping[int, int]) -> None:
        """Commit the actions before these offsets, whose effect is safe."""
        await self._in_thread(lambda: self._ward.commit_actions(places))

    def shut(self) -> None:
        """End the ward's thread."""
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
