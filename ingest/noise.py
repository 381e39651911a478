"""Noise of one record, scaled to a given signal-to-noise ratio with the QRS complexes of another.

As in WFDB's `nst` (Moody GB, Muldrow WE, Mark RG: A noise stress test for arrhythmia detectors.
Computers in Cardiology 1984;11:381-384): signal power is an eighth of the square of the mean
peak-to-peak amplitude of normal QRS complexes (a sine of that amplitude), noise power is the square
of the mean RMS over 1-s windows; each mean is taken over the first 300 without the largest and
smallest 5 %. We differ: without annotated beats the amplitude is the median peak-to-peak over 2-s
windows, and the noise begins at the start and never pauses.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Source

MEASURED = 300  # QRS complexes, and windows, that are measured
MEASURED_S = 600.0  # longest part of the signal that is read to measure it
NOISE_S = 1800.0  # longest part of the noise record that is used; then it repeats
HALF_QRS_S = 0.05
_BEATS = frozenset("NLRBAaJSVrFejnE/fQ")


class RecordedNoise:
    """Noise in counts of the `signal` source, at its sampling frequency, repeated without end.

    Nothing is read before the first use, which raises BadInputError if the noise is empty or flat.
    """

    def __init__(self, signal: Source, noise: Source, snr_db: float) -> None:
        self._signal, self._noise, self._snr_db = signal, noise, snr_db

    @property
    def n(self) -> int:
        """Samples before the noise repeats."""
        return len(self._scaled)

    def counts(self, first: int, n: int) -> NDArray[np.float64]:
        """Return the noise (n,) from sample `first` >= 0 on, in counts to add to the signal."""
        return self._scaled.take(np.arange(first, first + n), mode="wrap")

    @cached_property
    def _scaled(self) -> NDArray[np.float64]:
        counts, _ = _read(self._noise, NOISE_S)
        if not len(counts):
            raise BadInputError(
                f"--fault noise: {self._noise.name} is empty", "Choose another noise record."
            )
        noise = _at_rate(counts - counts.mean(), self._noise.fs_hz, self._signal.fs_hz)
        rms = noise_rms(noise, self._signal.fs_hz)
        if rms <= 0:
            raise BadInputError(
                f"--fault noise: {self._noise.name} is flat", "Choose another noise record."
            )
        amplitude = qrs_amplitude(self._signal)
        gain: float = amplitude / math.sqrt(8) / rms * 10 ** (-self._snr_db / 20)
        return noise * gain


def qrs_amplitude(source: Source) -> float:
    """Measure the mean peak-to-peak amplitude of the first QRS complexes of a source (normal ones
    if it has any), in counts."""
    counts, notes = _read(source, MEASURED_S)
    half = round(HALF_QRS_S * source.fs_hz)
    inside = [a for a in notes if half <= a.sample < len(counts) - half]
    beats = [a.sample for a in inside if a.symbol == "N"] or [
        a.sample for a in inside if a.symbol in _BEATS
    ]
    if beats:
        return _trimmed_mean(
            [float(np.ptp(counts[b - half : b + half + 1])) for b in beats[:MEASURED]]
        )
    spans = _windows(counts, round(2 * source.fs_hz))
    return (
        float(np.median(np.ptp(spans, axis=1)))
        if len(spans)
        else float(np.ptp(counts))
        if len(counts)
        else 0.0
    )


def noise_rms(noise: NDArray[np.float64], fs_hz: float) -> float:
    """Measure the mean RMS of noise (n,) over 1-s windows, each less its own mean."""
    spans = _windows(noise, round(fs_hz))[:MEASURED]
    return _trimmed_mean(spans.std(axis=1).tolist()) if len(spans) else float(noise.std())


def _read(source: Source, seconds: float) -> tuple[NDArray[np.float64], list[Annotation]]:
    parts, notes, n = [np.zeros(0)], list[Annotation](), 0
    for block in source.blocks():
        parts.append(block.counts.astype(np.float64))
        notes += block.annotations
        n += len(block.counts)
        if n >= seconds * source.fs_hz:
            break
    return np.concatenate(parts), notes


def _windows(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return values[: len(values) // width * width].reshape(-1, width)


def _trimmed_mean(values: list[float]) -> float:
    cut = len(values) // 20
    return float(np.mean(sorted(values)[cut : len(values) - cut]))


def _at_rate(values: NDArray[np.float64], fs_hz: float, wanted_hz: float) -> NDArray[np.float64]:
    from scipy.signal import resample_poly  # slow to import, and seldom needed

    up, down = round(wanted_hz * 100), round(fs_hz * 100)
    divisor = int(np.gcd(up, down))
    resampled: NDArray[np.float64] = (
        values if up == down else resample_poly(values, up // divisor, down // divisor)
    )
    return resampled
