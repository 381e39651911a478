"""The commit rule: input is committed only after all events that follow from it are on their
topics, and a snapshot is written only after its events are.

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
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.snapshots import Snapshot
from stream_processor.worker.stall_guard import StallGuard
from stream_processor.worker.worker import Worker

COMMIT_S = 5.0
IDLE_S = 1.0  # after this long without new input, commit all that there is
TICK_S = 0.2
RETRY_S = 1.0
ROUND_PATIENTS = 200
BLOCK_PATIENTS = 25  # snapshots between two slices
# rounds are spaced so that snapshots take at most a twentieth of the ward's thread
SNAPSHOT_SHARE = 20
T = TypeVar("T")


class Committer(Protocol):
    """The interface by which input offsets are committed."""

    async def commit(self, offsets: Mapping[int, int]) -> bool:
        """Commit, for each partition of ecg.samples, the next offset to read. False if the consumer
        group has moved on without this worker."""
        ...

    def release(self, partitions: set[int]) -> None:
        """Drop partitions that another worker has taken over."""
        ...


class Checkpointer:
    """Writes snapshots and commits offsets, one round at a time."""

    def __init__(
        self,
        worker: Worker,
        ledger: Ledger,
        event_producer: EventProducer,
        committer: Committer,
        clock: Clock,
        stall_guard: StallGuard,
    ) -> None:
        self._stall_guard = stall_guard
        self._worker, self._ledger, self._clock = worker, ledger, clock
        self._event_producer, self._committer = event_producer, committer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpointer")
        self._turn = asyncio.Lock()
        self._due_at: dict[int, float] = {}
        self._next_round_s = clock.steady_s()

    async def run(self, stop: asyncio.Event) -> None:
        """Commit when due, until asked to stop."""
        while not stop.is_set():
            await asyncio.sleep(TICK_S)
            async with self._turn:
                now = self._clock.steady_s()
                due = self._due(now) if now >= self._next_round_s else []
                if due:
                    await self._round(due)

    async def finish(self, partitions: Iterable[int]) -> None:
        """Run a last round for these partitions."""
        async with self._turn:
            await self._round(sorted(partitions))

    async def hand_over(self, partitions: set[int]) -> None:
        """Give partitions away: run a last round, close their patients, and wait until every event
        is on its topic, before the next owner begins. Raises StalledError."""
        async with self._turn:
            await self._round(sorted(partitions))
            await self._worker.release(partitions)
            # A slice may have run between the two. The next owner computes its events again, and
            # ours must not arrive after later ones.
            self._stall_guard.check()
            await self._in_thread(lambda: self._event_producer.settle(self._event_producer.mark()))
            self._ledger.forget(partitions)
            for partition in partitions:
                self._due_at.pop(partition, None)
            self._committer.release(partitions)

    def shut(self) -> None:
        """End the checkpointer's thread."""
        self._thread.shutdown()

    def _due(self, now: float) -> list[int]:
        """Partitions whose round is due, the longest waiting first, up to about ROUND_PATIENTS
        patients."""
        ledger = self._ledger
        idle = now - self._worker.last_chunk_s >= IDLE_S
        waiting = (
            {p for p, patients in ledger.changed.items() if patients}
            | ledger.uncommitted(ledger.pending.positions()).keys()
            | {p for p, _ in ledger.removable()}
        )
        for partition in waiting:
            self._due_at.setdefault(partition, now + COMMIT_S)
        chosen: list[int] = []
        count = 0
        for partition in sorted(waiting, key=lambda p: self._due_at[p]):
            if count >= ROUND_PATIENTS or (now < self._due_at[partition] and not idle):
                break
            chosen.append(partition)
            count += len(ledger.changed.get(partition, ()))
        return chosen

    async def _round(self, partitions: list[int]) -> None:
        """Steps 1 to 4 of this module's docstring. Raises StalledError."""
        worker, ledger, positions = self._worker, self._ledger, self._ledger.pending.positions()
        acted = ledger.acted(partitions)
        patients = [(patient, p) for p in partitions for patient in ledger.changed.get(p, ())]
        total = max(sum(len(changed) for changed in ledger.changed.values()), 1)
        spent = worker.counters.snapshot_s
        states: dict[str, Snapshot] = {}
        for i in range(0, len(patients), BLOCK_PATIENTS):
            states |= await worker.snapshot(patients[i : i + BLOCK_PATIENTS])
        self._stall_guard.check()
        ledger.note_ended(states)
        removable = ledger.removable(partitions)
        await self._in_thread(lambda: self._write(states, removable))
        ledger.removed(removable)
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

    async def _commit(self, offsets: dict[int, int]) -> bool:
        news = self._ledger.uncommitted(offsets)
        if not news:
            return True
        if not await self._committer.commit(news):
            return False
        self._ledger.committed(news)
        self._worker.counters.commits += 1
        return True

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Everything below runs in the checkpointer's thread.

    def _write(self, states: dict[str, Snapshot], removable: list[tuple[int, str]]) -> None:
        producer, layout = self._event_producer, self._ledger.layout
        producer.settle(producer.mark())
        for patient, snapshot in states.items():
            producer.state(patient, snapshot.state, snapshot.partition, snapshot.headers(layout))
        for partition, patient in removable:
            producer.state(patient, None, partition)
        producer.settle(producer.mark())
        moved = self._ledger.written(states)
        for partition, patient in moved:
            producer.state(patient, None, partition)
        if moved:
            producer.settle(producer.mark())
