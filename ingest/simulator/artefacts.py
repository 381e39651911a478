"""Noise that electrodes, muscles and mains add to the heart's signal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy import signal

from ingest.simulator.events import Event
from ingest.simulator.oscillations import Filtered, Samples
from ingest.simulator.script import ScriptNoise

# RMS of the amplifier's own noise; with it even an asystole is no flat line
FLOOR_MV = 0.004
SETTLING_S = 0.3  # a change of level between segments is not a step
BURST_BUMPS = 5


class Artefacts:
    """Noise of one lead, independent of the pieces it is made in."""

    def __init__(self, fs_hz: float, breaths_per_minute: float, rng: np.random.Generator) -> None:
        self._floor, drift, muscle, effort = rng.spawn(4)
        self._fs = fs_hz
        self._breath_hz, self._breath_phase, self._mains_phase = (
            breaths_per_minute / 60,
            *rng.uniform(0, 2 * np.pi, 2),
        )
        self._drift = Filtered(fs_hz, 0.25, drift)
        self._muscle = Filtered(fs_hz, (20.0, min(100.0, 0.4 * fs_hz)), muscle)
        self._effort = Filtered(fs_hz, 0.4, effort)
        decay = np.exp(-1 / (SETTLING_S * fs_hz))
        self._smooth = np.array([1 - decay]), np.array([1.0, -decay])
        self._levels: Samples | None = None

    def next(self, start: int, n: int, noise: ScriptNoise) -> Samples:
        """Return samples `start` to `start` + n (n,), mV, at the given levels; pieces must follow
        each other."""
        times = np.arange(start, start + n) / self._fs
        wander, muscle, mains = self._levels_over(
            n, np.array([noise.wander_mv, noise.muscle_mv, noise.mains_mv])
        )
        breath = 0.5 * np.sin(2 * np.pi * self._breath_hz * times + self._breath_phase)
        hum = np.sin(2 * np.pi * noise.mains_hz * times + self._mains_phase)
        out = FLOOR_MV * self._floor.standard_normal(n)
        out += wander * (breath + 0.45 * self._drift.next(n))
        out += muscle * self._muscle.next(n) * np.clip(1 + 0.5 * self._effort.next(n), 0.1, None)
        # the device's anti-aliasing filter removes higher frequencies
        if noise.mains_hz < 0.45 * self._fs:
            out += mains * hum
        return out

    def _levels_over(self, n: int, target: Samples) -> Samples:
        """Return each level as it approaches its target (levels,): (levels, n)."""
        if self._levels is None:
            self._levels = target * (1 - self._smooth[0])
        out, state = signal.lfilter(
            *self._smooth, np.repeat(target[:, None], n, axis=1), zi=self._levels[:, None]
        )
        self._levels = state[:, 0]
        return np.asarray(out)


def motion(
    noise: ScriptNoise, start_s: float, end_s: float, fs_hz: float, rng: np.random.Generator
) -> Iterator[Event]:
    """Yield bursts of electrode motion as waves without a symbol: bumps of random height, sign and
    width, evenly spread over a segment."""
    count = round(noise.motion_per_minute * (end_s - start_s) / 60)
    for number in range(count):
        begin_s = start_s + (end_s - start_s) * (number + rng.uniform(0.2, 0.6)) / count
        for bump_s in begin_s + np.sort(rng.uniform(0, 1.5, BURST_BUMPS)):
            heights = noise.motion_mv * rng.normal(0, 0.45, (3, 1))
            widths = rng.uniform(0.02, 0.14, (3, 2))
            yield Event(
                round(bump_s * fs_hz),
                kernels=np.hstack([heights, rng.uniform(-0.1, 0.3, (3, 1)), widths]),
            )
