"""Resamples a device's signal to its nominal rate on disciplined time, block by block.

Input sample k lies at the wall time that interpolates the times of its block's ends; output sample
m at start + m / fs. In between, a windowed sinc of 16 taps (Kaiser, beta 6): within 1 % up to 0.36
of the sampling frequency, 47 Hz for an H10, which holds all that the processor looks at. The two
rates differ by a few percent at most, so nothing folds over.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.gateway.base import MicroVolts

REACH = 8  # samples on either side that an output sample is made of
PHASES = 1024
BETA = 6.0


class Resampled(NamedTuple):
    """Consecutive output samples."""

    first_sample: int
    microvolts: MicroVolts


def _kernel() -> NDArray[np.float64]:
    """Weights of the 16 neighbours, for each fraction of a sample, shape (PHASES + 1, 16)."""
    fraction = np.arange(PHASES + 1)[:, None] / PHASES
    at = np.arange(-REACH + 1, REACH + 1)[None, :] - fraction
    window = np.i0(BETA * np.sqrt(np.clip(1 - (at / REACH) ** 2, 0, None))) / np.i0(BETA)
    weights = np.sinc(at) * window
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))  # a constant stays constant


class Resampler:
    """Output sample 0 lies at `start_ns`."""

    _weights = _kernel()

    def __init__(self, start_ns: int, fs_hz: float) -> None:
        self.next_sample = 0
        self._start_ns, self._fs_hz = start_ns, fs_hz
        self._values = np.zeros(
            0
        )  # of the run, its last 2 * REACH samples and what is not used yet
        self._times = np.zeros(0)  # of the same, seconds since start

    def begin(self) -> Resampled:
        """Finish the run before a gap, and begin another. Returns the end of what was before."""
        done = self.end()
        self._values, self._times = np.zeros(0), np.zeros(0)
        return done

    def end(self) -> Resampled:
        """Return the rest of the run, as if its last sample were held."""
        if not len(self._values):
            return Resampled(self.next_sample, np.zeros(0))
        last = float(self._times[-1])
        steps = np.arange(1, REACH + 1)
        after: NDArray[np.float64] = last + np.asarray(steps, np.float64) / self._fs_hz
        self._append(np.full(REACH, self._values[-1]), after)
        return self._take(last)

    def push(self, microvolts: MicroVolts, end_ns: int, period_ns: float) -> Resampled:
        """The next samples of the run, of which the last was taken at `end_ns`, shape (n,).

        `period_ns` places the samples of a run's first block; those of later ones lie evenly
        between the block's end and the end of the block before.
        """
        n, end_s = len(microvolts), (end_ns - self._start_ns) / 1e9
        if not len(self._values):
            times = end_s + np.arange(1 - n, 1, dtype=np.float64) * (period_ns / 1e9)
            before = times[0] - np.arange(REACH, 0, -1, dtype=np.float64) * (period_ns / 1e9)
            self._append(np.full(REACH, microvolts[0]), before)
            self.next_sample = max(self.next_sample, int(np.ceil(times[0] * self._fs_hz - 1e-6)))
        else:
            begin_s = float(self._times[-1])
            times = begin_s + (end_s - begin_s) * np.arange(1, n + 1) / n
        self._append(microvolts, times)
        return self._take(self._times[-1 - REACH])

    def _append(self, values: MicroVolts, times: NDArray[np.float64]) -> None:
        self._values = np.concatenate([self._values, values])
        self._times = np.concatenate([self._times, times])

    def _take(self, until_s: float) -> Resampled:
        """Output samples up to a time that has REACH input samples behind it."""
        first, last = self.next_sample, int(np.floor(until_s * self._fs_hz + 1e-6))
        if last < first:
            return Resampled(first, np.zeros(0))
        wanted = np.arange(first, last + 1) / self._fs_hz
        place = np.interp(wanted, self._times, np.arange(len(self._times)))
        below = np.minimum(place.astype(np.int64), len(self._values) - 1 - REACH)
        phase = np.rint((place - below) * PHASES).astype(np.int64)
        rows = below[:, None] + np.arange(-REACH + 1, REACH + 1)
        out = np.einsum("ij,ij->i", self._values[rows], self._weights[phase])
        self.next_sample = last + 1
        used = max(int(below[-1]) - 2 * REACH, 0)
        self._values, self._times = self._values[used:], self._times[used:]
        return Resampled(first, out)
