"""Runs the ward on decoded messages and people's actions, after a trial of input that may break it.
Used in the ward's thread only."""

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
from stream_processor.kafka.event_producer import EventProducer, InputRecord, Letter
from stream_processor.worker.counters import Counters
from stream_processor.worker.latency import Latencies
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.quarantine import Item, Order, Quarantine, Refused, Sample
from stream_processor.worker.snapshots import ENDED, Restored, Snapshot
from stream_processor.worker.stall_guard import StallGuard

log = logging.getLogger(__name__)
SLOW_S = 2.0  # a slice that took this long


class WardLike(Protocol):
    """The interface of stream_processor/pipeline/ward.py that the worker needs."""

    def use(self, model: Model) -> None: ...
    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]: ...
    def act(self, actions: Sequence[Placed]) -> list[Event]: ...
    def expect_actions(self, ends: Mapping[int, int]) -> None: ...
    def raise_technical(
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
    """The interface of stream_processor/worker/operator_actions.py that the worker needs; used in
    the ward's thread only."""

    def assign(self, partitions: Iterable[int]) -> Mapping[int, int]: ...
    def take(self) -> list[Placed]: ...
    def commit(self, offsets: Mapping[int, int]) -> None: ...


class WardBrokeError(Exception):
    """The ward raised an unexpected error, which is this error's cause."""


class SliceResult(NamedTuple):
    """The result of a slice."""

    patients: set[str]  # of whom something came
    events: list[Event]
    behind: bool  # it took so long that what came meanwhile has not been looked at


class GuardedWard:
    """Decodes input, tries suspect input first, and enters in the ledger what went into the
    ward."""

    def __init__(
        self,
        make_ward: Callable[[], WardLike],
        ledger: Ledger,
        event_producer: EventProducer,
        actions: Actions,
        clock: Clock,
        counters: Counters,
        stall_guard: StallGuard,
        next_model: Callable[[], Model | None] = lambda: None,
    ) -> None:
        """`next_model` returns a model that extends the one in use, once (model_watch.py)."""
        self._make_ward, self._ward = make_ward, make_ward()
        self._ledger, self._pending = ledger, ledger.pending
        self._event_producer, self._actions, self._next_model = event_producer, actions, next_model
        self._clock, self._counters, self._stall_guard = clock, counters, stall_guard
        self._quarantine = Quarantine(make_ward, clock)
        self.latencies = Latencies()
        self.found = False  # True once input that breaks the present ward was found

    def slice(self, batch: list[tuple[int, InputRecord]], timers: bool) -> SliceResult:
        """Pass messages and actions through the ward, and run its timers if they are due. Raises
        WardBrokeError, StalledError."""
        started = self._clock.steady_s()
        if (model := self._next_model()) is not None:
            self._ward.use(model)
        decoded = (self._decode(partition, record) for partition, record in batch)
        samples = [sample for sample in decoded if sample is not None]
        placed = [a for a in self._actions.take() if a.partition in self._pending.partitions]
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
            self._event_producer.event(event, self._ledger.events_to(event.patient_id))
        self._publish_orders()
        self._event_producer.check()
        self._count(batch, chunks, events, started)
        self._pending.done(batch)
        self._quarantine.passed(self._pending.positions())
        patients = {s.patient_id for s in samples} | {a.action.patient_id for a in placed}
        return SliceResult(patients, events, behind)

    def rebuild(self, restored: Restored, until: Mapping[int, int]) -> list[Event]:
        """Begin again with a fresh ward and restored states; input before these offsets is
        suspect."""
        self._counters.rebuilds += 1
        self.found = False
        self._quarantine.suspect(until)
        self._ward = self._make_ward()
        self._ledger.reset()
        return self.restore(restored)

    def snapshot(self, patients: Sequence[tuple[str, int]]) -> dict[str, Snapshot]:
        """Return the present state of these patients (with the partitions that ask); ENDED if the
        stream has ended."""
        started = self._clock.steady_s()
        present = set(self._ward.patients())
        states: dict[str, Snapshot] = {}
        for patient, asked in patients:
            state = self._ward.snapshot(patient) if patient in present else ENDED
            states[patient] = self._ledger.snapshot(patient, asked, state)
        c = self._counters
        c.snapshots += len(states)
        c.snapshot_bytes += sum(len(s.state) for s in states.values())
        c.snapshot_s += self._clock.steady_s() - started
        c.patients = len(present)
        return states

    def restore(self, restored: Restored) -> list[Event]:
        """Take over patients. Returns the alarms, already sent, about states that cannot be
        used."""
        found: list[Event] = []
        ends = self._actions.assign(self._pending.partitions)
        self._ledger.restore(restored)
        for patient, snapshot in restored.states.items():
            if snapshot.state == ENDED:
                continue
            try:
                self._ward.restore(patient, snapshot.state)
            except ValueError as error:
                self._ledger.lose_state(patient)
                found += self._reset_patient(patient, str(error))
        for patient, (partition, orders) in restored.orders.items():
            if self._ledger.claim(patient, partition):
                found += self._ward.resume(orders)
        self._ward.expect_actions(ends)
        for event in found:
            self._event_producer.event(event, self._ledger.events_to(event.patient_id))
        self._publish_orders()
        return found

    def close(self, partitions: Iterable[int]) -> None:
        """Forget the patients of these partitions, which are no longer pending."""
        self._actions.assign(self._pending.partitions)
        present = set(self._ward.patients())
        for patient in self._ledger.close(partitions):
            if patient in present:
                self._ward.close(patient)

    def commit_actions(self, places: Mapping[int, int]) -> None:
        """Commit the actions before these offsets, whose effect is safe."""
        self._actions.commit(places)

    def _publish_orders(self) -> None:
        """Publish the orders in force, for the page and for the next owner of the patient."""
        for patient, orders in self._ward.orders().items():
            self._event_producer.orders(patient, orders, self._ledger.home(patient))

    def _refuse(self, items: list[Item], events: list[Event]) -> list[Item]:
        """Return the items without those that would break the ward; alarms about these are added to
        `events`."""
        good, refused, bad_states = self._quarantine.judge(items, self._ward)
        for patient, reason in bad_states.items():
            self._ward.close(patient)
            events += self._reset_patient(patient, reason)
        for one in refused:
            self._dead_letter(one)
            at_ns = one.item.chunk.t0_ns if isinstance(one.item, Sample) else None
            events += self._ward.raise_technical(
                one.item.patient_id, "input_refused", at_ns, one.reason
            )
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

    def _reset_patient(self, patient: str, reason: str) -> list[Event]:
        log.error("state of %s cannot be used, it starts anew: %s", patient, reason)
        self._counters.states_lost += 1
        return self._ward.raise_technical(patient, "state_lost", None, reason)

    def _act(self, placed: Sequence[Placed], good: Sequence[Placed]) -> list[Event]:
        """Apply people's actions on the patients of this worker."""
        for partition, offset, action in placed:
            self._ledger.act(action.patient_id, partition, offset)
        return self._ward.act(good) if good else []

    def _decode(self, partition: int, record: InputRecord) -> Sample | None:
        """Return the chunk; None if it cannot be decoded or is already inside a restored state."""
        try:
            chunk = decode(record.value or b"", SampleChunk)
        except BadMessageError as error:
            self._event_producer.dead_letter(record, partition, str(error))
            self._counters.dead_letters += 1
            return None
        if self._ledger.is_inside(chunk.patient_id, partition, record.offset):
            self._counters.replayed += 1
            return None
        self._ledger.chunk_came(chunk.patient_id, partition)
        return Sample(partition, record, chunk)

    def _count(
        self,
        batch: list[tuple[int, InputRecord]],
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
