"""Counts of hits, misses and false positives, and the percentages computed from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


def percent(part: float, whole: float) -> float | None:
    """Return 100 * part / whole; None if the whole is 0."""
    return 100 * part / whole if whole > 0 else None


@dataclass(frozen=True)
class Counts:
    """Counts of one class: true positives, false negatives, false positives and, if they can be
    counted, true negatives."""

    tp: int = 0
    fn: int = 0
    fp: int = 0
    tn: int = 0

    @property
    def se(self) -> float | None:
        """Sensitivity, %."""
        return percent(self.tp, self.tp + self.fn)

    @property
    def ppv(self) -> float | None:
        """Positive predictivity (+P), %."""
        return percent(self.tp, self.tp + self.fp)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of sensitivity and positive predictivity, %."""
        return percent(2 * self.tp, 2 * self.tp + self.fn + self.fp)

    @property
    def fpr(self) -> float | None:
        """False positive rate, % of everything that is not of the class."""
        return percent(self.fp, self.fp + self.tn)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.tp + other.tp, self.fn + other.fn, self.fp + other.fp, self.tn + other.tn
        )


@dataclass(frozen=True)
class TwoSided:
    """Counts of runs or episodes, which are not paired one to one: hits and misses of the
    reference, hits and false positives of the test.

    Counted in events or in seconds.
    """

    se_tp: float = 0
    fn: float = 0
    p_tp: float = 0
    fp: float = 0

    @property
    def se(self) -> float | None:
        """Sensitivity, %."""
        return percent(self.se_tp, self.se_tp + self.fn)

    @property
    def ppv(self) -> float | None:
        """Positive predictivity (+P), %."""
        return percent(self.p_tp, self.p_tp + self.fp)

    def __add__(self, other: TwoSided) -> TwoSided:
        return TwoSided(
            self.se_tp + other.se_tp, self.fn + other.fn, self.p_tp + other.p_tp, self.fp + other.fp
        )


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are defined (EC57's average statistic: every record counts
    the same); None if none is."""
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
