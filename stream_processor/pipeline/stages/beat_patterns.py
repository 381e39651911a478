"""Patterns of beats that are rhythms of their own: ventricular rhythm, supraventricular tachycardia,
ventricular bigeminy and trigeminy, pause. Exact to the beat. Positions are samples at 125 Hz."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import msgspec

from ingest.messages import RhythmLabel
from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.stages.seconds import LabelledBeat

KEPT = 14  # beats
RUN = 5  # beats of a ventricular rhythm or an SVT (docs/alarms.md)
CYCLES = 3  # of bigeminy or trigeminy
IVR_FASTEST_S = 0.6  # mean interval of a ventricular rhythm at least; a faster one is VT
IVR_SLOWEST_S = 3.0  # longest interval in it
SVT_S, SVT_ENDS_S = 0.4, 0.45  # interval from which an SVT begins (150/min), and ends
SUDDEN = 0.75  # an SVT begins with intervals this short against those before
PAUSE_S, PAUSE_RATIO = 2.0, 1.5  # of the usual interval, so that a bradycardia is no row of pauses


class Pattern(NamedTuple):
    """A stretch with a pattern, from the first R peak of it to the last."""

    start: float
    end: float
    label: RhythmLabel


class _Beat(NamedTuple):
    at: float
    label: str


class BeatPatterns(msgspec.Struct):
    """Follows the patterns of one patient."""

    beats: list[_Beat] = []  # newest last, since the last interval that is not known
    label: RhythmLabel | None = None
    since: float = 0.0

    def take(self, beat: LabelledBeat) -> list[Pattern]:
        """Take the next beat; return the patterns that are over with it."""
        over = self.stop() if beat.rr_s is None else []
        pause = self._pause(beat)
        self.beats = [*self.beats[-KEPT + 1 :], _Beat(beat.at, beat.label)]
        if self.label is not None and not self._goes_on():
            over.append(Pattern(self.since, self.beats[-2].at, self.label))
            self.label = None
        if self.label is None and (found := self._begins()) is not None:
            self.label, n = found
            self.since = self.beats[-n].at
        return over + pause

    def stop(self) -> list[Pattern]:
        """End every pattern in progress: the interval to the next beat is unknown."""
        over = self.open()
        self.beats, self.label = [], None
        return over

    def open(self) -> list[Pattern]:
        """Return the pattern that goes on, up to the newest beat."""
        if self.label is None:
            return []
        return [Pattern(self.since, self.beats[-1].at, self.label)]

    def _pause(self, beat: LabelledBeat) -> list[Pattern]:
        usual = [b.at - a.at for a, b in pairwise(self.beats) if a.label == b.label == "N"]
        rr = beat.rr_s
        if rr is None or rr <= PAUSE_S or len(usual) < 3:
            return []
        if rr * FS_HZ <= PAUSE_RATIO * median(usual):
            return []
        return [Pattern(beat.at - rr * FS_HZ, beat.at, "PAUSE")]

    def _begins(self) -> tuple[RhythmLabel, int] | None:
        """The pattern that the newest beats show, and how many beats of it there are."""
        run = self.beats[-RUN:]
        if len(run) == RUN and all(b.label == "V" for b in run):
            rr = _intervals(run)
            if sum(rr) >= IVR_FASTEST_S * len(rr) and max(rr) <= IVR_SLOWEST_S:
                return "IVR", RUN
        if self._is_svt(run):
            return "SVTA", RUN
        for label, period in _PERIODS.items():
            n = CYCLES * period
            v = [b.label == "V" for b in self.beats[-n:]]
            if len(v) == n and sum(v) == CYCLES and v[:-period] == v[period:]:
                return label, n
        return None

    def _is_svt(self, run: Sequence[_Beat]) -> bool:
        """Fast beats that are not V, and either S or of a sudden beginning."""
        if len(run) < RUN or any(b.label not in "NS" for b in run):
            return False
        rr = _intervals(run)
        if max(rr) >= SVT_S:
            return False
        if all(b.label == "S" for b in run):
            return True
        before = _intervals(self.beats[: -RUN + 1])
        return len(before) >= 4 and sum(rr) / len(rr) <= SUDDEN * median(before)

    def _goes_on(self) -> bool:
        a, b = self.beats[-2:]
        rr = (b.at - a.at) / FS_HZ
        if self.label == "IVR":
            recent = _intervals(self.beats[-RUN:])
            slow = sum(recent) >= IVR_FASTEST_S * len(recent)
            return b.label == "V" and rr <= IVR_SLOWEST_S and slow
        if self.label == "SVTA":
            return b.label != "V" and rr < SVT_ENDS_S
        period = _PERIODS[self.label or "B"]
        return (b.label == "V") == (self.beats[-1 - period].label == "V")


_PERIODS: dict[RhythmLabel, int] = {"B": 2, "T": 3}


def _intervals(beats: Sequence[_Beat]) -> list[float]:
    return [(b.at - a.at) / FS_HZ for a, b in pairwise(beats)]
