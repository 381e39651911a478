"""Tells pacing spikes from QRS complexes.

A spike lasts 2 ms at most: at 125 Hz it is the impulse response of our own resampler
(models/signal/conditioning.py), which no QRS complex resembles. A spike that captures the ventricle
has a wide QRS complex right behind it, and is left to stand for it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import CUTOFF_HZ, FS_HZ, HALF_WIDTH_S

Floats = npt.NDArray[np.float32]

# Least correlation with the impulse response. Chosen on simulated spikes without capture, of which
# 85 to 100 % lie above 0.94 beside muscle noise, and on MITDB, nsrdb and VFDB: of 150,000 beats
# there 10 passed both limits at 0.94, all of the paced record 104, and none of its is lost at 0.95.
ALIKE = 0.95
# Largest swing, 48 to 400 ms after the peak and without what is shorter than 56 ms, as a share of
# the peak's: more is a QRS complex or a T wave
FOLLOWED = 0.3
REACH = round(HALF_WIDTH_S * FS_HZ)  # samples: the impulse response is zero beyond
FROM, TO, SMOOTHED = 6, 50, 7  # samples


def _responses() -> npt.NDArray[np.float64]:
    """The impulse response at subsample shifts (shifts, 2 REACH + 1), without mean, of length 1."""
    shift = np.arange(-0.75, 0.76, 0.125)[:, None]
    tau = (np.arange(-REACH, REACH + 1) - shift) / FS_HZ
    window = 0.5 + 0.5 * np.cos(np.pi * np.minimum(np.abs(tau) / HALF_WIDTH_S, 1.0))
    response = np.sinc(2 * CUTOFF_HZ * tau) * window
    response -= response.mean(axis=1, keepdims=True)
    return np.asarray(response / np.linalg.norm(response, axis=1, keepdims=True))


_RESPONSES = _responses()


def is_spike(
    x: Floats, window: npt.NDArray[np.intp], position: npt.NDArray[np.floating]
) -> npt.NDArray[np.bool_]:
    """Return of each peak whether it is a pacing spike without a QRS complex behind it, (P,).

    Args:
        x: (B, T) signal of each window at 125 Hz, in any unit.
        window: (P,) row of `x` of each peak.
        position: (P,) its sample there; peaks closer to an edge than 0.4 s are none.
    """
    at = np.rint(position).astype(np.intp)
    inside = (at >= REACH) & (at + TO <= x.shape[1])
    at = np.clip(at, REACH, max(REACH, x.shape[1] - TO))
    near = x[window[:, None], at[:, None] + np.arange(-REACH, REACH + 1)].astype(np.float64)
    size = np.ptp(near, axis=1)
    near -= near.mean(axis=1, keepdims=True)
    # (P, shifts)
    alike = np.abs(near @ _RESPONSES.T).max(axis=1, initial=0.0)
    alike /= np.maximum(np.linalg.norm(near, axis=1), 1e-9)
    later = x[window[:, None], at[:, None] + np.arange(FROM, TO)].astype(np.float64)
    total = np.cumsum(np.pad(later, ((0, 0), (1, 0))), axis=1)
    smooth = (total[:, SMOOTHED:] - total[:, :-SMOOTHED]) / SMOOTHED
    followed = np.ptp(smooth, axis=1) > FOLLOWED * np.maximum(size, 1e-9)
    return np.asarray(inside & (alike >= ALIKE) & ~followed)
