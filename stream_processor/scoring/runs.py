"""Run-by-run comparison as in ANSI/AAMI EC57 (rxr of the WFDB package): couplets (2 beats), short
runs (3-5), long runs (6 and more).

A run is an uninterrupted sequence of ectopic beats: V and F for ventricular runs, S for
supraventricular ones. Ventricular flutter or fibrillation is a ventricular run of the longest
class, atrial fibrillation a supraventricular one. For sensitivity, each reference run is compared
with our longest run between 150 ms before its first beat and 150 ms after its last; it is found if
ours has at least the least length of its class: 2, 3 or 6. For +P, each run of ours is compared
with the reference in the same way. We differ: there is no shutdown, and AF ends with the rhythm's
label.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import NamedTuple

from stream_processor.scoring.beats import WINDOW_S
from stream_processor.scoring.counts import TwoSided
from stream_processor.scoring.reference import FIBRILLATION, Record

LONGEST = 6
CLASSES = {"couplets": (2, 2), "short runs": (3, 5), "long runs": (6, 6)}


class Kind(NamedTuple):
    """Classes of beats that make a run, and rhythms that count as one."""

    beats: str
    rhythms: frozenset[str]


VENTRICULAR = Kind("VF", FIBRILLATION)
SUPRAVENTRICULAR = Kind("S", frozenset({"AFIB", "AFL"}))


class _Run(NamedTuple):
    start: float
    end: float
    length: int  # up to LONGEST


def score_runs(reference: Record, ours: Record, kind: Kind, start_s: float) -> dict[str, TwoSided]:
    """Score couplets, short and long runs of one kind that begin at `start_s` or later."""
    ref, test = _Timeline(reference, kind), _Timeline(ours, kind)
    asked = [(run.length, test.longest(run.start, run.end)) for run in ref.runs(start_s)]
    given = [(run.length, ref.longest(run.start, run.end)) for run in test.runs(start_s)]
    return {name: _two_sided(asked, given, low, high) for name, (low, high) in CLASSES.items()}


def _two_sided(
    asked: list[tuple[int, int]], given: list[tuple[int, int]], low: int, high: int
) -> TwoSided:
    reference = [found >= low for length, found in asked if low <= length <= high]
    test = [found >= low for length, found in given if low <= length <= high]
    return TwoSided(
        sum(reference), len(reference) - sum(reference), sum(test), len(test) - sum(test)
    )


class _Timeline:
    """Beats, and spans of rhythms that count as runs, of one side; seconds, in order."""

    def __init__(self, record: Record, kind: Kind) -> None:
        fs = record.fs_hz
        self.spans = [(e.start / fs, e.end / fs) for e in record.episodes(kind.rhythms)]
        beats = [(b.sample / fs, b.label in kind.beats) for b in record.beats]
        self.beats = [b for b in beats if not any(a <= b[0] < z for a, z in self.spans)]
        self.times = [at for at, _ in self.beats]

    def runs(self, start_s: float) -> list[_Run]:
        """Return every run, single beats included, extended by 150 ms on either side."""
        found: list[_Run] = []
        events = [(at, at, 1 if is_run else 0) for at, is_run in self.beats] + [
            (a, z, LONGEST) for a, z in self.spans
        ]
        current: _Run | None = None
        for a, z, length in sorted(events):
            if length and current:
                current = _Run(current.start, z + WINDOW_S, min(LONGEST, current.length + length))
            elif length:
                current = _Run(a - WINDOW_S, z + WINDOW_S, length)
            elif current:
                found.append(current)
                current = None
        found += [current] if current else []
        return [run for run in found if run.start + WINDOW_S >= start_s]

    def longest(self, start: float, end: float) -> int:
        """Return the length of the longest run between two times; LONGEST if a rhythm that counts
        as a run overlaps them."""
        if any(a <= end and z >= start for a, z in self.spans):
            return LONGEST
        best = length = 0
        for i in range(bisect_left(self.times, start), len(self.beats)):
            at, is_run = self.beats[i]
            if at > end:
                break
            length = length + 1 if is_run else 0
            best = max(best, length)
        return min(best, LONGEST)
