"""Measures the CPU time of each step of the data path."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager


class StepTimes:
    """CPU seconds of this thread per step of the path."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add what the body takes."""
        start = time.thread_time()
        yield
        self.seconds[step] += time.thread_time() - start
