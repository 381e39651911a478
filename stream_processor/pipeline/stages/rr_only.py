"""The path of a heart rate strap: RR intervals without a trace (ingest/messages/rr_channel.py).

What it may say: the heart rate, that an interval was long, that contact is lost, and whether the
intervals are irregular. What it never says: which rhythm it is, which beats are ventricular, and that
the heart stands still: a strap that finds no beat sends no interval, for whatever reason.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.messages.rr_channel import RR_FS_HZ
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import (
    AnalysedSecond,
    Beats,
    LabelledBeat,
    Moment,
    SecondFacts,
)
from stream_processor.pipeline.stages.vitals import RECENT, STALE, Reason, VitalSigns, heart_rate

SAMPLES = int(RR_FS_HZ)  # of a second
SLACK_S = 0.06  # by which a beat's distance from the one before may differ from its RR interval
QUALITY_S = 10
HINT_S = 10  # seconds between two words on regularity
HINT_OF, HINT_LEAST = 60, 30  # newest intervals that it is drawn from, and the fewest
STEP, IRREGULAR = 0.1, 0.3  # a step of 10 % from interval to interval, and the share of such steps


class RrRun(NamedTuple):
    """Consecutive samples of one row's RR channel."""

    row: int
    first: int  # sample, at 100 Hz since the start of the stream
    counts: npt.NDArray[np.int16]
    lead_off: bool


class RrSecond(NamedTuple):
    """A second of one row, as the alarm engine reads those of a trace; `broken`: beats are missing
    before its first one, so that rates are counted anew."""

    row: int
    beats: Beats
    signs: VitalSigns
    spans: list[Span]
    broken: bool


class _State(msgspec.Struct):
    marks: list[tuple[int, int]] = []  # of the second that is not full yet: (sample, value)
    off: bool = False  # lead off within that second
    off_since: float | None = None
    last: float | None = None  # the newest beat, in samples at 125 Hz
    begin: int = 0  # the first sample since the start or the last gap, at 125 Hz
    rr: list[float] = []  # the newest intervals, s
    covered: list[float] = []  # share of each of the last 10 s that intervals cover
    own_rate: tuple[float, int] | None = None  # the strap's own rate, and when at 125 Hz


class RrMeter(StructStage[_State]):
    """Stage: RrRuns in, RrSeconds out, one for each full second on the grid of the stream."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: list[RrRun]) -> list[RrSecond]:
        """Return the seconds that are full now."""
        return [second for run in batch for second in self._run(run)]

    def flush(self, rows: Rows) -> list[RrSecond]:
        """Return nothing: less than a second is pending, which no rate depends on."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Begin anew after a gap."""
        self._state[row] = _State(begin=sample)
        return sample

    def _run(self, run: RrRun) -> list[RrSecond]:
        state, out = self._state[run.row], list[RrSecond]()
        at, end = run.first, run.first + len(run.counts)
        while at < end:
            until = min(end, (at // SAMPLES + 1) * SAMPLES)
            part = run.counts[at - run.first : until - run.first]
            state.marks += [(at + int(i), int(part[i])) for i in np.flatnonzero(part)]
            state.off |= run.lead_off
            if until % SAMPLES == 0:
                out.append(_second(state, run.row, until // SAMPLES))
                state.marks, state.off = [], False
            at = until
        return out


def _second(state: _State, row: int, k: int) -> RrSecond:
    """Return second number k - 1, which ends at k s."""
    until, start = k * FS_HZ, (k - 1) * FS_HZ
    if state.off:
        state.off_since = float(start) if state.off_since is None else state.off_since
        state.last, state.rr, state.own_rate = None, [], None
        beats, broken = list[LabelledBeat](), False
        state.marks = []
    else:
        state.off_since = None
        quiet = state.last
        beats, broken = _beats(state, until)
    before = Moment(state.off_since, float(until))
    if beats and not broken and not state.off and quiet is not None:
        before = Moment(None, quiet)
    after = Moment(state.off_since, float(until))
    facts = SecondFacts(before, tuple(Moment(None, beat.at) for beat in beats), after)
    covered_s = sum(max(value, 0) for _, value in state.marks) / 1000
    state.covered = [*state.covered[-QUALITY_S + 1 :], covered_s]
    second = AnalysedSecond(
        row,
        k - 1,
        until,
        until,
        (),
        0.0,
        noisy=False,
        unsure=False,
        still_s=0.0,
        lead_off=state.off,
    )
    return RrSecond(
        row,
        Beats(second, tuple(beats), facts),
        _signs(state, row, until),
        _hint(state, row, k),
        broken,
    )


def _beats(state: _State, until: int) -> tuple[list[LabelledBeat], bool]:
    """Return the beats of the second, and whether some are missing before or between them: then
    only those after the last hole."""
    found, broken = list[LabelledBeat](), False
    for sample, value in state.marks:
        at = sample * FS_HZ / SAMPLES
        if value < 0:
            state.own_rate = (-float(value), until)
            continue
        rr_s = value / 1000
        if state.last is None or abs((at - state.last) / FS_HZ - rr_s) > SLACK_S:
            broken = broken or state.last is not None
            found = []
        state.rr = [*state.rr[-HINT_OF + 1 :], rr_s]
        state.last = at
        found.append(LabelledBeat(at, rr_s, "Q", 1.0, 1.0, 0.0))
    return found, broken


def _signs(state: _State, row: int, until: int) -> VitalSigns:
    """Return the heart rate by the intervals; by the strap's own word if it sends no intervals."""
    stale = state.last is None or until - state.last > STALE
    rate = None if stale else heart_rate(state.rr[-RECENT:])
    reason: Reason = ""
    if rate is None and state.own_rate is not None and until - state.own_rate[1] <= STALE:
        rate = state.own_rate[0]
    if state.off:
        rate, reason = None, "lead off"
    elif rate is None:
        reason = "starting" if until - state.begin <= STALE else "no RR"
    quality = min(1.0, sum(state.covered) / QUALITY_S)
    return VitalSigns(row, until, rate, quality, 0, reason)


def _hint(state: _State, row: int, k: int) -> list[Span]:
    """Return a word on regularity for the last ten seconds, every ten seconds. The rhythm itself is
    unreadable: a burden of AF, say, is a share of the time that was readable."""
    start, end = max(state.begin, (k - HINT_S) * FS_HZ), k * FS_HZ
    if k % HINT_S or start >= end:
        return []
    if state.off or len(state.rr) < HINT_LEAST:
        return [Span(row, start, end, "~", 1.0, "RR only: too few intervals")]
    steps = [abs(b - a) > STEP * a for a, b in pairwise(state.rr)]
    share = sum(steps) / len(steps)
    word = "irregular" if share > IRREGULAR else "regular"
    return [Span(row, start, end, "~", 1.0, f"RR only: intervals {word}")]
