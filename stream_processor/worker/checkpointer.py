"""The commit rule: nothing is committed before all that follows from it is on its topics, and no
snapshot is written before its events are.

A round takes a few partitions, and in this order
  1. notes how far they are processed, and snapshots their changed patients between slices (a
     snapshot may be newer than the noted place:
     its offset header says what is inside);
  2. settles the producer: every event up to then is on its topic;
  3. writes the snapshots and settles them: were they written before the events, a crash in between
     would lose events for good;
  4. commits the noted offsets.
A crash anywhere repeats input from the last commit, and idempotent events make the repetition
invisible. The store is no part of this: archive.py fills it from the topics (decision 7), so that
alarms never wait for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from ingest.clock import Clock
from stream_processor.kafka.event_producer import EventProducer
from stream_processor.worker.snapshots import ENDED, Snapshot
from stream_processor.worker.stall_guard import StallGuard
from stream_processor.worker.worker import Worker

COMMIT_S = 5.0
IDLE_S = 1.0  # with nothing new for so long, commit what there is
TICK_S = 0.2
RETRY_S = 1.0
ROUND_PATIENTS = 200
BLOCK_PATIENTS = 25  # snapshots between two slices
# rounds are spaced so that snapshots take at most a twentieth of the ward's thread
SNAPSHOT_SHARE = 20
T = TypeVar("T")


class Committer(Protocol):
    """How input offsets are committed."""

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit, for each partition of ecg.samples, the next offset to read. False where the group
        has moved on without us."""
        ...


class Checkpointer:
    """Keeps snapshots and commits. One round at a time."""

    def __init__(
        self,
        worker: Worker,
        event_producer: EventProducer,
        committer: Committer,
        clock: Clock,
        stall_guard: StallGuard,
    ) -> None:
        self._stall_guard = stall_guard
        self._worker, self._event_producer, self._committer, self._clock = (
            worker,
            event_producer,
            committer,
            clock,
        )
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpointer")
        self._turn = asyncio.Lock()
        self._committed: dict[int, int] = {}
        self._due_at: dict[int, float] = {}
        # by partition: patients marked as ended, removed once the offset here is committed
        self._ended: dict[int, dict[str, int]] = {}
        self._next_round_s = clock.steady_s()

    async def run(self, stop: asyncio.Event) -> None:
        """Commit when due, until told to stop."""
        while not stop.is_set():
            await asyncio.sleep(TICK_S)
            async with self._turn:
                now = self._clock.steady_s()
                due = self._due(now) if now >= self._next_round_s else []
                if due:
                    await self._round(due)

    async def finish(self, partitions: Iterable[int]) -> None:
        """A last round for partitions that go away."""
        async with self._turn:
            await self._round(sorted(partitions))

    async def settle(self) -> None:
        """Every event so far is on its topic when this returns. Raises StalledError."""
        async with self._turn:
            self._stall_guard.check()
            await self._in_thread(lambda: self._event_producer.settle(self._event_producer.mark()))

    def forget(self, partitions: Iterable[int]) -> None:
        """The partitions belong to somebody else now."""
        for partition in partitions:
            for known in (self._committed, self._due_at, self._ended):
                known.pop(partition, None)

    def shut(self) -> None:
        """End the checkpointer's thread."""
        self._thread.shutdown()

    def _due(self, now: float) -> list[int]:
        """Partitions whose round is due, the longest waiting first, up to about ROUND_PATIENTS
        patients."""
        worker = self._worker
        idle = now - worker.last_chunk_s >= IDLE_S
        news = [p for p, at in worker.pending.positions().items() if at != self._committed.get(p)]
        waiting = (
            {p for p in worker.changed if worker.changed[p]}
            | set(news)
            | {p for p in self._ended if self._removable([p])}
        )
        for partition in waiting:
            self._due_at.setdefault(partition, now + COMMIT_S)
        chosen: list[int] = []
        patients = 0
        for partition in sorted(waiting, key=lambda p: self._due_at[p]):
            if patients >= ROUND_PATIENTS or (now < self._due_at[partition] and not idle):
                break
            chosen.append(partition)
            patients += len(worker.changed.get(partition, ()))
        return chosen

    async def _round(self, partitions: list[int]) -> None:
        """Steps 1 to 4 of this module's docstring. Raises StalledError."""
        worker, positions = self._worker, self._worker.pending.positions()
        acted = worker.acted(partitions)
        patients = [(patient, p) for p in partitions for patient in worker.changed.get(p, ())]
        total = max(sum(len(changed) for changed in worker.changed.values()), 1)
        spent = worker.counters.snapshot_s
        states: dict[str, Snapshot] = {}
        for i in range(0, len(patients), BLOCK_PATIENTS):
            states |= await worker.snapshot(patients[i : i + BLOCK_PATIENTS])
        self._stall_guard.check()
        self._remember(states)
        removable = self._removable(partitions)
        await self._in_thread(lambda: self._write(states, removable))
        for partition, patient in removable:
            del self._ended[partition][patient]
        done = await self._commit({p: positions[p] for p in partitions if p in positions})
        await worker.commit_actions(acted)
        now = self._clock.steady_s()
        self._due_at |= dict.fromkeys(partitions, now + COMMIT_S)
        spread = (
            COMMIT_S * len(states) / total if len(states) < total and done else RETRY_S * (not done)
        )
        self._next_round_s = now + max(
            spread, SNAPSHOT_SHARE * (worker.counters.snapshot_s - spent)
        )

    def _remember(self, states: dict[str, Snapshot]) -> None:
        for patient, snapshot in states.items():
            ended = self._ended.setdefault(snapshot.partition, {})
            ended.pop(patient, None)
            if snapshot.state == ENDED:
                ended[patient] = snapshot.inside[snapshot.partition]

    def _removable(self, partitions: Iterable[int]) -> list[tuple[int, str]]:
        """Patients whose end has been committed: nobody will read their input again, so their
        marker may go."""
        ended = [
            (p, patient, offset)
            for p in partitions
            for patient, offset in self._ended.get(p, {}).items()
        ]
        return [
            (p, patient) for p, patient, offset in ended if self._committed.get(p, -1) >= offset
        ]

    async def _commit(self, offsets: dict[int, int]) -> bool:
        news = {p: at for p, at in offsets.items() if self._committed.get(p) != at}
        if not news:
            return True
        if not await self._committer.commit(news):
            return False
        self._committed |= news
        self._worker.counters.commits += 1
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Everything below runs in the checkpointer's thread.

    def _write(self, states: dict[str, Snapshot], removable: list[tuple[int, str]]) -> None:
        producer, worker = self._event_producer, self._worker
        producer.settle(producer.mark())
        for patient, snapshot in states.items():
            producer.state(
                patient, snapshot.state, snapshot.partition, snapshot.headers(worker.ward.layout)
            )
        for partition, patient in removable:
            producer.state(patient, None, partition)
        producer.settle(producer.mark())
        # only now that the patient's new partition has its state
        moved = [(p, patient) for patient in states for p in worker.ward.outdated.pop(patient, ())]
        for partition, patient in moved:
            producer.state(patient, None, partition)
        if moved:
            producer.settle(producer.mark())
