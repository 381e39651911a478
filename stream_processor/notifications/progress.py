"""How far ecg.alarms may be committed: up to the first message with a job that has no Delivery on
the broker yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Progress:
    """Messages in the order they were taken, by partition, each with the keys of its jobs that are
    not safe yet."""

    def __init__(self) -> None:
        self._taken: dict[int, deque[tuple[int, set[str]]]] = {}
        self._unsafe: dict[str, set[str]] = {}  # by key: the set of its message

    def begin(self, partition: int, offset: int, keys: Iterable[str]) -> None:
        """A message was taken, and these jobs were made of it."""
        waiting = set(keys)
        self._taken.setdefault(partition, deque()).append((offset, waiting))
        self._unsafe |= dict.fromkeys(waiting, waiting)

    def safe(self, key: str) -> None:
        """A Delivery of this job is on the broker."""
        if (waiting := self._unsafe.pop(key, None)) is not None:
            waiting.discard(key)

    def commits(self) -> dict[int, int]:
        """Since the last call, for each partition that got on: the next offset to read after a
        restart."""
        found: dict[int, int] = {}
        for partition, taken in self._taken.items():
            while taken and not taken[0][1]:
                found[partition] = taken.popleft()[0] + 1
        return found

    def forget(self, partitions: Iterable[int]) -> None:
        """The partitions belong to another process now."""
        for partition in partitions:
            for _, waiting in self._taken.pop(partition, ()):
                for key in waiting:
                    self._unsafe.pop(key, None)
