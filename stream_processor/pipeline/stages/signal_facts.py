"""Finds the facts of each patient's signal and beats, second by second: lead-off, silence,
ventricular waves, runs of ventricular beats. The rhythm, the vital signs and the alarms all read
these.

- Silence is the absence of QRS in a signal that is nearly still. A signal that moves is not silent.
- A wave is movement of cardiac rate without QRS: its kind is VT if it is regular and not too fast,
  else VF (flutter counts with it, as its alarm does). See waves.py.
- A run is V beats in a row; a fast one is a tachycardia. See tachycardia.py.

An interval across lead-off, a wave, a silence or unreadable signal is unknown.
"""

from __future__ import annotations

from collections.abc import Sequence

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
from stream_processor.pipeline.stages.tachycardia import RecentBeat, RunWatch, Surroundings
from stream_processor.pipeline.stages.waves import WaveWatch, moves

SIZES, SMALLER, INTERVALS, LEAST_INTERVALS = 12, 2, 16, 4
UNREAD = 2  # unreadable seconds in a row across which an interval is unknown
SILENT = 4 * FS_HZ  # without a QRS: the next interval says nothing of the rate
LETHAL_OF = 4  # seconds
# QRS complexes, in mV of the usual one's height, that are P waves: no beats, for so long; and the
# same once no complex has come for some time, because noise adds to P waves, up to so many mV
P_WAVE, P_WAVE_S = 0.2, 300.0
P_WAVE_ALONE, P_WAVE_MV, ALONE = 0.3, 0.35, 2 * FS_HZ


class _State(msgspec.Struct):
    rr: list[float] = []  # newest intervals between beats that are not V, samples
    sizes: list[float] = []  # of the newest QRS complexes, mV
    quiet: float = 0.0  # the newest R peak, or where readable signal began after that
    moved: float = 0.0  # end of the newest second that moved without a QRS
    lead_off: float | None = None
    waves: WaveWatch = msgspec.field(default_factory=WaveWatch)
    runs: RunWatch = msgspec.field(default_factory=RunWatch)
    lethal: list[float] = []  # probability of VT or VF of the last LETHAL_OF seconds
    regular: float = 0.0  # how regularly the signal moves
    rate: float = 0.0  # and at which rate a minute
    full: float = 0.0  # newest QRS complex that was no P wave
    broken: bool = False  # the next interval is unknown
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
        silent = old.lead_off is None and sample - old.quiet >= SILENT and not old.waves.on
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
    s.runs.pass_second(second.until, s.waves.on, _around(s))
    facts = SecondFacts(before, tuple(moments), _moment(s))
    return item._replace(beats=tuple(beats), facts=facts)


def _is_p_wave(s: _State, beat: LabelledBeat) -> bool:
    """Whether a peak is far smaller than the smaller ones of the patient's QRS complexes. If those
    do not come back, the complexes themselves have become smaller."""
    if len(s.sizes) < SIZES or beat.at - s.full > P_WAVE_S * FS_HZ:
        return False
    usual = sorted(s.sizes)[SMALLER]
    alone = beat.at - s.full > ALONE and beat.size_mv < P_WAVE_MV
    return beat.size_mv < (P_WAVE_ALONE if alone else P_WAVE) * usual


def _moment(s: _State) -> Moment:
    return Moment(
        lead_off=s.lead_off,
        quiet=s.quiet,
        moved=s.moved,
        wave=s.waves.wave(),
        run=tuple(s.runs.run),
        tachycardia=tuple(s.runs.tachycardia),
        tachycardia_since=s.runs.since,
    )


def _around(s: _State) -> Surroundings:
    return Surroundings(sum(s.lethal) / LETHAL_OF, s.regular, s.rate)


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
    ended = s.waves.take(second, s.quiet, size, _usual(s))
    if ended is not None:
        s.quiet = max(s.quiet, ended)
    if moving and not second.complexes:
        s.moved = float(second.until)
    wave = s.waves.wave()
    hidden = wave is not None and (wave.kind == "VF" or not second.complexes)
    if off or hidden:
        s.runs.interrupt()
    s.unread = s.unread + 1 if second.noisy and not second.complexes else 0
    if off or hidden or s.unread >= UNREAD:
        s.broken = True
    if off or (wave is not None and wave.kind == "VF" and wave.lasting):
        s.runs.end()


def _usual(s: _State) -> float | None:
    """Return the usual heart rate, bpm, from the shorter intervals, because some beats may have
    been missed."""
    rr = sorted(s.rr)
    return 60 * FS_HZ / rr[len(rr) // 4] if len(rr) >= LEAST_INTERVALS else None


def _take_beat(s: _State, beat: LabelledBeat) -> None:
    recent = RecentBeat(beat.at, beat.ventricular, beat.label == "V", beat.template, beat.conducted)
    interval = s.runs.take(recent, beat.at - s.quiet < SILENT, _around(s))
    if interval is not None:
        s.rr = [*s.rr[-INTERVALS + 1 :], interval]
    s.quiet = beat.at
    s.sizes, s.full = [*s.sizes[-SIZES + 1 :], beat.size_mv], beat.at
