"""Finds the facts of each patient's signal and beats, second by second: lead-off, silence,
ventricular waves, runs of ventricular beats. The ONE truth for the rhythm, the vital signs and the
alarms.

- Silence is the absence of QRS in a signal that is nearly still. What moves is no silence.
- A wave is movement of cardiac rate without QRS: its kind is VT where it is regular and not too
  fast, else VF (flutter counts with it, as its alarm does).
- A run is V beats in a row. A tachycardia is a fast run that began as one, and it lasts until
  beats of the forms of before come back, or the rate falls: a network that has got used to its
  beats, and calls them normal, does not end it.

An interval across lead-off, a wave, a silence or unreadable signal is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import msgspec

from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage
from stream_processor.pipeline.stages.seconds import (
    AnalysedSecond,
    Beats,
    LabelledBeat,
    Moment,
    SecondFacts,
    is_lead_off,
)
from stream_processor.pipeline.stages.waves import WaveWatch, moves

KEPT = 24  # beats
SIZES, SMALLER, INTERVALS, LEAST_INTERVALS = 12, 2, 16, 4
RUN_ENDS = 3 * FS_HZ  # without a beat, a run of V beats is over (20/min)
UNREAD = 2  # such seconds across which an interval is none
SILENT = 4 * FS_HZ  # without a QRS: the next interval says nothing of the rate
LETHAL_OF = 4  # seconds

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
# probability of V, on average, that a run needs if all its beats have a form that is new, and it
# began suddenly
NEW_FORM = 0.25
SAME_RATE = 0.12  # by which the rate of a movement may differ from that of the tachycardia
# beats in a row that are V by this probability at most, while the network for lethal rhythms sees
# nothing either, which end a tachycardia whatever their morphology and rate
UNLIKELY, UNLIKELY_BEATS = 0.1, 20
# QRS complexes, in mV of the usual one's height, that are P waves: no beats, for so long
P_WAVE, P_WAVE_S = 0.2, 300.0
STRAYS = 3  # beats in a row of earlier morphologies, or slow, that end it
VT_SILENT = 2 * FS_HZ  # without a beat and without a wave


class RecentBeat(msgspec.Struct, frozen=True):
    """The remembered properties of a recent beat."""

    at: float
    ventricular: float  # probability
    is_v: bool
    form: int


class _State(msgspec.Struct):
    rr: list[float] = []  # newest intervals between beats that are not V, samples
    sizes: list[float] = []  # of the newest QRS complexes, mV
    quiet: float = 0.0  # the newest R peak, or where readable signal began after that
    moved: float = 0.0  # end of the newest second that moved without a QRS
    lead_off: float | None = None
    watch: WaveWatch = msgspec.field(default_factory=WaveWatch)
    lethal: list[float] = []  # probability of VT or VF of the last LETHAL_OF seconds
    regular: float = 0.0  # how regularly the signal moves, and at which rate a minute
    rate: float = 0.0
    beats: list[RecentBeat] = []  # newest last, since the last gap, lead-off or wave
    run: list[float] = []  # the run of V beats that is going on
    tachycardia: list[float] = []  # newest beats of a tachycardia that is going on
    since: float = 0.0  # its first beat
    normal: list[int] = []  # forms of before it
    strays: int = 0
    unlikely: int = 0
    full: float = 0.0  # newest QRS complex that was no P wave
    broken: bool = False  # the next interval says nothing
    unread: int = 0  # unreadable seconds in a row without a QRS


class SignalFacts(StructStage[_State]):
    """Stage: Beats in, the same Beats with facts out."""

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: Sequence[Beats]) -> list[Beats]:
        """Return one Beats for each Beats."""
        return [_second(self._state[item.second.row], item) for item in batch]

    def flush(self, rows: Rows) -> list[Beats]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap; a silence in progress continues."""
        old = self._state[row]
        silent = old.lead_off is None and sample - old.quiet >= SILENT and not old.watch.on
        quiet = old.quiet if silent and old.quiet > 0 else float(sample)
        self._state[row] = _State(quiet=quiet, moved=old.moved)
        return sample


def _second(s: _State, item: Beats) -> Beats:
    second = item.second
    _take_signal(s, second)
    before = _moment(s)
    beats: list[LabelledBeat] = []
    moments: list[Moment] = []
    kept = [beat for beat in item.beats if not _is_p_wave(s, beat)]
    for beat in kept:
        across = s.broken or beat.at - s.quiet >= SILENT
        beats.append(beat._replace(rr_s=None) if across else beat)
        s.broken = False
        _take_beat(s, beat)
        moments.append(_moment(s))
    _end_of_second(s, second)
    facts = SecondFacts(before, tuple(moments), _moment(s))
    return item._replace(beats=tuple(beats), facts=facts)


def _is_p_wave(s: _State, beat: LabelledBeat) -> bool:
    """Whether a peak is far smaller than the smaller ones of the patient's QRS complexes. If those
    do not come back, the complexes themselves have become smaller."""
    if len(s.sizes) < SIZES or beat.at - s.full > P_WAVE_S * FS_HZ:
        return False
    return beat.size_mv < P_WAVE * sorted(s.sizes)[SMALLER]


def _moment(s: _State) -> Moment:
    return Moment(
        s.lead_off, s.quiet, s.moved, s.watch.wave(), tuple(s.run), tuple(s.tachycardia), s.since
    )


def _take_signal(s: _State, second: AnalysedSecond) -> None:
    """Follow lead-off and waves; after either, beats and silence are counted anew."""
    start, off = float(second.until - FS_HZ), is_lead_off(second)
    size = sorted(s.sizes)[len(s.sizes) // 2] if s.sizes else 0.0
    s.lethal = [*s.lethal[-LETHAL_OF + 1 :], second.fibrillation + second.tachycardia]
    moving = moves(second, size)
    s.regular, s.rate = (second.regular, second.rate) if moving else (0.0, 0.0)
    if off and s.lead_off is None:
        s.lead_off = start if second.lead_off else second.needed - second.still_s * FS_HZ
    if not off and s.lead_off is not None:
        s.lead_off, s.quiet = None, max(s.quiet, float(second.until))
    ended = s.watch.take(second, s.quiet, size, _usual(s))
    if ended is not None:
        s.quiet = max(s.quiet, ended)
    if moving and not second.complexes:
        s.moved = float(second.until)
    wave = s.watch.wave()
    hidden = wave is not None and (wave.kind == "VF" or not second.complexes)
    if off or hidden:
        s.beats, s.run = [], []
    s.unread = s.unread + 1 if second.noisy and not second.complexes else 0
    if off or hidden or s.unread >= UNREAD:
        s.broken = True
    if off or (wave is not None and wave.kind == "VF" and wave.lasting):
        s.tachycardia = []


def _usual(s: _State) -> float | None:
    """Return the usual heart rate, bpm, from the shorter intervals, because some beats may have
    been missed."""
    rr = sorted(s.rr)
    return 60 * FS_HZ / rr[len(rr) // 4] if len(rr) >= LEAST_INTERVALS else None


def _end_of_second(s: _State, second: AnalysedSecond) -> None:
    if s.run and second.until - s.run[-1] >= RUN_ENDS:
        s.run = []
    silent = s.tachycardia and second.until - s.tachycardia[-1] >= VT_SILENT
    if silent and not s.watch.on and not _moves_on(s):
        s.tachycardia = []


def _take_beat(s: _State, beat: LabelledBeat) -> None:
    is_v = beat.label == "V"
    kept = s.beats[-KEPT + 1 :] if beat.at - s.quiet < SILENT else []
    s.beats = [*kept, RecentBeat(beat.at, beat.ventricular, is_v, beat.form)]
    if len(kept) and not is_v and not kept[-1].is_v:
        s.rr = [*s.rr[-INTERVALS + 1 :], beat.at - kept[-1].at]
    if is_v:
        s.run = [*s.run[-KEPT + 1 :], beat.at] if s.run else [beat.at]
    else:
        s.run = []
    s.quiet = beat.at
    s.sizes, s.full = [*s.sizes[-SIZES + 1 :], beat.size_mv], beat.at
    if s.tachycardia:
        _go_on(s)
    elif is_tachycardia(s.beats, s.run, sum(s.lethal) / LETHAL_OF, s.regular):
        _begin(s)


def _begin(s: _State) -> None:
    """Begin a run, which goes back as far as beats are fast and of its morphologies; earlier
    morphologies are those of other beats."""
    some = s.beats[-VT_BEATS:]
    own = {b.form for b in some if _is_like_v(b)} or {b.form for b in some}
    first, earliest = len(s.beats) - VT_BEATS, _start_of_fast(s.beats)
    while first > earliest and (_is_like_v(s.beats[first - 1]) or s.beats[first - 1].form in own):
        first -= 1
    s.tachycardia = [b.at for b in s.beats[first:]]
    s.since, s.strays, s.unlikely = s.beats[first].at, 0, 0
    s.normal = [form for form in _forms_before(s.beats) if form not in own]


def _is_like_v(beat: RecentBeat) -> bool:
    return beat.is_v or beat.ventricular >= 0.5


def _start_of_fast(beats: Sequence[RecentBeat]) -> int:
    """Index of the first beat of the fast run that the newest beats belong to."""
    first = len(beats) - VT_BEATS
    rr = (beats[-1].at - beats[first].at) / (VT_BEATS - 1)
    while first > 0 and beats[first].at - beats[first - 1].at <= STRETCH * rr:
        first -= 1
    return first


def _forms_before(beats: Sequence[RecentBeat]) -> list[int]:
    return sorted({b.form for b in beats if not _is_like_v(b)})


def _go_on(s: _State) -> None:
    """Continue or end the run. It goes on with a fast beat that is V or of no earlier morphology,
    or, whichever beats are found, while the signal keeps moving at the run's rate."""
    beat = s.beats[-1]
    fast = beat.at - s.tachycardia[-1] <= STRETCH_AGREED * LONGEST_RR * (1 + s.strays)
    alike = beat.is_v or beat.ventricular >= 0.5 or beat.form not in s.normal
    returned = beat.form in s.normal and not beat.is_v
    doubtful = beat.ventricular <= UNLIKELY and sum(s.lethal) <= UNLIKELY * LETHAL_OF
    s.unlikely = s.unlikely + 1 if doubtful else 0
    if s.unlikely >= UNLIKELY_BEATS:
        s.tachycardia = []
        return
    if (_moves_on(s) and not returned) or (fast and alike and _rate_holds(s)):
        s.tachycardia = [*s.tachycardia[-KEPT + 1 :], beat.at]
        s.strays = 0
        return
    s.strays += 1
    if s.strays >= STRAYS or not fast:
        s.tachycardia = []


def _is_sudden(rr: float, before: Sequence[RecentBeat]) -> bool:
    """Whether intervals of this mean are a leap from those of the beats before."""
    usual = sorted(b.at - a.at for a, b in pairwise(before))
    return len(usual) >= 3 and rr <= SUDDEN * usual[len(usual) // 2]


def _moves_on(s: _State) -> bool:
    """Whether the signal still moves regularly at the rate of the tachycardia, even if single beats
    are missed."""
    rr = sorted(b - a for a, b in pairwise(s.tachycardia))
    if not rr or s.regular < SURE_REGULAR:
        return False
    return abs(s.rate * rr[len(rr) // 2] / (60 * FS_HZ) - 1) <= SAME_RATE


def _rate_holds(s: _State) -> bool:
    recent = s.beats[-VT_BEATS:]
    return len(recent) < 2 or recent[-1].at - recent[0].at < STRETCH * LONGEST_RR * (
        len(recent) - 1
    )


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
    - one that began suddenly and whose beats all have a form that the patient's beats before did
      not have, and are V with some probability.
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
    if lethal >= SURE and regular >= SURE_REGULAR:
        return True
    known = _forms_before(before)
    return likely >= NEW_FORM and all(b.form not in known for b in some)
