"""The ward with all that must be known to feed it: whose chunks come from where, what is already
inside, what breaks it. Used in the ward's thread only, but for what the worker reads between two
calls."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest.clock import Clock
from ingest.messages import (
    Alarm,
    AlarmKind,
    BadMessageError,
    Beat,
    Event,
    Orders,
    SampleChunk,
    decode,
    encode,
)
from ingest.topics import ACKS, SAMPLES
from models.serving.runtime import Model
from stream_processor.kafka.event_producer import EventProducer, Letter, Record
from stream_processor.worker.counters import Counters
from stream_processor.worker.latency import Latencies
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.quarantine import Item, Order, Quarantine, Refused, Sample
from stream_processor.worker.snapshots import ENDED, Layout, Restored, Snapshot, home_of
from stream_processor.worker.stall_guard import StallGuard

log = logging.getLogger(__name__)
SLOW_S = 2.0  # a slice that took so long


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
    def orders(self) -> Mapping[str, Orders | None]: ...
    def resume(self, orders: Orders) -> list[Event]: ...
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


class WardBrokeError(Exception):
    """The ward raised what it never should; its cause says what."""


class Sliced(NamedTuple):
    """What came of a slice."""

    patients: set[str]  # of whom something came
    events: list[Event]
    behind: bool  # it took so long that what came meanwhile has not been looked at


class GuardedWard:
    """Decodes, tries what is suspect, and keeps the account of what is inside whose state."""

    def __init__(
        self,
        make_ward: Callable[[], WardLike],
        event_producer: EventProducer,
        actions: Actions,
        clock: Clock,
        counters: Counters,
        stall_guard: StallGuard,
    ) -> None:
        self._make_ward, self._ward = make_ward, make_ward()
        self._event_producer, self._actions = event_producer, actions
        self._clock, self._counters, self._stall_guard = clock, counters, stall_guard
        self._quarantine = Quarantine(make_ward, clock)
        self.pending, self.latencies = PendingInput(), Latencies()
        # a model that extends the one in use, once (model_watch.py)
        self.next_model: Callable[[], Model | None] = lambda: None
        self.found = False  # since the ward was built, somebody who breaks it
        self._home: dict[str, int] = {}  # the partition a patient's chunks come from
        # by patient and partition: the first input offset that is not inside the restored state.
        # All partitions that chunks of the patient came from are named as soon as there are two.
        self._inside: dict[str, dict[int, int]] = {}
        # partitions of ecg.state with a snapshot of the patient that does not count any more
        self.outdated: dict[str, set[int]] = {}
        self.layout = Layout()  # of the input, as of the last assignment
        self.acted: dict[int, int] = {}  # by partition: one past the last action taken

    def partitions_of(self, patient: str) -> set[int]:
        """Those that chunks of the patient came from."""
        home = self._home.get(patient)
        return set(self._inside.get(patient, ())) | ({home} if home is not None else set())

    def patients_of(self, partitions: Iterable[int]) -> list[str]:
        """Those whose chunks come from these partitions."""
        wanted = set(partitions)
        return [patient for patient, home in self._home.items() if home in wanted]

    def slice(self, batch: list[tuple[int, Record]], timers: bool) -> Sliced:
        """Messages and actions through the ward, and the timers if they are due. Raises
        WardBrokeError, StalledError."""
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
            behind = self._clock.steady_s() - started > SLOW_S
            events += self._act(placed, [i.placed for i in items if isinstance(i, Order)])
            if timers and not behind:
                events += self._ward.on_clock()
        except Exception as error:  # a defect: nothing that decodes may break the ward
            raise WardBrokeError(f"{type(error).__name__}: {error}") from error
        self._stall_guard.check()
        for event in events:
            self._event_producer.event(event, self._home.get(event.patient_id))
        self._tell_orders()
        self._event_producer.check()
        self._count(batch, chunks, events, started)
        self.pending.done(batch)
        self._quarantine.passed(self.pending.positions())
        patients = {s.patient_id for s in samples} | {a.action.patient_id for a in placed}
        return Sliced(patients, events, behind)

    def rebuild(self, restored: Restored, until: Mapping[int, int]) -> list[Event]:
        """Begin anew with a fresh ward and what was restored; what lies before these offsets is
        suspect."""
        self._counters.rebuilds += 1
        self.found = False
        self._quarantine.suspect(until)
        self._ward = self._make_ward()
        self._home, self._inside, self.acted = {}, {}, {}
        return self.restore(restored)

    def snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        """State of these patients (with the partitions that ask) now; ENDED for those whose stream
        has ended."""
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
        c = self._counters
        c.snapshots += len(states)
        c.snapshot_bytes += sum(len(s.state) for s in states.values())
        c.snapshot_s += self._clock.steady_s() - started
        c.patients = len(present)
        return states

    def restore(self, restored: Restored) -> list[Event]:
        """Take over patients. Tells of states that cannot be used, and returns what it told."""
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
        for patient, (partition, orders) in restored.orders.items():
            # of a patient who has moved, as partitions were added, only the snapshot has moved along
            if patient in self._home or partition == home_of(patient, self.layout.partitions or 1):
                self._home.setdefault(patient, partition)
                found += self._ward.resume(orders)
        self._ward.expect_actions(ends)
        for event in found:
            self._event_producer.event(event, self._home.get(event.patient_id))
        self._tell_orders()
        return found

    def close(self, partitions: Iterable[int]) -> None:
        """Forget the patients of these partitions, which are pending no more."""
        gone = set(partitions)
        self._actions.assign(self.pending.partitions)
        present = set(self._ward.patients())
        for patient in self.patients_of(gone):
            del self._home[patient]
            self._inside.pop(patient, None)
            self.outdated.pop(patient, None)
            if patient in present:
                self._ward.close(patient)
        for partition in gone:
            self.acted.pop(partition, None)

    def commit_actions(self, places: Mapping[int, int]) -> None:
        """The effect of all actions before these places is safe."""
        self._actions.commit(places)

    def _tell_orders(self) -> None:
        """What holds of people's orders, for the ward and for a successor."""
        for patient, orders in self._ward.orders().items():
            self._event_producer.orders(patient, orders, self._home.get(patient))

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
        self.found = self.found or bool(refused or bad_states)
        return good

    def _dead_letter(self, refused: Refused) -> None:
        item, self._counters.refused = refused.item, self._counters.refused + 1
        log.error("input of %s refused, it breaks the ward: %s", item.patient_id, refused.reason)
        if isinstance(item, Sample):
            record, partition, topic = item.record, item.partition, SAMPLES.name
        else:
            action = item.placed.action
            record = Letter(item.placed.offset, action.patient_id.encode(), encode(action))
            partition, topic = item.placed.partition, ACKS.name
        self._event_producer.dead_letter(record, partition, refused.reason, topic)

    def _start_anew(self, patient: str, reason: str) -> list[Event]:
        log.error("state of %s cannot be used, it starts anew: %s", patient, reason)
        self._counters.states_lost += 1
        return self._ward.tell(patient, "state_lost", None, reason)

    def _act(self, placed: Sequence[Placed], good: Sequence[Placed]) -> list[Event]:
        """Do what people ordered about the patients that are ours."""
        for partition, offset, action in placed:
            self._home.setdefault(action.patient_id, partition)
            self.acted[partition] = offset + 1
        return self._ward.act(good) if good else []

    def _decode(self, partition: int, record: Record) -> Sample | None:
        """The chunk, or None if it is no chunk or is already inside a restored state."""
        try:
            chunk = decode(record.value or b"", SampleChunk)
        except BadMessageError as error:
            self._event_producer.dead_letter(record, partition, str(error))
            self._counters.dead_letters += 1
            return None
        patient = chunk.patient_id
        if record.offset < self._inside.get(patient, {}).get(partition, 0):
            self._counters.replayed += 1
            return None
        home = self._home.setdefault(patient, partition)
        if home != partition:  # the topic has more partitions now, or a sender chooses otherwise
            self._inside[patient] = {home: 0, partition: 0} | self._inside.get(patient, {})
            self.outdated.setdefault(patient, set()).add(home)
            self._home[patient] = partition
        return Sample(partition, record, chunk)

    def _count(
        self,
        batch: list[tuple[int, Record]],
        chunks: Sequence[SampleChunk],
        events: list[Event],
        started: float,
    ) -> None:
        now = self._clock.steady_s()
        c = self._counters
        c.messages += len(batch)
        c.chunks += len(chunks)
        c.events += len(events)
        c.beats += sum(isinstance(e, Beat) for e in events)
        c.alarms += sum(isinstance(e, Alarm) and e.step == "onset" for e in events)
        self.latencies.add(events, self._clock.now_ns())
        c.slices += 1
        c.slice_s += now - started
        c.slowest_slice_s = max(c.slowest_slice_s, now - started)
