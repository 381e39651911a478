"""The processor's inner loop, apart from how messages come to it: slices through the ward, timers,
partitions coming and going.

Every SLICE_S all pending chunks of all patients go through the ward at once, in the one thread that
ever touches the ward, so that the event loop never blocks. Events leave for their topics at the end
of the slice; checkpointer.py stores, snapshots and commits.

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
from typing import NamedTuple, Protocol, TypeVar

from ingest.clock import Clock
from ingest.messages import (
    Alarm,
    AlarmKind,
    BadMessageError,
    Beat,
    Event,
    SampleChunk,
    decode,
    encode,
)
from ingest.topics import ACKS, SAMPLES
from models.serving.runtime import Model
from stream_processor.kafka.event_producer import EventProducer, Record
from stream_processor.worker.counters import Counters
from stream_processor.worker.latency import Latencies
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.quarantine import Item, Order, Quarantine, Refused, Sample
from stream_processor.worker.snapshots import ENDED, Layout, Restored, Snapshot
from stream_processor.worker.stall_guard import StallGuard

log = logging.getLogger(__name__)
SLICE_S = 0.1
CLOCK_S = 0.5
# after the delivery was held up, or we were behind, patients are not called silent for so long
GRACE_S = 5.0
SLOW_S = 2.0  # a slice that took so long
MAX_SLICE = 4000  # messages: bounds a slice while catching up
# partitions that have come to the topic wait no longer than this for the others
ADDED_WAIT_S = 30.0
REBUILT_S = 60.0  # breaking down again so soon, with nobody found who does it, ends the worker
T = TypeVar("T")


class WardLike(Protocol):
    """What the worker needs of stream_processor/pipeline/ward.py."""

    def use(self, model: Model) -> None: ...
    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]: ...
    def act(self, actions: Sequence[Placed]) -> list[Event]: ...
    def expect_actions(self, ends: Mapping[int, int]) -> None: ...
    def tell(
        self, patient_id: str, kind: AlarmKind, at_ns: int | None, detail: str
    ) -> list[Event]: ...
    def on_clock(self) -> list[Event]: ...
    def patients(self) -> list[str]: ...
    def snapshot(self, patient_id: str) -> bytes: ...
    def restore(self, patient_id: str, state: bytes) -> None: ...
    def close(self, patient_id: str) -> None: ...


class History(Protocol):
    """What the worker needs of SnapshotReader; both block."""

    def read(self, partitions: Iterable[int]) -> Restored: ...
    def input(self, until: Mapping[int, int]) -> Mapping[int, tuple[int, Sequence[Record]]]: ...


class WardBrokeError(Exception):
    """The ward raised what it never should; its cause says what."""


class Actions(Protocol):
    """What the worker needs of stream_processor/worker/operator_actions.py; used in the ward's
    thread only."""

    def assign(self, partitions: Iterable[int]) -> Mapping[int, int]: ...
    def take(self) -> list[Placed]: ...
    def commit(self, offsets: Mapping[int, int]) -> None: ...


class _Letter(NamedTuple):
    """A message for the dead-letter topic."""

    offset: int
    key: bytes | None
    value: bytes | None


class Worker:
    """Owns the ward. All methods belong to the event loop; what is CPU-bound runs in the ward's own
    thread, one call at a time."""

    def __init__(
        self,
        make_ward: Callable[[], WardLike],
        history: History,
        event_producer: EventProducer,
        actions: Actions,
        clock: Clock,
        counters: Counters,
        stall_guard: StallGuard,
    ) -> None:
        self._stall_guard = stall_guard
        self._make_ward, self._history = make_ward, history
        self._ward = make_ward()
        self._event_producer, self._actions = event_producer, actions
        self._clock, self.counters = clock, counters
        self._quarantine = Quarantine(make_ward, clock)
        self._rebuilt_s: float | None = None  # since when nobody has been found who broke the ward
        self.pending = PendingInput()
        self.latencies = Latencies()
        self.events: list[Event] = []  # not yet handed to the sink; checkpointer.py takes them
        # by partition: patients with news since their last snapshot
        self.changed: dict[int, set[str]] = {}
        self._home: dict[str, int] = {}  # the partition a patient's chunks come from
        # by patient and partition: the first input offset that is not inside the restored state.
        # All partitions that chunks of the patient came from are named as soon as there are two.
        self._inside: dict[str, dict[int, int]] = {}
        # partitions of ecg.state with a snapshot of the patient that does not count any more
        self.outdated: dict[str, set[int]] = {}
        self.layout = Layout()  # of the input, as of the last assignment
        self._added_at: float | None = None
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
            now = self._clock.steady_s()
            if self._added_at is not None and now - self._added_at > ADDED_WAIT_S:
                self.pending.open_all()
                self._added_at = None
            batch = self.pending.take(MAX_SLICE)
            if self.held_up():
                self._clock_at = now + GRACE_S
            if self.pending.ready:  # behind: who seems silent may only be waiting
                self._clock_at = now + GRACE_S
            timers = now - self._clock_at >= CLOCK_S
            if not (batch or timers):
                return
            try:
                patients, events = await self._in_thread(lambda: self._process(batch, timers))
            except WardBrokeError as error:
                await self._rebuild(error)
                return
            self.pending.done(batch)
            self._quarantine.passed(self.pending.positions())
            self.events += events
            for patient in patients | {e.patient_id for e in events}:
                for partition in self._partitions_of(patient):
                    self.changed.setdefault(partition, set()).add(patient)

    async def snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        """State of these patients (with their partitions) now, between two slices; ENDED for those
        whose stream has ended."""
        async with self._turn:
            states = await self._in_thread(lambda: self._snapshot(patients))
            for patient, partition in patients:
                self.changed.get(partition, set()).discard(patient)
            return states

    async def restore(self, partitions: Iterable[int], restored: Restored) -> None:
        """Take over partitions with their patients' states; their messages are processed from now
        on."""
        async with self._turn:
            wanted = set(partitions)
            self.pending.open(wanted - restored.added)
            self.pending.open(wanted & restored.added, restored.before)
            self._added_at = self._clock.steady_s() if restored.before else None
            found = await self._in_thread(lambda: self._restore(restored))
            self._note(restored, found)

    async def _rebuild(self, error: WardBrokeError) -> None:
        """Build a ward from the last snapshots and the input since; raises the error if that was
        done a moment ago, and nobody was found who breaks it."""
        now, why = self._clock.steady_s(), error.__cause__
        if self._rebuilt_s is not None and now - self._rebuilt_s < REBUILT_S:
            raise error
        self._rebuilt_s = now
        log.error("the ward broke down, it is built anew", exc_info=why)
        self.counters.rebuilds += 1
        until, partitions = self.pending.taken(), self.pending.partitions
        restored = await asyncio.to_thread(self._history.read, partitions)
        again = await asyncio.to_thread(self._history.input, until)
        for partition, (start, records) in again.items():
            self.pending.rewind(partition, records, start)
        self._quarantine.suspect(until)
        self._ward = self._make_ward()
        self._home, self._inside, self._acted = {}, {}, {}
        found = await self._in_thread(lambda: self._restore(restored))
        self._note(restored, found)
        self._clock_at = self._clock.steady_s() + GRACE_S

    def _note(self, restored: Restored, found: list[Event]) -> None:
        """Patients whose snapshot must be written anew: those who ended, so that the checkpointer
        removes it in time, those who have moved, and those of whom something was told."""
        self.events += found
        again = {p for p, s in restored.states.items() if s.state == ENDED or s.partition not in s.inside}
        for patient in again | set(restored.outdated) | {e.patient_id for e in found}:
            if (home := self._home.get(patient)) is not None:
                self.changed.setdefault(home, set()).add(patient)

    async def release(self, partitions: Iterable[int]) -> None:
        """Close the patients of these partitions, and forget what is pending of them."""
        gone = set(partitions)
        async with self._turn:
            patients = [p for p, home in self._home.items() if home in gone]
            for patient in patients:
                self.outdated.pop(patient, None)
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
        decoded = (self._decode(partition, record) for partition, record in batch)
        samples = [sample for sample in decoded if sample is not None]
        placed = [a for a in self._actions.take() if a.partition in self.pending.partitions]
        events: list[Event] = []
        try:
            items: list[Item] = [*samples, *map(Order, placed)]
            if not self._quarantine.idle:
                items = self._refuse(items, events)
            chunks = [item.chunk for item in items if isinstance(item, Sample)]
            if chunks:
                events += self._ward.push(chunks)
            if self._clock.steady_s() - started > SLOW_S:  # what came meanwhile was not looked at
                timers, self._clock_at = False, started + GRACE_S
            events += self._act(placed, [i.placed for i in items if isinstance(i, Order)])
            if timers:
                self._clock_at = started
                events += self._ward.on_clock()
        except Exception as error:  # a defect: nothing that decodes may break the ward
            raise WardBrokeError(f"{type(error).__name__}: {error}") from error
        self._stall_guard.check()
        for event in events:
            self._event_producer.event(event, self._home.get(event.patient_id))
        self._event_producer.check()
        self._count(batch, chunks, events, started)
        return {s.patient_id for s in samples} | {a.action.patient_id for a in placed}, events

    def _refuse(self, items: list[Item], events: list[Event]) -> list[Item]:
        """The items without those that would break the ward; what is told of these goes to
        `events`."""
        good, refused, bad_states = self._quarantine.judge(items, self._ward)
        for patient, reason in bad_states.items():
            self._ward.close(patient)
            events += self._start_anew(patient, reason)
        for one in refused:
            self._dead_letter(one)
            at_ns = one.item.chunk.t0_ns if isinstance(one.item, Sample) else None
            events += self._ward.tell(one.item.patient_id, "input_refused", at_ns, one.reason)
        if refused or bad_states:
            self._rebuilt_s = None
        return good

    def _dead_letter(self, refused: Refused) -> None:
        item, self.counters.refused = refused.item, self.counters.refused + 1
        log.error("input of %s refused, it breaks the ward: %s", item.patient_id, refused.reason)
        if isinstance(item, Sample):
            record, partition, topic = item.record, item.partition, SAMPLES.name
        else:
            action = item.placed.action
            record = _Letter(item.placed.offset, action.patient_id.encode(), encode(action))
            partition, topic = item.placed.partition, ACKS.name
        self._event_producer.dead_letter(record, partition, refused.reason, topic)

    def _start_anew(self, patient: str, reason: str) -> list[Event]:
        log.error("state of %s cannot be used, it starts anew: %s", patient, reason)
        self.counters.states_lost += 1
        return self._ward.tell(patient, "state_lost", None, reason)

    def _act(self, placed: Sequence[Placed], good: Sequence[Placed]) -> list[Event]:
        """Do what people ordered about the patients that are ours."""
        for partition, offset, action in placed:
            self._home.setdefault(action.patient_id, partition)
            self._acted[partition] = offset + 1
        return self._ward.act(good) if good else []

    def _decode(self, partition: int, record: Record) -> Sample | None:
        """The chunk, or None if it is no chunk or is already inside a restored state."""
        try:
            chunk = decode(record.value or b"", SampleChunk)
        except BadMessageError as error:
            self._event_producer.dead_letter(record, partition, str(error))
            self.counters.dead_letters += 1
            return None
        patient = chunk.patient_id
        if record.offset < self._inside.get(patient, {}).get(partition, 0):
            self.counters.replayed += 1
            return None
        home = self._home.setdefault(patient, partition)
        if home != partition:  # the topic has more partitions now, or a sender chooses otherwise
            self._inside[patient] = {home: 0, partition: 0} | self._inside.get(patient, {})
            self.outdated.setdefault(patient, set()).add(home)
            self._home[patient] = partition
        return Sample(partition, record, chunk)

    def _partitions_of(self, patient: str) -> set[int]:
        """Those that chunks of the patient came from."""
        home = self._home.get(patient)
        return set(self._inside.get(patient, ())) | ({home} if home is not None else set())

    def _count(
        self,
        batch: list[tuple[int, Record]],
        chunks: Sequence[SampleChunk],
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
        for patient, asked in patients:
            known, home = self._inside.get(patient, {}), self._home.get(patient, asked)
            inside = {p: max(positions.get(p, 0), known.get(p, 0)) for p in {home, *known}}
            states[patient] = Snapshot(
                home, self._ward.snapshot(patient) if patient in present else ENDED, inside
            )
            if patient not in present and any(at > known.get(p, 0) for p, at in inside.items()):
                self._home.pop(patient, None)  # ended for good: keep nothing
                self._inside.pop(patient, None)
        c = self.counters
        c.snapshots += len(states)
        c.snapshot_bytes += sum(len(s.state) for s in states.values())
        c.snapshot_s += self._clock.steady_s() - started
        c.patients = len(present)
        return states

    def _restore(self, restored: Restored) -> list[Event]:
        """What is to be told of states that cannot be used."""
        found: list[Event] = []
        ends = self._actions.assign(self.pending.partitions)
        self.layout = restored.layout
        self.outdated |= {patient: set(of) for patient, of in restored.outdated.items()}
        for patient, snapshot in restored.states.items():
            self._home[patient], self._inside[patient] = snapshot.partition, dict(snapshot.inside)
            if snapshot.state == ENDED:
                continue
            try:
                self._ward.restore(patient, snapshot.state)
            except ValueError as error:
                # what comes since the last commit is all that is left of the patient
                del self._inside[patient]
                found += self._start_anew(patient, str(error))
        self._ward.expect_actions(ends)
        return found

    def _close(self, patients: list[str]) -> None:
        self._actions.assign(self.pending.partitions)
        present = set(self._ward.patients())
        for patient in patients:
            del self._home[patient]
            self._inside.pop(patient, None)
            if patient in present:
                self._ward.close(patient)
