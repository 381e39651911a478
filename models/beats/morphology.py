"""Morphology of beats: the samples around an R peak, and how similar two beats are.

A beat is a vector of SHAPE values in mV, 16 ms apart, from 0.384 s before the R peak to 0.432 s
after it. Batches of beats are (B, SHAPE), templates (B, SLOTS, SHAPE); see models/beats/templates.py.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

BEFORE, AFTER, STRIDE = 48, 56, 2  # samples at 125 Hz around the R peak; every second one is kept
SHAPE = (BEFORE + AFTER) // STRIDE  # 52 values, 16 ms apart: -0.384 .. +0.432 s
R = BEFORE // STRIDE  # index of the R peak
# Shifts tried when a beat is aligned with a template: +-32 ms, because |R| and |S| may be about
# equally high and the detector may mark either.
SHIFTS = np.arange(-2, 3)
CORE = slice(R - 6, R + 18)  # the part that is compared: -96 .. +272 ms, QRS and the onset of T
P_PART = slice(R - 19, R - 5)  # -304 .. -96 ms
QRS_PART = slice(R - 6, R + 8)
T_PART = slice(R + 8, R + 26)

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class Match(NamedTuple):
    """Beats (B, SHAPE) aligned with each template of their patient."""

    best: npt.NDArray[np.float64]  # (B, SLOTS) similarity; -1 if the slot is empty
    shift: npt.NDArray[np.intp]  # (B, SLOTS) index in SHIFTS
    still: npt.NDArray[np.float64]  # (B, SLOTS) similarity without a shift


def around(x: Floats, window: npt.NDArray[np.intp], r: Doubles) -> Floats:
    """Return the signal around R peaks: (P, SHAPE), mV.

    Args:
        x: (B, T) signal of each window at 125 Hz, mV.
        window: (P,) row of `x` that each R peak lies in.
        r: (P,) sample of each R peak in its window; edge samples are repeated beyond the window.
    """
    at = np.clip(
        np.rint(r).astype(np.intp)[:, None] + np.arange(-BEFORE, AFTER, STRIDE), 0, x.shape[1] - 1
    )
    return np.asarray(x[window[:, None], at], dtype=np.float32)


def match_templates(beat: Floats, template: Doubles, weight: Doubles) -> Match:
    """Compare each beat with each template of its patient.

    Similarity is 2ab / (a^2 + b^2) over CORE without the mean, the best over SHIFTS: 1 for the same
    morphology at the same height, 0 for unrelated ones.

    Args:
        beat: (B, SHAPE).
        template: (B, SLOTS, SHAPE).
        weight: (B, SLOTS); 0 marks an empty slot.
    """
    # (B, shifts, n)
    moved = np.stack([beat[:, CORE.start + s : CORE.stop + s] for s in SHIFTS], axis=1)
    moved = moved - moved.mean(axis=2, keepdims=True)
    fixed = template[:, :, CORE] - template[:, :, CORE].mean(axis=2, keepdims=True)  # (B, SLOTS, n)
    product = (moved[:, None] * fixed[:, :, None]).sum(axis=3)  # (B, SLOTS, shifts)
    power = np.square(moved).sum(axis=2)[:, None] + np.square(fixed).sum(axis=2)[:, :, None]
    like = np.where(weight[:, :, None] > 0, 2 * product / np.maximum(power, 1e-9), -1.0)
    shift = like.argmax(axis=2)
    return Match(like.max(axis=2), shift, like[:, :, len(SHIFTS) // 2])


def shifted(beat: Floats, shift: npt.NDArray[np.intp]) -> Floats:
    """Shift each beat (B, SHAPE) so that its sample i + shift (B,) comes to i; edges are repeated."""
    at = np.clip(np.arange(SHAPE) + shift[:, None], 0, SHAPE - 1)
    return np.asarray(beat[np.arange(len(beat))[:, None], at])


def correlation(a: Floats, b: Floats) -> Doubles:
    """Pearson correlation of each row of a (B, n) with that of b (B, n): (B,)."""
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    power = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(power, 1e-9))


def amplitude(x: Floats) -> Doubles:
    """Peak-to-peak amplitude of each row of x (B, n): (B,)."""
    return np.asarray(np.ptp(x, axis=1))


def log_ratio(a: Doubles, b: Doubles, height: Doubles) -> Doubles:
    """Log of a / b (B,), each no less than a fiftieth of the template's height, which is noise."""
    least = 0.02 * height
    return np.asarray(np.log(np.maximum(a, least) / np.maximum(b, least)))


def qrs_width(x: Floats) -> Doubles:
    """Width of the QRS complex of beats x (B, SHAPE): (B,), in steps of 16 ms.

    The standard deviation of time around the R peak, weighted by the squared slope.
    """
    power = np.square(np.diff(x[:, R - 8 : R + 13], axis=1)) + 1e-9
    place = np.arange(power.shape[1])
    total = power.sum(axis=1)
    mean = (power * place).sum(axis=1) / total
    return np.asarray(
        np.sqrt(np.maximum((power * np.square(place - mean[:, None])).sum(axis=1) / total, 0.05))
    )


def qrs_polarity(x: Floats) -> Doubles:
    """Polarity of the QRS complex: -1 wholly below the baseline, 1 wholly above: (B,)."""
    part = x[:, QRS_PART]
    high, low = part.max(axis=1), part.min(axis=1)
    return np.asarray((high + low) / np.maximum(high - low, 1e-3))
