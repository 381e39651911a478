"""Messages that were fetched and are not yet processed, and the position in each partition."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence

from stream_processor.kafka.event_producer import InputRecord

MAX_PENDING_BYTES = 64 * 1024 * 1024


class PendingInput:
    """Messages by partition. A partition's messages wait until it is open: its patients must be
    restored first."""

    def __init__(self) -> None:
        self._pending: dict[int, deque[InputRecord]] = {}
        self._open: set[int] = set()
        self._later: set[int] = set()  # open once `_first` have been processed
        self._first: dict[int, int] = {}  # by partition: processed up to this offset
        self._next: dict[int, int] = {}  # offset behind the last message processed
        self._expected: dict[int, int] = {}  # offset behind the last message kept
        self.count = 0
        self.bytes = 0

    @property
    def partitions(self) -> frozenset[int]:
        """The assigned partitions: open already, or waiting for others."""
        return frozenset(self._open | self._later)

    @property
    def full(self) -> bool:
        """True if the delivery should wait."""
        return self.bytes >= MAX_PENDING_BYTES

    @property
    def ready(self) -> bool:
        """True if `take` would return something."""
        return any(self._pending.get(p) for p in self._open)

    def add(self, partition: int, records: Sequence[InputRecord]) -> None:
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

    def take(self, limit: int) -> list[tuple[int, InputRecord]]:
        """Remove and return the next messages of the open partitions, in order within each: about
        `limit` at most, with a fair share from each."""
        waiting = [p for p in self._open if self._pending.get(p)]
        share = -(-limit // max(len(waiting), 1))
        taken: list[tuple[int, InputRecord]] = []
        for partition in waiting:
            queue = self._pending[partition]
            batch = [queue.popleft() for _ in range(min(share, len(queue)))]
            taken += [(partition, record) for record in batch]
        self.count -= len(taken)
        self.bytes -= sum(len(r.value or b"") for _, r in taken)
        return taken

    def done(self, taken: Iterable[tuple[int, InputRecord]]) -> None:
        """Record that messages returned by `take` have been processed."""
        self._next.update((partition, record.offset + 1) for partition, record in taken)
        if self._first:
            self._first = {p: at for p, at in self._first.items() if self._next.get(p, 0) < at}
        if self._later and not self._first:
            self.open_all()

    def open(self, partitions: Iterable[int], first: Mapping[int, int] | None = None) -> None:
        """Let `take` have these partitions' messages; with `first`, once those other partitions
        have been processed up to their offsets."""
        if first:
            self._later.update(partitions)
            self._first = dict(first)
        else:
            self._open.update(partitions)

    def open_all(self) -> None:
        """Open the waiting partitions now."""
        self._open |= self._later
        self._later, self._first = set(), {}

    def rewind(self, partition: int, records: Sequence[InputRecord], start: int) -> None:
        """Process these messages again, which begin at offset `start`, before what waits."""
        waiting = self._pending.setdefault(partition, deque())
        behind = waiting[0].offset if waiting else self._expected.get(partition, 0)
        again = [r for r in records if r.offset < behind]
        waiting.extendleft(reversed(again))
        self.count += len(again)
        self.bytes += sum(len(r.value or b"") for r in again)
        self._next[partition] = start

    def close(self, partitions: Iterable[int]) -> None:
        """Forget these partitions and their pending messages: their next owner reads again from the
        commit."""
        for partition in partitions:
            self._open.discard(partition)
            self._later.discard(partition)
            self._first.pop(partition, None)
            self._next.pop(partition, None)
            self._expected.pop(partition, None)
            left = self._pending.pop(partition, deque())
            self.count -= len(left)
            self.bytes -= sum(len(r.value or b"") for r in left)

    def taken(self) -> dict[int, int]:
        """Return, for each open partition, the offset after the last message that `take`
        returned."""
        return {
            p: waiting[0].offset if (waiting := self._pending.get(p)) else self._expected[p]
            for p in self._open
            if p in self._expected
        }

    def positions(self) -> dict[int, int]:
        """Return, for each partition, the offset after the last message processed; no entry if none
        has been."""
        return dict(self._next)
