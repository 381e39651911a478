"""When an alarm condition holds: one short function per kind, read against the table in
docs/alarms.md.

A rule looks at the facts of one patient at a moment and answers: holds (with its onset, value and
limit), does not hold (None), or is not known at present (UNKNOWN: the alarm stays as it was).
`holding` says whether it held until now. Positions are samples at 125 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from models.signal.conditioning import FS_HZ
from stream_processor.pipeline.alarms.facts import Facts
from stream_processor.pipeline.alarms.profiles import Profile

# bpm back inside a limit before its alarm ends: a rate on the limit would ring all day
HR_MARGIN = 2.0
# longest and shortest intervals left out of the rate of many beats: a missed or an extra beat
# changes no rate
STRAY = 2


HERALDS, HERALD_S = 3, 10.0  # V beats shortly before a fibrillatory wave: artefact has none
HERALDED_S = 1.0  # then the alarm may come this much sooner


RECOVERED = 3  # beats in a row that end an asystole
REFUSED_S = 10.0  # without a chunk of another sender, there is but one again


class Condition(NamedTuple):
    """A condition that holds, or an event that happened."""

    onset: float
    value: float | None = None
    limit: float | None = None
    end: float | None = None  # of an event
    detail: str = ""  # what else the text says


class _Unknown:
    """The type of UNKNOWN: the signal allows no answer."""


UNKNOWN = _Unknown()
Answer = Condition | None | _Unknown


def asystole(f: Facts, p: Profile, holding: bool) -> Answer:
    """Asystole: it ends with the third beat within the limit of the one before, because a dying
    heart still gives single beats, and pairs."""
    if f.signal.lead_off is not None:
        return UNKNOWN
    silent = f.signal.silence_s(f.now) >= p.asystole_s
    recent = f.now - f.signal.quiet < p.asystole_s * FS_HZ
    recovers = len(f.beats) >= RECOVERED and recent
    alone = holding and not recovers and f.signal.wave is None
    since_s = max((f.now - f.signal.quiet) / FS_HZ, p.asystole_s)
    return Condition(f.signal.quiet, since_s, p.asystole_s) if silent or alone else None


def pause(f: Facts, p: Profile, holding: bool) -> Answer:
    if f.signal.lead_off is not None:
        return UNKNOWN
    silent = f.signal.silence_s(f.now) > p.pause_s and f.beats
    since_s = (f.now - f.signal.quiet) / FS_HZ
    return Condition(f.signal.quiet, since_s, p.pause_s) if silent else None


def ventricular_fibrillation(f: Facts, p: Profile, holding: bool) -> Answer:
    wave = f.signal.wave
    if wave is None or wave.kind != "VF":
        return None
    heralds = sum(0 < wave.since - at <= HERALD_S * FS_HZ for at in f.pvcs)
    needed_s = p.fibrillation_s - HERALDED_S * (heralds >= HERALDS)
    return Condition(wave.since) if holding or f.now - wave.since >= needed_s * FS_HZ else None


def ventricular_tachycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    """By a run of V beats, by a tachycardia that lasts, or by a regular wave without QRS."""
    wave, signal = f.signal.wave, f.signal
    if wave is not None and wave.kind == "VT":
        seen = f.now - wave.since >= p.fibrillation_s * FS_HZ
        if (holding or seen or signal.tachycardia) and wave.rate > p.vt_bpm:
            since = signal.tachycardia_since if signal.tachycardia else wave.since
            return Condition(since, wave.rate, p.vt_bpm)
    if signal.tachycardia:
        beats = signal.tachycardia[-p.vt_beats :]
        rate = _rate(beats, min(p.vt_beats, len(beats)))
        if rate is not None and (rate > p.vt_bpm or holding):
            return Condition(signal.tachycardia_since, rate, p.vt_bpm)
    run = signal.run[-p.vt_beats :]
    rate = _rate(run, p.vt_beats)
    return Condition(run[0], rate, p.vt_bpm) if rate is not None and rate > p.vt_bpm else None


def ventricular_rhythm(f: Facts, p: Profile, holding: bool) -> Answer:
    run = f.signal.run
    rate = None if f.signal.tachycardia else _rate(run[-p.vt_beats :], p.vt_beats)
    return (
        Condition(run[-p.vt_beats], rate)
        if rate is not None and p.ventricular_rhythm_bpm <= rate <= p.vt_bpm
        else None
    )


def ventricular_bradycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    run = f.signal.run
    rate = _rate(run[-p.vt_beats :], p.vt_beats)
    slow = rate is not None and rate < p.ventricular_rhythm_bpm
    return Condition(run[-p.vt_beats], rate, p.ventricular_rhythm_bpm) if slow else None


def svt(f: Facts, p: Profile, holding: bool) -> Answer:
    if not f.beats or f.beats[-1].label != "S":
        return None
    run = [b.at for b in f.beats[-p.svt_beats :] if b.label == "S"]
    rate = _rate(run, p.svt_beats)
    return Condition(run[0], rate, p.svt_bpm) if rate is not None and rate > p.svt_bpm else None


def extreme_tachycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    beats = [b.at for b in f.beats[-p.extreme_tachycardia_beats :]]
    rate = _rate(beats, p.extreme_tachycardia_beats, stray=STRAY if len(beats) > 4 * STRAY else 0)
    limit = p.extreme_tachycardia_bpm - holding * HR_MARGIN
    fast = rate is not None and rate > limit
    return Condition(beats[0], rate, p.extreme_tachycardia_bpm) if fast else None


def extreme_bradycardia(f: Facts, p: Profile, holding: bool) -> Answer:
    beats = [b.at for b in f.beats[-p.extreme_bradycardia_beats :]]
    slow = [
        b - a > 60 * FS_HZ / (p.extreme_bradycardia_bpm + holding * HR_MARGIN)
        for a, b in pairwise(beats)
    ]
    rate = _rate(beats, p.extreme_bradycardia_beats)
    limit = p.extreme_bradycardia_bpm + holding * HR_MARGIN
    # one long pause among normal beats is a pause, not a rate; beats within a wave are few of many
    if f.signal.wave is not None or rate is None or 2 * sum(slow) < len(slow):
        return None
    return Condition(beats[0], rate, p.extreme_bradycardia_bpm) if rate < limit else None


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
    return None if f.signal.lead_off is None else Condition(f.signal.lead_off)


def artefact(f: Facts, p: Profile, holding: bool) -> Answer:
    return (
        Condition(f.now - f.noisy_s * FS_HZ, f.noisy_s, p.artefact_s)
        if f.noisy_s >= p.artefact_s and f.signal.lead_off is None
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


def _rate(beats: Sequence[float], n: int, stray: int = 0) -> float | None:
    """The rate of n consecutive beats per minute, without the longest and shortest `stray`
    intervals; None if there are fewer."""
    if len(beats) < n or n < 2:
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
