"""When an alarm condition holds: one short function per kind, read against the table in docs/alarms.md.

A rule looks at the facts of one patient at a moment and answers: holds (with its onset, value and limit), does not hold (None), or cannot
be told just now (UNKNOWN: what was stays). Positions are samples at 125 Hz.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import msgspec

from ingest.messages import AlarmKind, BeatLabel
from models.conditioning import FS_HZ
from stream_processor.alarms.profiles import Profile
from stream_processor.stages.seconds import silence_s

BEATS_KEPT = 24


class Condition(NamedTuple):
    """A condition that holds."""

    onset: float
    value: float | None = None
    limit: float | None = None


class _Unknown:
    """Nothing can be said."""


UNKNOWN = _Unknown()
Answer = Condition | None | _Unknown


class Facts(msgspec.Struct):
    """What is known of one patient at the moment `now`; kept up by the engine."""

    now: float = 0.0
    quiet: float = 0.0  # the newest R peak, or where readable signal began after that
    unsure: float = 0.0  # end of the newest second without QRS that was no silence either
    beats: list[tuple[float, BeatLabel]] = []  # newest last, since the last gap, lead-off or fibrillation
    hr: float | None = None
    fibrillating: float | None = None  # since when
    lead_off: float | None = None  # since when
    noisy_s: int = 0
    af: float | None = None  # where the AF episode began
    af_until: float = 0.0  # where its last AF so far ended
    not_af: float = 0.0  # readable signal without AF since then, samples


def asystole(f: Facts, p: Profile) -> Answer:
    if f.lead_off is not None:
        return UNKNOWN
    silent = silence_s(f.now, f.quiet, f.unsure) >= p.asystole_s and f.fibrillating is None
    return Condition(f.quiet, (f.now - f.quiet) / FS_HZ, p.asystole_s) if silent else None


def pause(f: Facts, p: Profile) -> Answer:
    if f.lead_off is not None:
        return UNKNOWN
    silent = silence_s(f.now, f.quiet, f.unsure) > p.pause_s and f.fibrillating is None
    return Condition(f.quiet, (f.now - f.quiet) / FS_HZ, p.pause_s) if silent and f.beats else None


def ventricular_fibrillation(f: Facts, p: Profile) -> Answer:
    long = f.fibrillating is not None and f.now - f.fibrillating >= p.fibrillation_s * FS_HZ
    return Condition(f.fibrillating or 0.0) if long else None


def ventricular_tachycardia(f: Facts, p: Profile) -> Answer:
    run = [at for at, label in f.beats[-p.vt_beats :] if label == "V"]
    return _rate_over(run, p.vt_beats, p.vt_bpm, above=True)


def extreme_tachycardia(f: Facts, p: Profile) -> Answer:
    beats = [at for at, _ in f.beats[-p.extreme_tachycardia_beats :]]
    return _rate_over(beats, p.extreme_tachycardia_beats, p.extreme_tachycardia_bpm, above=True)


def extreme_bradycardia(f: Facts, p: Profile) -> Answer:
    beats = [at for at, _ in f.beats[-p.extreme_bradycardia_beats :]]
    slow = [b - a > 60 * FS_HZ / p.extreme_bradycardia_bpm for a, b in pairwise(beats)]
    if 2 * sum(slow) < len(slow):  # one long pause among normal beats is a pause, not a rate
        return None
    return _rate_over(beats, p.extreme_bradycardia_beats, p.extreme_bradycardia_bpm, above=False)


def hr_high(f: Facts, p: Profile) -> Answer:
    if f.hr is None:
        return UNKNOWN
    return Condition(f.now, f.hr, p.hr_high_bpm) if f.hr > p.hr_high_bpm else None


def hr_low(f: Facts, p: Profile) -> Answer:
    if f.hr is None:
        return UNKNOWN
    return Condition(f.now, f.hr, p.hr_low_bpm) if f.hr < p.hr_low_bpm else None


def atrial_fibrillation(f: Facts, p: Profile) -> Answer:
    if f.af is None:
        return None
    return Condition(f.af) if f.af_until - f.af >= p.af_s * FS_HZ else None


def lead_off(f: Facts, p: Profile) -> Answer:
    return None if f.lead_off is None else Condition(f.lead_off)


def artefact(f: Facts, p: Profile) -> Answer:
    return Condition(f.now - f.noisy_s * FS_HZ, f.noisy_s, p.artefact_s) if f.noisy_s >= p.artefact_s and f.lead_off is None else None


# Worst first, so that a worse alarm of the same moment holds the others back.
RULES: dict[AlarmKind, Callable[[Facts, Profile], Answer]] = {
    "asystole": asystole,
    "ventricular_fibrillation": ventricular_fibrillation,
    "ventricular_tachycardia": ventricular_tachycardia,
    "extreme_tachycardia": extreme_tachycardia,
    "extreme_bradycardia": extreme_bradycardia,
    "pause": pause,
    "atrial_fibrillation": atrial_fibrillation,
    "hr_high": hr_high,
    "hr_low": hr_low,
    "lead_off": lead_off,
    "artefact": artefact,
}


def _rate_over(beats: list[float], n: int, bpm: float, *, above: bool) -> Condition | None:
    """The mean rate of n consecutive beats against a limit."""
    if len(beats) < n:
        return None
    rate = 60 * FS_HZ * (n - 1) / (beats[-1] - beats[0])
    return Condition(beats[0], rate, bpm) if (rate > bpm if above else rate < bpm) else None
