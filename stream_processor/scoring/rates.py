"""Heart rate error (EC57): ours against the rate computed from the reference's beats by the same
formula (pipeline/stages/vitals.py), second by second."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from stream_processor.scoring.counts import percent


@dataclass(frozen=True)
class RateScore:
    """Sums over the seconds in which both sides have a heart rate; the sums of records add up."""

    seconds: int = 0
    reference_only: int = 0  # seconds without a heart rate of ours
    absolute: float = 0.0  # sum of |error|, bpm
    squares: float = 0.0
    relative_squares: float = 0.0  # of the error over the reference

    @property
    def mean_bpm(self) -> float | None:
        """Mean absolute error, bpm."""
        return self.absolute / self.seconds if self.seconds else None

    @property
    def rms_bpm(self) -> float | None:
        """Root mean square error, bpm."""
        return math.sqrt(self.squares / self.seconds) if self.seconds else None

    @property
    def rms_percent(self) -> float | None:
        """Root mean square error, % of the reference."""
        return 100 * math.sqrt(self.relative_squares / self.seconds) if self.seconds else None

    @property
    def reported_percent(self) -> float | None:
        """Share of the reference's seconds for which we reported a heart rate, %."""
        return percent(self.seconds, self.seconds + self.reference_only)

    def __add__(self, other: RateScore) -> RateScore:
        return RateScore(
            self.seconds + other.seconds,
            self.reference_only + other.reference_only,
            self.absolute + other.absolute,
            self.squares + other.squares,
            self.relative_squares + other.relative_squares,
        )


class RatePair(NamedTuple):
    """Both heart rates of a second, bpm."""

    reference: float
    ours: float


def pair_rates(
    reference: Mapping[int, float], ours: Mapping[int, float], start: float
) -> list[RatePair]:
    """Return the seconds in which both sides have a heart rate; arguments as for `score_rates`."""
    return [RatePair(bpm, ours[at]) for at, bpm in reference.items() if at >= start and at in ours]


def score_rates(
    reference: Mapping[int, float], ours: Mapping[int, float], start: float
) -> RateScore:
    """Compare heart rates in bpm, each keyed by the last sample of its second at 125 Hz; seconds
    before the sample `start` are learning time."""
    due = sum(at >= start for at in reference)
    errors = [(p.ours - p.reference, p.reference) for p in pair_rates(reference, ours, start)]
    return RateScore(
        len(errors),
        due - len(errors),
        sum(abs(e) for e, _ in errors),
        sum(e * e for e, _ in errors),
        sum((e / b) ** 2 for e, b in errors),
    )
