"""Continuous signals without beats: slow noise, fibrillatory waves, ventricular fibrillation and
flutter.

Each object returns its signal piece by piece, independent of the pieces: n and then m samples equal
n + m samples.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import signal

Samples = NDArray[np.float64]


class Filtered:
    """White noise through a Butterworth filter, scaled to RMS 1, started in its steady state."""

    def __init__(
        self, fs_hz: float, band_hz: float | tuple[float, float], rng: np.random.Generator
    ) -> None:
        kind = "bandpass" if isinstance(band_hz, tuple) else "lowpass"
        self._sos = signal.butter(2, band_hz, kind, fs=fs_hz, output="sos")
        slowest = band_hz[0] if isinstance(band_hz, tuple) else band_hz
        run_in = int(3 * fs_hz / slowest)
        response = signal.sosfilt(self._sos, np.eye(1, run_in)[0])
        self._scale = 1 / np.sqrt(np.sum(response**2))
        self._rng = rng
        self._state = np.zeros((len(self._sos), 2))
        self.next(run_in)

    def next(self, n: int) -> Samples:
        """Return the next n samples (n,)."""
        out, self._state = signal.sosfilt(self._sos, self._rng.standard_normal(n), zi=self._state)
        return np.asarray(out * self._scale)


class Oscillator:
    """A wave with wandering frequency and amplitude.

    Args:
        fs_hz: sampling frequency.
        hz: mean frequency.
        rng: source of randomness.
        hz_sd: standard deviation of the frequency.
        swing: relative standard deviation of the amplitude.
        wander_hz: bandwidth of both.
        harmonics: amplitude of each multiple of the frequency, from the first on.
    """

    def __init__(
        self,
        fs_hz: float,
        hz: float,
        rng: np.random.Generator,
        *,
        hz_sd: float,
        swing: float,
        wander_hz: float,
        harmonics: tuple[float, ...],
    ) -> None:
        self._fs, self._hz, self._hz_sd, self._swing, self._harmonics = (
            fs_hz,
            hz,
            hz_sd,
            swing,
            harmonics,
        )
        self._phase = rng.uniform(0, 1)
        self._pitch, self._size = (Filtered(fs_hz, wander_hz, stream) for stream in rng.spawn(2))

    def next(self, n: int) -> Samples:
        """Return the next n samples (n,), amplitude about 1."""
        hz = np.clip(self._hz + self._hz_sd * self._pitch.next(n), 0.5 * self._hz, 1.6 * self._hz)
        cycles = np.cumsum(np.concatenate([[self._phase], hz / self._fs]))
        self._phase = cycles[-1]
        angle = 2 * np.pi * cycles[:-1]
        wave = sum(share * np.sin(k * angle) for k, share in enumerate(self._harmonics, 1))
        return np.asarray(np.clip(1 + self._swing * self._size.next(n), 0.15, 2.2) * wave)


class AtrialFibrillation:
    """Fibrillatory waves: a sawtooth of a fundamental and two harmonics with wandering amplitude
    and frequency.

    After Stridh and Sörnmo, "Spatiotemporal QRST cancellation techniques for analysis of atrial
    fibrillation", IEEE Trans Biomed Eng 48(1), 2001, DOI 10.1109/10.900266, section IV. We differ:
    the modulation is filtered noise instead of a sine.
    """

    def __init__(self, fs_hz: float, hz: float, rng: np.random.Generator) -> None:
        first, second = rng.spawn(2)
        self._main = Oscillator(
            fs_hz, hz, first, hz_sd=0.3, swing=0.3, wander_hz=0.5, harmonics=(0.75, 0.3, 0.12)
        )
        self._other = Oscillator(
            fs_hz, 1.17 * hz, second, hz_sd=0.5, swing=0.6, wander_hz=0.8, harmonics=(0.25,)
        )

    def next(self, n: int) -> Samples:
        """Return the next n samples (n,), amplitude about 1."""
        return self._main.next(n) + self._other.next(n)


class VentricularFibrillation:
    """Ventricular fibrillation: three oscillators of nearby frequencies, whose sum changes in
    height and period."""

    def __init__(self, fs_hz: float, hz: float, rng: np.random.Generator) -> None:
        streams = rng.spawn(3)
        parts = ((1.0, 0.35, (0.75, 0.12)), (1.22, 0.5, (0.5,)), (0.78, 0.4, (0.45,)))
        self._parts = [
            Oscillator(
                fs_hz, hz * ratio, stream, hz_sd=sd, swing=0.5, wander_hz=0.9, harmonics=harmonics
            )
            for stream, (ratio, sd, harmonics) in zip(streams, parts, strict=True)
        ]

    def next(self, n: int) -> Samples:
        """Return the next n samples (n,), amplitude about 1."""
        return np.asarray(sum(part.next(n) for part in self._parts))


def ventricular_flutter(fs_hz: float, hz: float, rng: np.random.Generator) -> Oscillator:
    """Make ventricular flutter: a large regular wave without a baseline between its complexes."""
    return Oscillator(fs_hz, hz, rng, hz_sd=0.06, swing=0.07, wander_hz=0.4, harmonics=(0.95, 0.18))
