"""When an alarm condition holds: one short function per kind, read against the table in
docs/alarms.md.

A rule looks at the facts of one patient at a moment and answers: holds (with its onset, value and
limit), does not hold (None), or cannot be told just now (UNKNOWN: what was stays). `holding` says
whether it held until now. Positions are samples at 125 Hz.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.facts import Facts
from stream_processor.pipeline.alarms.profiles import Profile
from stream_processor.pipeline.stages.seconds import silence_s

# bpm back inside a limit before its alarm ends: a rate on the limit would ring all day
HR_MARGIN = 2.0
# longest and shortest intervals left out of the rate of many beats: a missed or an extra beat
# changes no rate
STRAY = 2


BEFORE_RUN = 8  # intervals that a run is compared with
SUDDEN = 0.8  # of the usual interval
DOUBTFUL = 0.05  # probability of V from which a beat may be the first of a run
STRETCH = 1.25  # longest interval in a run against that of the limit
# mean probability of VT or VF, by the network for lethal rhythms, from which it bears a run out; it
# comes some seconds late
AGREED = 0.4
STRETCH_AGREED = 1.5  # longest interval then


HERALDS, HERALD_S = 3, 10.0  # V beats shortly before a fibrillatory wave: artefact has none
HERALDED_S = 1.0  # by so much sooner is it told then


REFUSED_S = 10.0  # without a chunk of another sender, there is but one again


class Condition(NamedTuple):
    """A condition that holds, or an event that happened."""

    onset: float
    value: float | None = None
    limit: float | None = None
    end: float | None = None  # of an event
    detail: str = ""  # what else the text says


class _Unknown:
    """Nothing can be said."""


UNKNOWN = _Unknown()
Answer = Condition | None | _Unknown


def asystole(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.lead_off is not None:
        return UNKNOWN
    silent = silence_s(f.now, f.quiet, f.unsure) >= p.asystole_s and f.fibrillating is None
    return Condition(f.quiet, (f.now - f.quiet) / FS_HZ, p.asystole_s) if silent else None


def pause(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.lead_off is not None:
        return UNKNOWN
    silent = silence_s(f.now, f.quiet, f.unsure) > p.pause_s and f.fibrillating is None
    return Condition(f.quiet, (f.now - f.quiet) / FS_HZ, p.pause_s) if silent and f.beats else None


def ventricular_fibrillation(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.fibrillating is None:
        return None
    heralds = sum(0 < f.fibrillating - at <= HERALD_S * FS_HZ for at in f.pvcs)
    needed_s = p.fibrillation_s - HERALDED_S * (heralds >= HERALDS)
    return (
        Condition(f.fibrillating) if holding or f.now - f.fibrillating >= needed_s * FS_HZ else None
    )


def ventricular_tachycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    if not f.run and not holding:
        return None
    run = f.run[-p.vt_beats :]
    if len(run) < p.vt_beats and _is_fast_and_mostly_v(f, p, holding):
        run = [b.at for b in f.beats[-p.vt_beats :]]
    rate = _rate(run, p.vt_beats)
    return Condition(run[0], rate, p.vt_bpm) if rate is not None and rate > p.vt_bpm else None


def ventricular_rhythm(f: Facts, p: Profile, holding: bool) -> Answer:
    rate = _rate(f.run[-p.vt_beats :], p.vt_beats)
    return (
        Condition(f.run[-p.vt_beats], rate)
        if rate is not None and p.ventricular_rhythm_bpm <= rate <= p.vt_bpm
        else None
    )


def ventricular_bradycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    rate = _rate(f.run[-p.vt_beats :], p.vt_beats)
    slow = rate is not None and rate < p.ventricular_rhythm_bpm
    return Condition(f.run[-p.vt_beats], rate, p.ventricular_rhythm_bpm) if slow else None


def svt(f: Facts, p: Profile, holding: bool) -> Answer:
    if not f.beats or f.beats[-1].label != "S":
        return None
    run = [b.at for b in f.beats[-p.svt_beats :] if b.label == "S"]
    rate = _rate(run, p.svt_beats)
    return Condition(run[0], rate, p.svt_bpm) if rate is not None and rate > p.svt_bpm else None


def extreme_tachycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    beats = [b.at for b in f.beats[-p.extreme_tachycardia_beats :]]
    rate = _rate(beats, p.extreme_tachycardia_beats, stray=STRAY if len(beats) > 4 * STRAY else 0)
    return (
        Condition(beats[0], rate, p.extreme_tachycardia_bpm)
        if rate is not None and rate > p.extreme_tachycardia_bpm
        else None
    )


def extreme_bradycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    beats = [b.at for b in f.beats[-p.extreme_bradycardia_beats :]]
    slow = [b - a > 60 * FS_HZ / p.extreme_bradycardia_bpm for a, b in pairwise(beats)]
    rate = _rate(beats, p.extreme_bradycardia_beats)
    # one long pause among normal beats is a pause, not a rate
    if rate is None or 2 * sum(slow) < len(slow):
        return None
    return (
        Condition(beats[0], rate, p.extreme_bradycardia_bpm)
        if rate < p.extreme_bradycardia_bpm
        else None
    )


def hr_high(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.hr is None:
        return UNKNOWN
    return (
        Condition(f.now, f.hr, p.hr_high_bpm)
        if f.hr > p.hr_high_bpm - holding * HR_MARGIN
        else None
    )


def hr_low(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.hr is None:
        return UNKNOWN
    return (
        Condition(f.now, f.hr, p.hr_low_bpm) if f.hr < p.hr_low_bpm + holding * HR_MARGIN else None
    )


def atrial_fibrillation(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.af is None:
        return None
    return Condition(f.af) if f.af_until - f.af >= p.af_s * FS_HZ else None


def bigeminy(f: Facts, p: Profile, holding: bool) -> Answer:
    return _pattern(f, period=2)


def trigeminy(f: Facts, p: Profile, holding: bool) -> Answer:
    return _pattern(f, period=3)


def pvc_per_minute(f: Facts, p: Profile, holding: bool) -> Answer:
    n = len(f.pvcs)
    return Condition(f.pvcs[0], n, p.pvc_per_minute) if n > p.pvc_per_minute else None


def lead_off(f: Facts, p: Profile, holding: bool) -> Answer:
    return None if f.lead_off is None else Condition(f.lead_off)


def artefact(f: Facts, p: Profile, holding: bool) -> Answer:
    return (
        Condition(f.now - f.noisy_s * FS_HZ, f.noisy_s, p.artefact_s)
        if f.noisy_s >= p.artefact_s and f.lead_off is None
        else None
    )


def battery(f: Facts, p: Profile, holding: bool) -> Answer:
    return (
        Condition(f.now, f.battery, p.battery)
        if f.battery is not None and f.battery < p.battery
        else None
    )


def device(f: Facts, p: Profile, holding: bool) -> Answer:
    return Condition(f.now) if f.fault else None


def two_senders(f: Facts, p: Profile, holding: bool) -> Answer:
    recent = f.refused and f.now - f.refused_at < REFUSED_S * FS_HZ
    return Condition(f.now, detail=f.refused) if recent else None


def _is_fast_and_mostly_v(f: Facts, p: Profile, holding: bool) -> bool:
    """A run that is all in all more likely V than not, and began suddenly: a beat in it that was
    called N does not hide it.

    It ends with a V beat and begins with one that may be V, so that a short run does not grow by
    its neighbours. Where the network for lethal rhythms sees one too (AGREED), intervals may be
    longer and the beginning need not have been seen.
    """
    run, before = f.beats[-p.vt_beats :], f.beats[-p.vt_beats - BEFORE_RUN : -p.vt_beats + 1]
    if len(run) < p.vt_beats or (
        not holding and (run[-1].ventricular < 0.5 or run[0].ventricular < DOUBTFUL)
    ):
        return False
    rr, agreed = [b.at - a.at for a, b in pairwise(run)], f.lethal_mean >= AGREED
    if (
        sum(b.ventricular for b in run) < 0.5 * len(run)
        or max(rr) > (STRETCH_AGREED if agreed else STRETCH) * 60 * FS_HZ / p.vt_bpm
    ):
        return False
    usual = sorted(b.at - a.at for a, b in pairwise(before))
    return (
        holding
        or agreed
        or (len(usual) >= 3 and sum(rr) / len(rr) <= SUDDEN * usual[len(usual) // 2])
    )


def _rate(beats: list[float], n: int, stray: int = 0) -> float | None:
    """The rate of n consecutive beats per minute, without the longest and shortest `stray`
    intervals; None where there are fewer."""
    if len(beats) < n:
        return None
    if not stray:
        return 60 * FS_HZ * (n - 1) / (beats[-1] - beats[0])
    kept = sorted(b - a for a, b in pairwise(beats))[stray:-stray]
    return 60 * FS_HZ * len(kept) / sum(kept)


def _pattern(f: Facts, period: int) -> Condition | None:
    """Three cycles, up to the newest beat, of which only each one's last beat is V; they may have
    been cut anywhere."""
    if len(f.pvcs) < 3:
        return None
    recent = f.beats[-3 * period :]
    v = [b.label == "V" for b in recent]
    repeats = (
        len(v) == 3 * period
        and sum(v) == 3
        and all(a == b for a, b in zip(v, v[period:], strict=False))
    )
    return Condition(recent[0].at) if repeats else None
