"""The account of one worker, which the ward's side and the checkpointer share: what waits, where each
patient's input comes from, how far it is processed, inside a snapshot, and committed.

Written by one side at a time: the ward's thread writes where patients come from, the event loop what
has changed, ended and been committed. Each takes from the other only what was written before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.snapshots import ENDED, InputLayout, Restored, Snapshot, home_of


class Ledger:
    """Offsets of ecg.samples (input) and ecg.acks (actions), by partition and by patient."""

    def __init__(self) -> None:
        self.pending = PendingInput()
        self.layout = InputLayout()  # of the input, as of the last assignment
        # by partition: patients with news since their last snapshot
        self.changed: dict[int, set[str]] = {}
        # by patient: partitions of ecg.state with a snapshot that does not count any more
        self._outdated: dict[str, set[int]] = {}
        self._home: dict[str, int] = {}  # the partition a patient's chunks come from
        # by patient who has moved: the partition of its events, see Snapshot
        self._events_to: dict[str, int] = {}
        # by patient and partition: the first input offset that is not inside the restored state.
        # All partitions that chunks of the patient came from are named as soon as there are two.
        self._inside: dict[str, dict[int, int]] = {}
        self._acted: dict[int, int] = {}  # by partition: one past the last action taken
        self._committed: dict[int, int] = {}
        # by partition: patients marked as ended, removed once the offset here is committed
        self._ended: dict[int, dict[str, int]] = {}

    def home(self, patient: str) -> int | None:
        """Return the partition that the patient's chunks come from, None if none has come."""
        return self._home.get(patient)

    def events_to(self, patient: str) -> int | None:
        """Return the partition that the patient's events go to, None if none is known."""
        return self._events_to.get(patient, self._home.get(patient))

    def chunk_came(self, patient: str, partition: int) -> None:
        """Record that a chunk came from this partition. A new partition means that the topic has
        grown, or that a sender partitions differently."""
        home = self._home.setdefault(patient, partition)
        if home != partition:
            self._inside[patient] = {home: 0, partition: 0} | self._inside.get(patient, {})
            self._outdated.setdefault(patient, set()).add(home)
            self._home[patient] = partition
            self._events_to.setdefault(patient, home)

    def is_inside(self, patient: str, partition: int, offset: int) -> bool:
        """Whether this message is already inside the patient's restored state."""
        return offset < self._inside.get(patient, {}).get(partition, 0)

    def act(self, patient: str, partition: int, offset: int) -> None:
        """Record that an action was taken."""
        self._home.setdefault(patient, partition)
        self._acted[partition] = offset + 1

    def acted(self, partitions: Iterable[int]) -> dict[int, int]:
        """Return for each of these partitions the place behind the last action taken; none if
        nothing has been taken."""
        return {p: self._acted[p] for p in partitions if p in self._acted}

    def note(self, patients: Iterable[str]) -> None:
        """Mark these patients as changed: their snapshots must be written anew."""
        for patient in patients:
            home = self._home.get(patient)
            for partition in {*self._inside.get(patient, ()), *(() if home is None else (home,))}:
                self.changed.setdefault(partition, set()).add(patient)

    def restore(self, restored: Restored) -> None:
        """Take over the patients of newly assigned partitions."""
        self.layout = restored.layout
        self._outdated |= {patient: set(of) for patient, of in restored.outdated.items()}
        for patient, snapshot in restored.states.items():
            self._home[patient], self._inside[patient] = snapshot.partition, dict(snapshot.inside)
            if snapshot.events is not None:
                self._events_to[patient] = snapshot.events

    def lose_state(self, patient: str) -> None:
        """Discard a restored state that cannot be used: only the patient's input since the last
        commit is left."""
        del self._inside[patient]

    def claim(self, patient: str, partition: int) -> bool:
        """Whether this worker has the patient, of whom only orders were restored, from this
        partition. When a patient moves because partitions were added, the snapshot moves, but not
        the orders."""
        if patient not in self._home and partition != home_of(patient, self.layout.partitions or 1):
            return False
        self._home.setdefault(patient, partition)
        return True

    def reset(self) -> None:
        """Forget all patients: the ward is built anew."""
        self._home, self._events_to, self._inside, self._acted = {}, {}, {}, {}

    def snapshot(self, patient: str, asked: int, state: bytes) -> Snapshot:
        """Return the patient's state with what is inside it; `asked` is the partition if none is
        known. A patient that has ended (ENDED) since it was restored is forgotten."""
        positions = self.pending.positions()
        known, home = self._inside.get(patient, {}), self._home.get(patient, asked)
        inside = {p: max(positions.get(p, 0), known.get(p, 0)) for p in {home, *known}}
        if state == ENDED and any(at > known.get(p, 0) for p, at in inside.items()):
            self._home.pop(patient, None)
            self._inside.pop(patient, None)
            self._events_to.pop(patient, None)
        return Snapshot(home, state, inside, self._events_to.get(patient))

    def snapshotted(self, patients: Iterable[tuple[str, int]]) -> None:
        """Record that the snapshots of these patients were taken, each for its partition."""
        for patient, partition in patients:
            self.changed.get(partition, set()).discard(patient)

    def written(self, snapshots: Mapping[str, Snapshot]) -> list[tuple[int, str]]:
        """Record that these snapshots are on ecg.state. Returns (partition, patient) of older
        snapshots that may be removed, because the patient's new partition has the state."""
        return [(p, patient) for patient in snapshots for p in self._outdated.pop(patient, ())]

    def note_ended(self, snapshots: Mapping[str, Snapshot]) -> None:
        """Remember whose stream has ended, until `removable` names them."""
        for patient, snapshot in snapshots.items():
            ended = self._ended.setdefault(snapshot.partition, {})
            ended.pop(patient, None)
            if snapshot.state == ENDED:
                ended[patient] = snapshot.inside[snapshot.partition]

    def removable(self, partitions: Iterable[int] | None = None) -> list[tuple[int, str]]:
        """Return the patients whose end has been committed, of these partitions or of all: nobody
        will read their input again, so their marker may go."""
        return [
            (p, patient)
            for p in (self._ended if partitions is None else partitions)
            for patient, offset in self._ended.get(p, {}).items()
            if self._committed.get(p, -1) >= offset
        ]

    def removed(self, patients: Iterable[tuple[int, str]]) -> None:
        """Record that the ENDED markers of these patients were removed."""
        for partition, patient in patients:
            del self._ended[partition][patient]

    def uncommitted(self, offsets: Mapping[int, int]) -> dict[int, int]:
        """Return those of these offsets that differ from what is committed."""
        return {p: at for p, at in offsets.items() if self._committed.get(p) != at}

    def committed(self, offsets: Mapping[int, int]) -> None:
        """Record that these offsets are committed."""
        self._committed |= offsets

    def close(self, partitions: Iterable[int]) -> list[str]:
        """Forget the patients whose chunks and actions came from these partitions, which are no
        longer pending; return those patients."""
        gone = set(partitions)
        patients = [patient for patient, home in self._home.items() if home in gone]
        for patient in patients:
            del self._home[patient]
            self._inside.pop(patient, None)
            self._events_to.pop(patient, None)
            self._outdated.pop(patient, None)
        for partition in gone:
            self._acted.pop(partition, None)
        return patients

    def forget(self, partitions: Iterable[int]) -> None:
        """Forget partitions that belong to another worker now."""
        for partition in partitions:
            self.changed.pop(partition, None)
            self._committed.pop(partition, None)
            self._ended.pop(partition, None)
