"""Finds input that breaks the ward: tries chunks and actions in a scratch ward, and halves them
until the one at fault is found.

A scratch ward takes over what the ward remembers of the patients concerned, so that it does exactly
what the ward would. Patients do not depend on their company (the laws of tests/contract), so that
any half of them behaves as in the whole.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ingest.clock import Clock
from ingest.messages import Event, SampleChunk, encode
from stream_processor.kafka.event_producer import InputRecord
from stream_processor.worker.operator_actions import Placed

log = logging.getLogger(__name__)
# how long a patient whose input broke the ward is tried apart, so that it causes one rebuild at
# most
PROBATION_S = 600.0
REASON = 300  # characters
MOST = 20  # refused of one patient at a time; then the rest of it is refused unseen


class TrialWard(Protocol):
    """The interface of a ward that a trial needs."""

    def push(self, chunks: Sequence[SampleChunk]) -> list[Event]: ...
    def act(self, actions: Sequence[Placed]) -> list[Event]: ...
    def patients(self) -> list[str]: ...
    def snapshot(self, patient_id: str) -> bytes: ...
    def restore(self, patient_id: str, state: bytes) -> None: ...


class Sample(NamedTuple):
    """A chunk and its message."""

    partition: int
    record: InputRecord
    chunk: SampleChunk

    @property
    def patient_id(self) -> str:
        return self.chunk.patient_id


class Order(NamedTuple):
    """An action and its place."""

    placed: Placed

    @property
    def patient_id(self) -> str:
        return self.placed.action.patient_id


Item = Sample | Order


class Refused(NamedTuple):
    """An item that broke the ward, and the reason."""

    item: Item
    reason: str


class Verdict(NamedTuple):
    """The items that may go into the ward, in order; those that may not; and the patients whose
    remembered state broke it, instead of their input."""

    good: list[Item]
    refused: list[Refused]
    bad_states: dict[str, str]


class Quarantine:
    """Knows which input is suspect: all of it up to the offsets at which the ward broke, and for
    some minutes that of the patients who caused it."""

    def __init__(self, make_ward: Callable[[], TrialWard], clock: Clock) -> None:
        self._make_ward, self._clock = make_ward, clock
        self._until: dict[int, int] = {}  # by partition: everything before this offset is tried
        self._guilty: dict[str, float] = {}  # by patient: until when it is on probation

    @property
    def idle(self) -> bool:
        """Whether nobody is suspect."""
        return not (self._until or self._guilty)

    def suspect(self, until: Mapping[int, int]) -> None:
        """Record that the ward broke on input before these offsets."""
        self._until = {p: max(at, self._until.get(p, 0)) for p, at in until.items()}

    def passed(self, positions: Mapping[int, int]) -> None:
        """Record the offsets up to which the input has been processed."""
        self._until = {p: at for p, at in self._until.items() if positions.get(p, 0) < at}
        now = self._clock.steady_s()
        self._guilty = {id_: until for id_, until in self._guilty.items() if until > now}

    def is_suspect(self, item: Item) -> bool:
        """Whether an item must be tried before the ward gets it."""
        if item.patient_id in self._guilty:
            return True
        if isinstance(item, Sample):
            return item.record.offset < self._until.get(item.partition, 0)
        return bool(self._until)

    def judge(self, items: Sequence[Item], ward: TrialWard) -> Verdict:
        """Try the suspects among these, each with what the ward remembers of its patient."""
        suspects = [item for item in items if self.is_suspect(item)]
        present = set(ward.patients())
        states = {
            id_: ward.snapshot(id_) for id_ in {i.patient_id for i in suspects} if id_ in present
        }
        refused, bad = list[Refused](), dict[str, str]()
        self._halve(suspects, states, refused, bad)
        until = self._clock.steady_s() + PROBATION_S
        self._guilty |= dict.fromkeys([r.item.patient_id for r in refused], until)
        out = {id(r.item) for r in refused}
        return Verdict([item for item in items if id(item) not in out], refused, bad)

    def _halve(
        self,
        items: Sequence[Item],
        states: Mapping[str, bytes],
        refused: list[Refused],
        bad: dict[str, str],
    ) -> None:
        if not items or self._try(items, states) is None:
            return
        patients = sorted({item.patient_id for item in items})
        if len(patients) == 1:
            self._single_out(items, states, refused, bad)
            return
        for half in (set(patients[: len(patients) // 2]), set(patients[len(patients) // 2 :])):
            self._halve([i for i in items if i.patient_id in half], states, refused, bad)

    def _single_out(
        self,
        items: Sequence[Item],
        states: Mapping[str, bytes],
        refused: list[Refused],
        bad: dict[str, str],
    ) -> None:
        """Try one patient's items singly, each after the good ones before it."""
        patient = items[0].patient_id
        if patient in states and self._try(items, {}) is None:
            bad[patient] = self._try(items, states) or ""
            return
        left, found = list(items), 0
        while (error := self._try(left, states)) is not None and found < MOST:
            low, high = 0, len(left)  # what breaks it is within these
            while high - low > 1:
                middle = (low + high) // 2
                if (why := self._try(left[:middle], states)) is None:
                    low = middle
                else:
                    high, error = middle, why
            refused.append(Refused(left.pop(low), error))
            found += 1
        if error is not None:
            refused += [Refused(item, f"after {MOST} others of its patient") for item in left]

    def _try(self, items: Iterable[Item], states: Mapping[str, bytes]) -> str | None:
        """Return None if a scratch ward processes these items, else the error that they cause."""
        ward, items = self._make_ward(), list(items)
        try:
            for id_ in {item.patient_id for item in items} & states.keys():
                ward.restore(id_, states[id_])
            chunks = [item.chunk for item in items if isinstance(item, Sample)]
            orders = [item.placed for item in items if isinstance(item, Order)]
            for event in (
                *(ward.push(chunks) if chunks else ()),
                *(ward.act(orders) if orders else ()),
            ):
                encode(event)
            for id_ in ward.patients():
                ward.snapshot(id_)
        except Exception as error:  # whatever it is: that is what is asked
            return f"{type(error).__name__}: {error}"[:REASON]
        return None
