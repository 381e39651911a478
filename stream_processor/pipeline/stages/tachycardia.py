"""Follows runs of ventricular beats, and the tachycardia that a fast one becomes, of one patient.

A tachycardia begins as a fast run, and lasts until beats of the earlier morphologies come back or
the rate falls: a network that has got used to its beats, and calls them normal, does not end it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

import msgspec

from models.signal.conditioning import FS_HZ

KEPT = 24  # beats
RUN_ENDS = 3 * FS_HZ  # without a beat, a run of V beats is over (20/min)

# A tachycardia by beats; its limits are those of the adult profile, an alarm may have others
VT_BEATS, VT_BPM = 5, 100.0
LONGEST_RR = 60 * FS_HZ / VT_BPM
STRETCH = 1.25  # longest interval in a run against that of the limit
BEFORE_RUN = 8  # intervals that a run is compared with
SUDDEN = 0.8  # of the usual interval
DOUBTFUL = 0.05  # probability of V from which a beat may be the first of a run
# mean probability of VT or VF, by the network for lethal rhythms, from which it bears a run out; it
# comes some seconds late
AGREED = 0.4
STRETCH_AGREED = 1.5  # longest interval then
# the same from which, in a regular rhythm, it stands for a run by itself, if that began suddenly
SURE, SURE_REGULAR = 0.8, 0.6
BOTH, BOTH_REGULAR = 0.6, 0.95  # of a rhythm that is very regular
# probability of V, on average, that a run needs if all its beats have a new morphology, and it
# began suddenly
NEW_TEMPLATE = 0.25
# mean interval of such a run of conducted beats; the adult limit of extreme tachycardia is slower
FAST_RR = 0.4 * FS_HZ
SAME_RATE = 0.12  # by which the rate of a movement may differ from that of the tachycardia
# beats in a row that are V by this probability at most, while the network for lethal rhythms sees
# nothing either, which end a tachycardia whatever their morphology and rate
UNLIKELY, UNLIKELY_BEATS = 0.1, 20
STRAYS = 3  # beats in a row of earlier morphologies, or slow, that end it
VT_SILENT = 2 * FS_HZ  # without a beat and without a wave


class RecentBeat(msgspec.Struct, frozen=True):
    """The remembered properties of a recent beat."""

    at: float
    ventricular: float  # probability
    is_v: bool
    template: int
    conducted: bool = False


class Surroundings(NamedTuple):
    """How the signal around a beat looks to the network for lethal rhythms, and how it moves."""

    lethal: float  # mean probability of VT or VF over the last seconds
    regular: float  # how regularly the signal moves
    rate: float  # and at which rate a minute


class RunWatch(msgspec.Struct):
    """The runs of one patient. Positions are samples at 125 Hz."""

    beats: list[RecentBeat] = []  # newest last, since the last gap, lead-off or wave
    run: list[float] = []  # the run of V beats in progress
    tachycardia: list[float] = []  # newest beats of a tachycardia in progress
    since: float = 0.0  # its first beat
    earlier: list[int] = []  # morphologies of the beats before it
    strays: int = 0
    unlikely: int = 0

    def take(self, beat: RecentBeat, follows: bool, around: Surroundings) -> float | None:
        """Follow the next beat. Returns the interval to the beat before, if both are known not to
        be V. `follows`: False after a silence, across which no interval reaches."""
        kept = self.beats[-KEPT + 1 :] if follows else []
        self.beats = [*kept, beat]
        if beat.is_v:
            self.run = [*self.run[-KEPT + 1 :], beat.at]
        else:
            self.run = []
        if self.tachycardia:
            self._go_on(around)
        elif is_tachycardia(self.beats, self.run, around.lethal, around.regular):
            self._begin()
        both_normal = len(kept) and not beat.is_v and not kept[-1].is_v
        return beat.at - kept[-1].at if both_normal else None

    def interrupt(self) -> None:
        """Forget the beats so far: lead-off or a wave hides those that follow."""
        self.beats, self.run = [], []

    def end(self) -> None:
        """End the tachycardia."""
        self.tachycardia = []

    def pass_second(self, until: int, waving: bool, around: Surroundings) -> None:
        """End what has had no beat for too long by the end of a second. `waving`: a ventricular
        wave is in progress."""
        if self.run and until - self.run[-1] >= RUN_ENDS:
            self.run = []
        silent = self.tachycardia and until - self.tachycardia[-1] >= VT_SILENT
        if silent and not waving and not self._moves_on(around):
            self.end()

    def _begin(self) -> None:
        """Begin a tachycardia, which goes back as far as beats are fast and of its morphologies;
        earlier morphologies are those of other beats."""
        beats = self.beats
        some = beats[-VT_BEATS:]
        own = {b.template for b in some if _is_like_v(b)} or {b.template for b in some}
        first, earliest = len(beats) - VT_BEATS, _start_of_fast(beats)
        while first > earliest and (
            _is_like_v(beats[first - 1]) or beats[first - 1].template in own
        ):
            first -= 1
        self.tachycardia = [b.at for b in beats[first:]]
        self.since, self.strays, self.unlikely = beats[first].at, 0, 0
        self.earlier = [template for template in _templates_before(beats) if template not in own]

    def _go_on(self, around: Surroundings) -> None:
        """Continue or end the tachycardia. It goes on with a fast beat that is V or of no earlier
        morphology, or, whichever beats are found, while the signal keeps moving at its rate."""
        beat = self.beats[-1]
        fast = beat.at - self.tachycardia[-1] <= STRETCH_AGREED * LONGEST_RR * (1 + self.strays)
        alike = beat.is_v or beat.ventricular >= 0.5 or beat.template not in self.earlier
        returned = beat.template in self.earlier and not beat.is_v
        doubtful = beat.ventricular <= UNLIKELY and around.lethal <= UNLIKELY
        self.unlikely = self.unlikely + 1 if doubtful else 0
        if self.unlikely >= UNLIKELY_BEATS:
            self.end()
            return
        sure = around.lethal >= SURE
        moves_on = self._moves_on(around) and (sure or not returned)
        if moves_on or (fast and alike and self._rate_holds()):
            self.tachycardia = [*self.tachycardia[-KEPT + 1 :], beat.at]
            self.strays = 0
            return
        self.strays += 1
        if self.strays >= STRAYS or not fast:
            self.end()

    def _moves_on(self, around: Surroundings) -> bool:
        """Whether the signal still moves regularly at the rate of the tachycardia, even if single
        beats are missed."""
        rr = sorted(b - a for a, b in pairwise(self.tachycardia))
        if not rr or around.regular < SURE_REGULAR:
            return False
        return abs(around.rate * rr[len(rr) // 2] / (60 * FS_HZ) - 1) <= SAME_RATE

    def _rate_holds(self) -> bool:
        recent = self.beats[-VT_BEATS:]
        if len(recent) < 2:
            return True
        return recent[-1].at - recent[0].at < STRETCH * LONGEST_RR * (len(recent) - 1)


def is_tachycardia(
    beats: Sequence[RecentBeat], run: Sequence[float], lethal: float, regular: float
) -> bool:
    """Whether the newest beats are a run of VT, faster than VT_BPM. Either

    - VT_BEATS V beats in a row; or
    - a run that is all in all more likely V than not, and began suddenly: a beat in it that was
      called N does not hide it. It ends with a V beat and begins with one that may be V, so that a
      short run does not grow by its neighbours. If the network for lethal rhythms sees one too
      (AGREED), intervals may be longer and the beginning need not have been seen; or
    - a regular run that began suddenly, of which that network is SURE; or
    - one that began suddenly and whose beats all have a morphology that the patient's earlier
      beats did not have, and are V with some probability.

    A run of conducted beats that is faster than FAST_RR is none of these: it is supraventricular,
    and an extreme tachycardia.
    """
    newest = run[-VT_BEATS:]
    if len(newest) == VT_BEATS and newest[-1] - newest[0] < LONGEST_RR * (VT_BEATS - 1):
        return True
    some = beats[-VT_BEATS:]
    if len(some) < VT_BEATS:
        return False
    rr, agreed = [b.at - a.at for a, b in pairwise(some)], lethal >= AGREED
    if sum(rr) >= LONGEST_RR * len(rr) or max(rr) > LONGEST_RR * (
        STRETCH_AGREED if agreed else STRETCH
    ):
        return False
    if sum(rr) <= FAST_RR * len(rr) and sum(b.conducted for b in some) >= VT_BEATS - 1:
        return False
    likely = sum(b.ventricular for b in some) / len(some)
    mostly = some[-1].ventricular >= 0.5 and some[0].ventricular >= DOUBTFUL and likely >= 0.5
    if mostly and agreed:
        return True
    mean = sum(rr) / len(rr)
    if mostly and _is_sudden(mean, beats[-VT_BEATS - BEFORE_RUN : -VT_BEATS + 1]):
        return True
    before = beats[: _start_of_fast(beats)]
    if not _is_sudden(mean, before[-BEFORE_RUN - 1 :]):
        return False
    if (lethal >= SURE and regular >= SURE_REGULAR) or (lethal >= BOTH and regular >= BOTH_REGULAR):
        return True
    known = _templates_before(before)
    return likely >= NEW_TEMPLATE and all(b.template not in known for b in some)


def _is_like_v(beat: RecentBeat) -> bool:
    return beat.is_v or beat.ventricular >= 0.5


def _start_of_fast(beats: Sequence[RecentBeat]) -> int:
    """Index of the first beat of the fast run that the newest beats belong to."""
    first = len(beats) - VT_BEATS
    rr = (beats[-1].at - beats[first].at) / (VT_BEATS - 1)
    while first > 0 and beats[first].at - beats[first - 1].at <= STRETCH * rr:
        first -= 1
    return first


def _templates_before(beats: Sequence[RecentBeat]) -> list[int]:
    return sorted({b.template for b in beats if not _is_like_v(b)})


def _is_sudden(rr: float, before: Sequence[RecentBeat]) -> bool:
    """Whether intervals of this mean are a leap from those of the beats before."""
    usual = sorted(b.at - a.at for a, b in pairwise(before))
    return len(usual) >= 3 and rr <= SUDDEN * usual[len(usual) // 2]
