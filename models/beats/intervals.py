"""Features of the interval before a beat: how early it is, and how irregular the rhythm is.

Prematurity is measured against medians over a short and a long horizon, and next to each stands the
irregularity of the rhythm (spread, steps, and the rank of this interval among its predecessors): a
short interval means nothing in atrial fibrillation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.beats.morphology import Doubles

SHORT, LONG = 16, 64  # intervals of the two horizons
RECENT = 8  # the last beats, each of whose intervals is a feature of its own

RHYTHM = (  # this interval among its predecessors
    "rr_short",
    "rr_long",
    "rr_before",
    "before_long",
    "rr_low",
    "rr_high",
    "rank_short",
    "rank_long",
    "z",
    "spread_short",
    "spread_long",
    "steps_short",
    "steps_long",
    "median",
    "known",
    "no_rr",
)


def rhythm_features(rr: Doubles, past: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Compute the features named in RHYTHM.

    Args:
        rr: (B,) interval before each beat, s; NaN if unknown.
        past: (B, LONG) intervals before `rr`, s, newest last; NaN if unknown.

    Returns:
        The features (B, len(RHYTHM)); the prematurity log(rr / long median) (B,); the last RECENT
        intervals as 8 log(rr / long median) (B, RECENT). NaN if an interval is unknown.
    """
    short, long = _sorted(past[:, -SHORT:]), _sorted(past)
    m_short, m_long = short.quantile(0.5), long.quantile(0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_short, spread_long = (
            _sorted(np.abs(past[:, -n:] - m[:, None])).quantile(0.5) / m
            for n, m in ((SHORT, m_short), (LONG, m_long))
        )
        steps = np.abs(np.diff(past, axis=1))
        steps_short, steps_long = (
            _sorted(steps[:, -SHORT:]).quantile(0.5) / m_short,
            _sorted(steps).quantile(0.5) / m_long,
        )
        early = np.log(rr / m_long)
        columns = [
            8 * np.log(rr / m_short),
            8 * early,
            8 * np.log(rr / past[:, -1]),
            8 * np.log(past[:, -1] / m_long),
            8 * np.log(rr / long.quantile(0.1)),
            8 * np.log(rr / long.quantile(0.9)),
            4 * (short.rank(rr) - 0.5),
            4 * (long.rank(rr) - 0.5),
            0.5 * (rr - m_short) / (spread_short * m_short + 0.01),
            16 * spread_short,
            16 * spread_long,
            8 * steps_short,
            8 * steps_long,
            4 * np.log(m_long / 0.8),
            2 * long.known / LONG - 1,
            np.where(np.isnan(rr), 1.0, 0.0),
        ]
        relative = 8 * np.log(past[:, -RECENT:] / m_long[:, None])
    return np.stack(columns, axis=1), early, relative


class _Sorted(NamedTuple):
    """Sorted values of each row, NaN last: (B, n); and the number of known ones: (B,)."""

    values: Doubles
    known: npt.NDArray[np.intp]

    def quantile(self, q: float) -> Doubles:
        """Quantile of each row, interpolated linearly: (B,); NaN below two known values."""
        place = q * np.maximum(self.known - 1, 0)
        low = place.astype(np.intp)
        i = np.arange(len(self.values))
        a, b = (
            self.values[i, low],
            self.values[i, np.minimum(low + 1, np.maximum(self.known - 1, 0))],
        )
        return np.where(self.known >= 2, a + (place - low) * (b - a), np.nan)

    def rank(self, x: Doubles) -> Doubles:
        """Share of the known values of each row that are below x (B,); NaN below two of them."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(
                self.known >= 2, (self.values < x[:, None]).sum(axis=1) / self.known, np.nan
            )


def _sorted(values: Doubles) -> _Sorted:
    return _Sorted(np.sort(values, axis=1), np.sum(~np.isnan(values), axis=1))
