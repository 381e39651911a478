"""Windows of rhythm records: as the stream cuts them, for judging; varied, for training.

Variations change properties that differ between people, electrodes and devices, and keep the
rhythm: gain and its drift, inversion, time scale (+-10 %), length of signal, muscle and motion
noise, mains, white noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import FS_HZ, condition
from models.signal.windows import RHYTHM_SPEC, InputSpec, cut, scale

Floats = npt.NDArray[np.float32]


def record_windows(signal: Floats, spec: InputSpec = RHYTHM_SPEC) -> Floats:
    """All full windows of a record, a hop apart and ending at its end, or the one window of a
    record shorter than that: (W, length)."""
    ends = np.arange(len(signal), spec.length - 1, -spec.hop)[::-1]
    return cut(signal, ends if len(ends) else np.array([len(signal)]), spec)


def short_windows(signal: Floats, seconds: float, spec: InputSpec = RHYTHM_SPEC) -> Floats:
    """The record in pieces, side by side up to its end, each as the stream sees a record of that
    length: (W, length)."""
    n = min(round(seconds * FS_HZ), len(signal))
    return np.concatenate(
        [
            cut(signal[end - n : end], np.array([n]), spec)
            for end in range(len(signal) % n + n, len(signal) + 1, n)
        ]
    )


def load_noise(folder: Path) -> list[Floats]:
    """Muscle noise and baseline wander of the Noise Stress Test Database (Moody et al. 1984),
    conditioned, each with an RMS of 1."""
    import wfdb

    noises = []
    for name in ("ma", "bw"):
        record = wfdb.rdrecord(str(folder / name), physical=False)
        for channel in range(record.n_sig):
            counts = (record.d_signal[:, channel] - record.adc_zero[channel]).astype(np.int16)
            noise = condition(counts, record.fs, record.adc_gain[channel])
            noises.append(noise / np.sqrt(np.mean(noise**2)))
    return noises


class Varied:
    """Draws training windows; the same seed draws the same ones."""

    def __init__(self, noises: Sequence[Floats], seed: int, spec: InputSpec = RHYTHM_SPEC) -> None:
        self._noises = noises
        self._rng = np.random.default_rng(seed)
        self._spec = spec

    @property
    def state(self) -> Any:
        """The state of the random generator, to continue from it."""
        return self._rng.bit_generator.state

    @state.setter
    def state(self, state: Any) -> None:
        self._rng.bit_generator.state = state

    def batch(self, signals: Sequence[Floats]) -> Floats:
        """One window of each signal, anywhere in it: (B, length)."""
        history = np.zeros((len(signals), self._spec.history), np.float32)
        valid = np.zeros(len(signals), np.int64)
        for row, signal in enumerate(signals):
            piece = self.piece(signal)
            history[row, -len(piece) :] = piece
            valid[row] = len(piece)
        return scale(history, valid, self._spec)

    def use(self, rng: np.random.Generator) -> None:
        """Use this random generator from now on."""
        self._rng = rng

    def piece(self, signal: Floats) -> Floats:
        """A varied stretch of the signal, in mV."""
        return self._vary(self._piece(signal))

    def _chance(self, probability: float) -> bool:
        return bool(self._rng.random() < probability)

    def _piece(self, signal: Floats) -> Floats:
        """A stretch of the signal, up to a window long, its time scale changed."""
        rng = self._rng
        pace = rng.uniform(0.9, 1.1) if self._chance(0.5) else 1.0
        longest = min(self._spec.length, int((len(signal) - 1) / pace))
        n = (
            int(rng.integers(min(self._spec.least, longest), longest + 1))
            if self._chance(0.4)
            else longest
        )
        start = rng.uniform(0, max(0.0, len(signal) - 1 - n * pace))
        if pace == 1.0:
            return signal[int(start) : int(start) + n].copy()
        return np.interp(start + pace * np.arange(n), np.arange(len(signal)), signal).astype(
            np.float32
        )

    def _vary(self, x: Floats) -> Floats:
        rng = self._rng
        if self._chance(0.4):
            x = -x
        if self._chance(0.2):
            x = x * self._slow_gain(len(x))
        level = float(np.sqrt(np.mean(x**2))) + 1e-6
        if self._chance(0.3):
            x = x + level * self._noise(len(x))
        if self._chance(0.2):
            x = x + level * rng.uniform(0.02, 0.2) * rng.standard_normal(len(x), dtype=np.float32)
        if self._chance(0.1):
            cycles = rng.choice([50.0, 60.0]) * np.arange(len(x)) / FS_HZ + rng.random()
            x = x + level * rng.uniform(0.02, 0.3) * np.sin(2 * np.pi * cycles)
        return (x * np.exp(rng.uniform(-1.2, 1.2))).astype(np.float32)

    def _slow_gain(self, n: int) -> Floats:
        knots = np.exp(self._rng.uniform(-0.5, 0.5, size=5))
        return np.interp(np.linspace(0, 4, n), np.arange(5), knots).astype(np.float32)

    def _noise(self, n: int) -> Floats:
        """Recorded noise 5 to 25 dB below the signal; half of the time in one burst only, then up
        to 0 dB."""
        rng = self._rng
        source = self._noises[int(rng.integers(len(self._noises)))]
        start = rng.integers(len(source) - n)
        noise = source[start : start + n]
        if self._chance(0.5):
            return noise * 10 ** (-rng.uniform(5, 25) / 20)
        centre, width = rng.uniform(0, n), rng.uniform(0.5, 4) * FS_HZ
        burst = np.exp(-0.5 * ((np.arange(n) - centre) / width) ** 2)
        return noise * burst.astype(np.float32) * 10 ** (-rng.uniform(0, 15) / 20)
