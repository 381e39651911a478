"""How a file's numbers become int16 counts: electrode offset, reach, clipping."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.bounds import MAX_COUNTS_PER_MV, MIN_COUNTS_PER_MV
from ingest.errors import BadInputError

RANGE_MV = 16.0  # what int16 counts must be able to hold; a surface ECG with its electrode drift stays within
MARGIN_MV = 8.0  # what the signal may do beyond the middle of the stretches that were looked at
MAX_RANGE_MV = 600.0  # more than the inputs of recorders take; for an artefact beyond, no resolution is given up
INT16 = np.iinfo(np.int16)

Stretches = Sequence[NDArray[np.float64]]


class Scale(NamedTuple):
    """Converts zero-based counts of a file to those that are sent: (counts - offset) * factor."""

    factor: float = 1.0  # a power of two, at most 1
    offset: float = 0.0


def fit(
    counts_per_mv: float, lowest: float, highest: float, look: Callable[[], Stretches], name: str
) -> Scale:
    """The scale with which int16 holds a signal, that of the file itself if it does as it is.

    `lowest` and `highest` are the least and the greatest count that the file's format can hold, less its zero. If those do not fit,
    `look` gives stretches of the signal in counts (NaN if invalid). The resolution is then halved until +-16 mV fit; if the middle 80 %
    of what was seen, with a margin, still lie outside, their median is subtracted (an electrode's offset is up to some hundred mV) and
    the resolution halved until twice their range fits. Raises BadInputError for a gain that no stream can carry.
    """
    if not MIN_COUNTS_PER_MV <= counts_per_mv <= MAX_COUNTS_PER_MV:
        problem = f"{name}: its gain is {counts_per_mv:g} counts per mV"
        raise BadInputError(
            problem, "Correct the gain in its header, or say the unit of its values with --unit."
        )
    if lowest >= INT16.min and highest <= INT16.max:
        return Scale()
    usual = power_of_two_gain(min(max(-lowest, highest), RANGE_MV * counts_per_mv))
    seen = [s[np.isfinite(s)] for s in look()]
    values = np.concatenate([np.zeros(0), *seen])
    if not len(values):
        return Scale(usual)
    low, middle, high = (float(v) for v in np.percentile(values, (10, 50, 90)))
    margin = MARGIN_MV * counts_per_mv
    if (
        max(low - margin, lowest) * usual >= INT16.min
        and min(high + margin, highest) * usual <= INT16.max + 1
    ):
        return Scale(usual)
    offset = float(round(middle))
    reach = max(RANGE_MV * counts_per_mv, 2 * (high - offset), 2 * (offset - low))
    return Scale(power_of_two_gain(min(reach, MAX_RANGE_MV * counts_per_mv)), offset)


def power_of_two_gain(reach: float) -> float:
    """The greatest power of two, at most 1, with which counts up to `reach` fit into int16."""
    factor = 1.0
    while reach * factor > INT16.max + 1:
        factor /= 2
    return factor
