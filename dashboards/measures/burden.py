"""Burden of atrial fibrillation day by day, from the stored rhythm episodes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dashboards.report.rhythm import UNREADABLE, ClippedEpisode

DAY_NS = 24 * 3600 * 10**9


class Day(NamedTuple):
    """One day of the wearer's calendar."""

    start_ns: int
    readable_s: float
    af_s: float
    longest_s: float  # episode of AF within the day

    @property
    def share(self) -> float | None:
        """AF's share of the readable time; None on a day without any."""
        return self.af_s / self.readable_s if self.readable_s else None


def burden(
    episodes: Sequence[ClippedEpisode], start_ns: int, end_ns: int, offset_ns: int
) -> list[Day]:
    """Each day that the period touches; `offset_ns` is how far the local clock is ahead of UTC.
    A change to summer time within the period is not followed."""
    first_ns = start_ns - (start_ns + offset_ns) % DAY_NS
    return [_day(episodes, begin) for begin in range(first_ns, end_ns, DAY_NS)]


def _day(episodes: Sequence[ClippedEpisode], start_ns: int) -> Day:
    readable, af, longest = 0.0, 0.0, 0.0
    for one in episodes:
        seconds = (min(one.end_ns, start_ns + DAY_NS) - max(one.start_ns, start_ns)) / 1e9
        if seconds <= 0 or one.label == UNREADABLE:
            continue
        readable += seconds
        if one.label == "AFIB":
            af += seconds
            longest = max(longest, seconds)
    return Day(start_ns, readable, af, longest)
