"""RR intervals as channels of the steps that a rhythm task looks back on. The ONE definition for training and serving.

Atrial fibrillation is told by how unlike successive intervals are, down to a few hundredths of a second, and a network's steps are 256 ms
long. So each step with an R peak also gets its interval and the logarithm of how it differs from the one before (the plane of
intervals and their differences: Lake and Moorman 2011, DOI 10.1152/ajpheart.00561.2010, and Sarkar et al. 2008, DOI
10.1109/TBME.2007.903707, build AF detectors on it; we differ: the numbers go to the network as they are, beat by beat).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.conditioning import FS_HZ
from models.windows import BEAT_SPEC

CHANNELS = 5  # there is an R peak; its interval; its change: signed, as a size, and as a size where it is small
FIRST, STEP, STEPS = 128, 32, 4  # of a window, in samples: where its new second begins, and how long its steps are (ecgcl.py)
MOST_RR_S = 3.0  # a longer interval is a pause or a gap, and says nothing
USUAL_RR_S = 0.8

Doubles = npt.NDArray[np.float64]
Floats = npt.NDArray[np.float32]


def interval_s(at: Doubles, last: Doubles) -> Doubles:
    """Seconds between R peaks at samples of 125 Hz; NaN where the earlier one is unknown (NaN) or MOST_RR_S away."""
    rr = (at - last) / FS_HZ
    return np.where(rr < MOST_RR_S, rr, np.nan)


def channels(rr: Doubles, before: Doubles) -> Floats:
    """What a step with an R peak gets, from its interval and the one before, in seconds, NaN where unknown: (n, CHANNELS)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        change = np.log(rr / before)
        size = np.abs(change)
        values = [
            np.ones_like(rr), 2 * np.clip(rr - USUAL_RR_S, -0.6, 1.2),
            4 * np.clip(change, -1, 1), 4 * np.minimum(size, 1), 20 * np.minimum(size, 0.12),
        ]  # fmt: skip
    return np.asarray(np.nan_to_num(np.stack(values, axis=-1)), dtype=np.float32)


def step_of(at: Doubles, end: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """Which of a second's steps R peaks lie in, given the ends of the windows that found them: (n,), 0 to 3."""
    return np.clip((at - end + BEAT_SPEC.length - FIRST) // STEP, 0, STEPS - 1).astype(np.intp)
