"""Spectrum of heart-rate variability: power of normal-to-normal intervals in the bands LF and HF.

Task Force (1996), DOI 10.1161/01.CIR.93.5.1043: stationary stretches of 5 min. Laguna, Moody and
Mark (1998), DOI 10.1109/10.678605: the periodogram of Lomb and Scargle takes the intervals as they
are, without resampling, and leaves out those beside ectopic beats. We differ: the mean over all
stretches of the period that have enough intervals.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import integrate, signal

Floats = npt.NDArray[np.float64]

LF_HZ, HF_HZ = (0.04, 0.15), (0.15, 0.40)
STRETCH_S = 300.0
COVERED = 0.8  # of a stretch, by normal intervals: fewer give no spectrum
SLOWEST_MS = 1250.0  # mean interval: a slower heart does not sample HF's upper limit
FREQUENCIES_HZ: Floats = np.arange(0.005, 0.5, 1 / (4 * STRETCH_S))


class Spectrum(NamedTuple):
    """Mean power over the stretches."""

    lf_ms2: float
    hf_ms2: float
    density: Floats  # ms²/Hz at FREQUENCIES_HZ
    stretches: int
    intervals: int

    @property
    def ratio(self) -> float | None:
        """LF/HF."""
        return self.lf_ms2 / self.hf_ms2 if self.hf_ms2 > 0 else None


def spectrum(time_s: Floats, nn_ms: Floats) -> Spectrum | None:
    """Spectrum of intervals (n,) that end at `time_s` (n,), in order; None if no stretch of 5 min
    is covered by them to COVERED, or if the heart is too slow."""
    if not nn_ms.size:
        return None
    stretch = ((time_s - time_s[0]) // STRETCH_S).astype(np.int64)
    found, intervals = [], 0
    for k in np.unique(stretch):
        t, nn = time_s[stretch == k], nn_ms[stretch == k]
        if nn.sum() < COVERED * STRETCH_S * 1000 or nn.mean() > SLOWEST_MS:
            continue
        found.append(_density(t, nn))
        intervals += nn.size
    if not found:
        return None
    density: Floats = np.mean(found, axis=0)
    return Spectrum(_power(density, LF_HZ), _power(density, HF_HZ), density, len(found), intervals)


def _density(time_s: Floats, nn_ms: Floats) -> Floats:
    """One-sided power density, ms²/Hz; a sine of amplitude a has the power a²/2."""
    flat = nn_ms - np.polyval(np.polyfit(time_s, nn_ms, 1), time_s)
    power = signal.lombscargle(time_s, flat, 2 * np.pi * FREQUENCIES_HZ)
    density: Floats = power * 2 * (time_s[-1] - time_s[0]) / time_s.size
    return density


def _power(density: Floats, band: tuple[float, float]) -> float:
    within = (band[0] <= FREQUENCIES_HZ) & (band[1] > FREQUENCIES_HZ)
    return float(integrate.trapezoid(density[within], FREQUENCIES_HZ[within]))
