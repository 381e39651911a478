"""The processor's inner loop, apart from how messages come to it: slices through the ward, timers,
partitions coming and going.

Every SLICE_S all pending chunks of all patients go through the ward at once, in the one thread that
ever touches the ward, so that the event loop never blocks. Events leave for their topics at the end
of the slice; checkpointer.py stores, snapshots and commits.

Errors: bytes that are no SampleChunk go to the dead-letter topic. Anything unexpected ends `run`,
and with it the process, without a commit: the successor takes the last commit and the snapshots,
and computes the same events again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

from ingest.clock import Clock
from ingest.messages import Action, Alarm, BadMessageError, Beat, Event, SampleChunk, decode
from models.serving.runtime import Model
from stream_processor.kafka.event_producer import EventProducer, Record
from stream_processor.worker.counters import Counters
from stream_processor.worker.latency import Latencies
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.snapshots import ENDED, Snapshot
from stream_processor.worker.stall_guard import StallGuard

log = logging.getLogger(__name__)
SLICE_S = 0.1
CLOCK_S = 0.5
# after the delivery was held up, or we were behind, patients are not called silent for so long
GRACE_S = 5.0
SLOW_S = 2.0  # a slice that took so long
MAX_SLICE = 4000  # messages: bounds a slice while catching up
T = TypeVar("T")


class WardLike(Protocol):
    """What the worker needs of stream_processor/pipeline/ward.py."""

    def use(self, model: Model) -> None: ...
    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]: ...
    def act(self, actions: Sequence[tuple[int, Action]]) -> list[Event]: ...
    def expect_actions(self, patient_id: str, end: int) -> None: ...
    def on_clock(self) -> list[Event]: ...
    def patients(self) -> list[str]: ...
    def snapshot(self, patient_id: str) -> bytes: ...
    def restore(self, patient_id: str, state: bytes) -> None: ...
    def close(self, patient_id: str) -> None: ...


class Actions(Protocol):
    """What the worker needs of stream_processor/worker/operator_actions.py; used in the ward's
    thread only."""

    def assign(self, partitions: Iterable[int]) -> Mapping[int, int]: ...
    def take(self) -> list[Placed]: ...
    def commit(self, offsets: Mapping[int, int]) -> None: ...


class _Acted(NamedTuple):
    """Of whom something was ordered, and what followed."""

    patients: set[str]
    events: list[Event]


class Worker:
    """Owns the ward. All methods belong to the event loop; what is CPU-bound runs in the ward's own
    thread, one call at a time."""

    def __init__(
        self,
        ward: WardLike,
        event_producer: EventProducer,
        actions: Actions,
        clock: Clock,
        counters: Counters,
        stall_guard: StallGuard,
    ) -> None:
        self._stall_guard = stall_guard
        self._ward, self._event_producer, self._actions, self._clock, self.counters = (
            ward,
            event_producer,
            actions,
            clock,
            counters,
        )
        self.pending = PendingInput()
        self.latencies = Latencies()
        self.events: list[Event] = []  # not yet handed to the sink; checkpointer.py takes them
        # by partition: patients with news since their last snapshot
        self.changed: dict[int, set[str]] = {}
        self._home: dict[str, int] = {}  # the partition a patient's chunks come from
        # first input offset that is not inside the patient's restored state
        self._inside: dict[str, int] = {}
        self._acted: dict[int, int] = {}  # by partition: one past the last action taken
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ward")
        self._turn = asyncio.Lock()
        self._clock_at = clock.steady_s()
        self.held_up: Callable[[], bool] = lambda: False  # whether the delivery waits for us
        # a model that extends the one in use, once (model_watch.py)
        self.next_model: Callable[[], Model | None] = lambda: None
        self.last_chunk_s = clock.steady_s()

    def receive(self, partition: int, records: Sequence[Record]) -> None:
        """Keep fetched messages of ecg.samples for the next slice."""
        self.pending.add(partition, records)

    async def run(self, stop: asyncio.Event) -> None:
        """Slices, until told to stop; never broken off within one, for its events would be lost
        while its state is kept."""
        while not stop.is_set():
            started = self._clock.steady_s()
            await self.slice()
            left = SLICE_S - (self._clock.steady_s() - started)
            await asyncio.sleep(0 if self.pending.ready else max(left, 0.0))

    async def slice(self) -> None:
        """Everything pending through the ward, once, and the timers where they are due. Raises
        StoodStillError."""
        async with self._turn:
            batch = self.pending.take(MAX_SLICE)
            now = self._clock.steady_s()
            if self.held_up():
                self._clock_at = now + GRACE_S
            if self.pending.ready:  # behind: who seems silent may only be waiting
                self._clock_at = now + GRACE_S
            timers = now - self._clock_at >= CLOCK_S
            if not (batch or timers):
                return
            patients, events = await self._in_thread(lambda: self._process(batch, timers))
            self.pending.done(batch)
            self.events += events
            for patient in patients | {e.patient_id for e in events}:
                if (home := self._home.get(patient)) is not None:
                    self.changed.setdefault(home, set()).add(patient)

    async def snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        """State of these patients (with their partitions) now, between two slices; ENDED for those
        whose stream has ended."""
        async with self._turn:
            states = await self._in_thread(lambda: self._snapshot(patients))
            for patient, partition in patients:
                self.changed.get(partition, set()).discard(patient)
            return states

    async def restore(self, partitions: Iterable[int], states: dict[str, Snapshot]) -> None:
        """Take over partitions with their patients' states; their messages are processed from now
        on."""
        async with self._turn:
            self.pending.open(partitions)
            await self._in_thread(lambda: self._restore(states))
            for patient, snapshot in states.items():
                if snapshot.state == ENDED:  # so that the checkpointer removes it in time
                    self.changed.setdefault(snapshot.partition, set()).add(patient)

    async def release(self, partitions: Iterable[int]) -> None:
        """Close the patients of these partitions, and forget what is pending of them."""
        gone = set(partitions)
        async with self._turn:
            patients = [p for p, home in self._home.items() if home in gone]
            self.pending.close(gone)
            await self._in_thread(lambda: self._close(patients))
            for partition in gone:
                self.changed.pop(partition, None)
                self._acted.pop(partition, None)

    def acted(self, partitions: Iterable[int]) -> dict[int, int]:
        """For each of these partitions the place behind the last action taken; none where nothing
        has been taken."""
        return {p: self._acted[p] for p in partitions if p in self._acted}

    async def commit_actions(self, places: Mapping[int, int]) -> None:
        """The effect of all actions before these places is safe."""
        await self._in_thread(lambda: self._actions.commit(places))

    def shut(self) -> None:
        """End the ward's thread."""
        self._thread.shutdown()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Everything below runs in the ward's thread.

    def _process(
        self, batch: list[tuple[int, Record]], timers: bool
    ) -> tuple[set[str], list[Event]]:
        started = self._clock.steady_s()
        if (model := self.next_model()) is not None:
            self._ward.use(model)
        chunks = [
            chunk
            for partition, record in batch
            if (chunk := self._decode(partition, record)) is not None
        ]
        events = self._ward.push(chunks) if chunks else []
        if self._clock.steady_s() - started > SLOW_S:  # what came meanwhile has not been looked at
            timers, self._clock_at = False, started + GRACE_S
        acted = self._act()
        events = [*events, *acted.events]
        if timers:
            self._clock_at = started
            events += self._ward.on_clock()
        self._stall_guard.check()
        for event in events:
            self._event_producer.event(event, self._home.get(event.patient_id))
        self._event_producer.check()
        self._count(batch, chunks, events, started)
        return {c.patient_id for c in chunks} | acted.patients, events

    def _act(self) -> _Acted:
        """Take what people did about the patients that are ours."""
        placed = [a for a in self._actions.take() if a.partition in self.pending.partitions]
        for partition, offset, action in placed:
            self._home.setdefault(action.patient_id, partition)
            self._acted[partition] = offset + 1
        return _Acted(
            {a.action.patient_id for a in placed},
            self._ward.act([(a.offset, a.action) for a in placed]) if placed else [],
        )

    def _decode(self, partition: int, record: Record) -> SampleChunk | None:
        """The chunk, or None where it is no chunk or is already inside a restored state."""
        try:
            chunk = decode(record.value or b"", SampleChunk)
        except BadMessageError as error:
            self._event_producer.dead_letter(record, partition, str(error))
            self.counters.dead_letters += 1
            return None
        if record.offset < self._inside.get(chunk.patient_id, 0):
            self.counters.replayed += 1
            return None
        self._home[chunk.patient_id] = partition
        return chunk

    def _count(
        self,
        batch: list[tuple[int, Record]],
        chunks: list[SampleChunk],
        events: list[Event],
        started: float,
    ) -> None:
        now = self._clock.steady_s()
        if batch:
            self.last_chunk_s = now
        c = self.counters
        c.messages += len(batch)
        c.chunks += len(chunks)
        c.events += len(events)
        c.beats += sum(isinstance(e, Beat) for e in events)
        c.alarms += sum(isinstance(e, Alarm) and e.step == "onset" for e in events)
        self.latencies.add(events, self._clock.now_ns())
        c.slices += 1
        c.slice_s += now - started
        c.slowest_slice_s = max(c.slowest_slice_s, now - started)

    def _snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        started = self._clock.steady_s()
        positions, present = self.pending.positions(), set(self._ward.patients())
        states: dict[str, Snapshot] = {}
        for patient, partition in patients:
            offset = max(positions.get(partition, 0), self._inside.get(patient, 0))
            states[patient] = Snapshot(
                partition, self._ward.snapshot(patient) if patient in present else ENDED, offset
            )
            if patient not in present and offset > self._inside.get(patient, 0):
                self._home.pop(patient, None)  # ended for good: keep nothing
                self._inside.pop(patient, None)
        c = self.counters
        c.snapshots += len(states)
        c.snapshot_bytes += sum(len(s.state) for s in states.values())
        c.snapshot_s += self._clock.steady_s() - started
        c.patients = len(present)
        return states

    def _restore(self, states: dict[str, Snapshot]) -> None:
        ends = self._actions.assign(self.pending.partitions)
        for patient, snapshot in states.items():
            self._home[patient], self._inside[patient] = snapshot.partition, snapshot.offset
            if snapshot.state == ENDED:
                continue
            try:
                self._ward.restore(patient, snapshot.state)
                self._ward.expect_actions(patient, ends.get(snapshot.partition, 0))
            except ValueError as error:
                del self._inside[patient]
                log.warning("snapshot of %s cannot be used, starting afresh: %s", patient, error)

    def _close(self, patients: list[str]) -> None:
        self._actions.assign(self.pending.partitions)
        present = set(self._ward.patients())
        for patient in patients:
            del self._home[patient]
            self._inside.pop(patient, None)
            if patient in present:
                self._ward.close(patient)
