"""Offsets up to which ecg.alarms may be committed: the first message with a job that has no
Delivery on the broker yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class Progress:
    """Tracks messages in the order they were taken, by partition, each with the keys of its jobs
    that have no Delivery on the broker yet."""

    def __init__(self) -> None:
        self._taken: dict[int, deque[tuple[int, set[str]]]] = {}
        self._unsafe: dict[str, set[str]] = {}  # by key of a job: the set of its message

    def begin(self, partition: int, offset: int, keys: Iterable[str]) -> None:
        """Record that a message was taken, and the keys of the jobs made of it."""
        waiting = set(keys)
        self._taken.setdefault(partition, deque()).append((offset, waiting))
        self._unsafe |= dict.fromkeys(waiting, waiting)

    def safe(self, key: str) -> None:
        """Record that a Delivery of a job is on the broker."""
        if (waiting := self._unsafe.pop(key, None)) is not None:
            waiting.discard(key)

    def commits(self) -> dict[int, int]:
        """Return, for each partition that has advanced since the last call, the offset at which a
        restart would go on."""
        found: dict[int, int] = {}
        for partition, taken in self._taken.items():
            while taken and not taken[0][1]:
                found[partition] = taken.popleft()[0] + 1
        return found

    def forget(self, partitions: Iterable[int]) -> None:
        """Drop partitions that another process has taken over."""
        for partition in partitions:
            for _, waiting in self._taken.pop(partition, ()):
                for key in waiting:
                    self._unsafe.pop(key, None)
