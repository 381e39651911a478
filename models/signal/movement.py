"""Movement of the signal in the band of ventricular rhythms, whether or not a QRS is found in it.

An asystole is nearly still. A ventricular tachycardia, flutter or fibrillation without a detected
QRS oscillates all the time, between 100 and 400 times a minute; its regularity distinguishes them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import FS_HZ

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

HALF_HZ = FS_HZ / 2  # rate after pairs of samples have been averaged
DRIFT = 51  # samples of the running mean that counts as drift, 0.8 s
SHORTEST, LONGEST = 9, 42  # lags of 417 and 89 a minute
NEARLY = (
    0.85  # of the best correlation: the first peak that reaches it is the period, not its double
)
SECOND = 62  # samples of the newest second


class Movement(NamedTuple):
    """Movement in the last 4 s of each window, (B,) each."""

    mv: Doubles  # root mean square of the newest second without drift, mV
    least_mv: Doubles  # the same of the stillest half second of the last 3 s
    rate: Doubles  # rate at which the signal repeats itself best, 1/min
    regular: Doubles  # correlation of the signal with itself one period before, -1 to 1


def movement(recent: Floats) -> Movement:
    """Measure the movement of windows.

    Args:
        recent: (B, RECENT) mV, 0.5-45 Hz, newest last.
    """
    halved = (recent[:, 0::2] + recent[:, 1::2]).astype(np.float64) / 2
    total = np.cumsum(np.concatenate([np.zeros((len(halved), 1)), halved], axis=1), axis=1)
    drift = (total[:, DRIFT:] - total[:, :-DRIFT]) / DRIFT
    edge = DRIFT // 2
    y = halved[:, edge:-edge] - drift  # (B, 200): 3.2 s; the newest 0.4 s has no running mean
    power = np.square(y)
    mv = np.sqrt(power[:, -SECOND:].mean(axis=1))
    halves = power[:, -6 * (SECOND // 2) :].reshape(len(y), 6, SECOND // 2).mean(axis=2)
    rate, regular = _period(y, power)
    return Movement(mv, np.sqrt(halves.min(axis=1)), rate, regular)


def _period(y: Doubles, power: Doubles) -> tuple[Doubles, Doubles]:
    """Return rate (1/min) and correlation at the first peak that is nearly as high as the
    highest."""
    summed = np.cumsum(np.concatenate([np.zeros((len(y), 1)), power], axis=1), axis=1)
    lags = np.arange(SHORTEST, LONGEST + 1)
    likeness = np.empty((len(y), len(lags)))
    for column, lag in enumerate(lags.tolist()):
        both = (y[:, lag:] * y[:, :-lag]).sum(axis=1)
        sizes = summed[:, -1 - lag] * (summed[:, -1] - summed[:, lag])
        likeness[:, column] = both / np.sqrt(np.maximum(sizes, 1e-12))
    inner = likeness[:, 1:-1]
    peak = (inner >= likeness[:, :-2]) & (inner >= likeness[:, 2:])
    best = np.where(peak, inner, -1.0).max(axis=1)
    first = (peak & (inner >= NEARLY * best[:, None])).argmax(axis=1)
    rows = np.arange(len(y))
    regular = np.where(peak.any(axis=1), inner[rows, first], 0.0)
    return 60 * HALF_HZ / lags[first + 1], regular
