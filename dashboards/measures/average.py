"""The average of the beats of one class, aligned on their QRS complexes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

BEFORE_S, AFTER_S = 0.35, 0.60  # of the R peak
_QRS_S = 0.08  # of the R peak, on either side: the part that is aligned
_SHIFT_S = 0.02
_LIKE = 0.9  # correlation with the median beat; others are left out


def cut(signal: Floats, peaks: Sequence[int], fs_hz: float) -> Floats:
    """The stretches around R peaks (samples), shape (beats, n); incomplete ones, and those with
    NaN, are left out. Each is without its median."""
    before, after = round(BEFORE_S * fs_hz), round(AFTER_S * fs_hz)
    found = [
        signal[p - before : p + after] for p in peaks if p >= before and p + after <= signal.size
    ]
    whole = [beat - np.median(beat) for beat in found if np.isfinite(beat).all()]
    return np.array(whole).reshape(len(whole), before + after)


def aligned(beats: Floats, fs_hz: float) -> Floats:
    """The beats (beats, n) moved onto the median beat, without those that do not resemble it."""
    if len(beats) < 2:
        return beats
    r, half, shift = (round(s * fs_hz) for s in (BEFORE_S, _QRS_S, _SHIFT_S))
    pattern = np.median(beats, axis=0)[r - half : r + half]
    moved = []
    for beat in beats:
        likeness = [
            _correlation(pattern, beat[r - half + by : r + half + by])
            for by in range(-shift, shift + 1)
        ]
        best = int(np.argmax(likeness))
        if likeness[best] >= _LIKE:
            moved.append(np.roll(beat, shift - best))
    return np.array(moved).reshape(len(moved), beats.shape[1])


def _correlation(a: Floats, b: Floats) -> float:
    a, b = a - a.mean(), b - b.mean()
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0
