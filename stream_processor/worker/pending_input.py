"""What has been fetched and is not yet processed, and how far each partition has come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence

from stream_processor.kafka.event_producer import Record

MAX_PENDING_BYTES = 64 * 1024 * 1024


class PendingInput:
    """Messages by partition. A partition's messages wait until it is open: its patients must be
    restored first."""

    def __init__(self) -> None:
        self._pending: dict[int, deque[Record]] = {}
        self._open: set[int] = set()
        self._next: dict[int, int] = {}  # offset behind the last message processed
        self._expected: dict[int, int] = {}  # offset behind the last message kept
        self.count = 0
        self.bytes = 0

    @property
    def partitions(self) -> frozenset[int]:
        """Those that are open."""
        return frozenset(self._open)

    @property
    def full(self) -> bool:
        """True where the delivery should wait."""
        return self.bytes >= MAX_PENDING_BYTES

    @property
    def ready(self) -> bool:
        """True where `take` would return something."""
        return any(self._pending.get(p) for p in self._open)

    def add(self, partition: int, records: Sequence[Record]) -> None:
        """Keep fetched messages, in order; those that came before are dropped (the consumer steps
        back to its commit now and then)."""
        expected = self._expected.get(partition, 0)
        fresh = [r for r in records if r.offset >= expected]
        if not fresh:
            return
        self._expected[partition] = fresh[-1].offset + 1
        self._pending.setdefault(partition, deque()).extend(fresh)
        self.count += len(fresh)
        self.bytes += sum(len(r.value or b"") for r in fresh)

    def take(self, limit: int) -> list[tuple[int, Record]]:
        """The next messages of the open partitions, in order within each, at most about `limit`, a
        fair share from each."""
        waiting = [p for p in self._open if self._pending.get(p)]
        share = -(-limit // max(len(waiting), 1))
        taken: list[tuple[int, Record]] = []
        for partition in waiting:
            queue = self._pending[partition]
            batch = [queue.popleft() for _ in range(min(share, len(queue)))]
            taken += [(partition, record) for record in batch]
        self.count -= len(taken)
        self.bytes -= sum(len(r.value or b"") for _, r in taken)
        return taken

    def done(self, taken: Iterable[tuple[int, Record]]) -> None:
        """What `take` gave has been processed."""
        self._next.update((partition, record.offset + 1) for partition, record in taken)

    def open(self, partitions: Iterable[int]) -> None:
        """Let `take` have these partitions' messages."""
        self._open.update(partitions)

    def close(self, partitions: Iterable[int]) -> None:
        """Forget these partitions and what waits of them: whoever gets them reads again from the
        commit."""
        for partition in partitions:
            self._open.discard(partition)
            self._next.pop(partition, None)
            self._expected.pop(partition, None)
            left = self._pending.pop(partition, deque())
            self.count -= len(left)
            self.bytes -= sum(len(r.value or b"") for r in left)

    def positions(self) -> dict[int, int]:
        """For each partition the offset behind the last message processed; none where nothing has
        been processed yet."""
        return dict(self._next)
