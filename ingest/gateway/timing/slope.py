"""The true sampling interval of a device, from its timestamps: the median of slopes over minutes.

Within each unbroken run, slopes are taken between timestamps half a run apart, and the median is
weighted by the samples between them (a cheap kind of Theil-Sen estimator: Sen 1968,
doi:10.1080/01621459.1968.10480934). A wrong timestamp moves it by nothing.
"""

from __future__ import annotations

from collections import deque

import numpy as np

WINDOW = 600  # timestamps remembered: five minutes of an H10
EAGER, EVERY = 64, 64  # it is measured at each of the first timestamps, then now and then


class SlopeMeter:
    """Nanoseconds per sample, never further than `slack` from the nominal value."""

    def __init__(self, nominal_ns: float, slack: float) -> None:
        self.period_ns = nominal_ns
        self.steps = 0  # timestamps that counted so far
        self._nominal_ns, self._slack = nominal_ns, slack
        self._points: deque[tuple[int, int, float]] = deque(maxlen=WINDOW)  # run, sample, time
        self._run = self._sample = 0

    def begin_run(self, stamp: float) -> None:
        """Begin an unbroken run, whose first block ends at `stamp`."""
        self._run += 1
        self._sample = 0
        self._points.append((self._run, 0, stamp))

    def end_run(self) -> None:
        """End the run; the next block begins another."""
        self._run += 1

    def add(self, n: int, stamp: float | None) -> None:
        """A block of n samples that ends at `stamp`; None if its timestamp was wrong."""
        self._sample += n
        if stamp is None:
            return
        self._points.append((self._run, self._sample, stamp))
        self.steps += 1
        if self.steps < EAGER or self.steps % EVERY == 0:
            self._measure()

    def _measure(self) -> None:
        table = np.array(self._points)
        slopes, weights = [], []
        for run in np.unique(table[:, 0]):
            rows = table[table[:, 0] == run]
            lag = len(rows) // 2
            if lag:
                samples = rows[lag:, 1] - rows[:-lag, 1]
                slopes.append((rows[lag:, 2] - rows[:-lag, 2]) / samples)
                weights.append(samples)
        if not slopes:
            return
        slope, weight = np.concatenate(slopes), np.concatenate(weights)
        order = np.argsort(slope)
        half = np.searchsorted(np.cumsum(weight[order]), weight.sum() / 2)
        low, high = self._nominal_ns * (1 - self._slack), self._nominal_ns * (1 + self._slack)
        self.period_ns = float(np.clip(slope[order][half], low, high))
