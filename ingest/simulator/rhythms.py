"""Rhythms of a script: when each beat comes, of which kind, and the reference annotation of each.

Each rhythm plays one segment on a Heart (heart.py) and leaves `due_s` at the time at which the sinus
node would lead again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

from ingest.simulator import script
from ingest.simulator.events import EctopySchedule, Event
from ingest.simulator.heart import EDGE_S, Heart

STUNNED_RATE = 45.0  # of the sinus node just after fibrillation or asystole, 1/min
ABERRANT_RUN = 4  # consecutive beats with bundle branch block
LABELS = {
    "sinus": "(N",
    "bradycardia": "(N",
    "tachycardia": "(N",
    "bigeminy": "(B",
    "trigeminy": "(T",
    "afib": "(AFIB",
    "svt": "(SVTA",
    "vt": "(VT",
    "ventricular": "(IVR",
    "paced": "(P",
    "vf": "(VF",
    "flutter": "(VFL",
    "agonal": "(IVR",
    "asystole": "(ASYS",
    "lead_off": "(~",
}


def play(heart: Heart, segment: script.Segment, start_s: float, end_s: float) -> Iterator[Event]:
    """Yield beats and annotations of one segment in order of time; a wave without a symbol may come
    up to 1 s late."""
    if not heart.label:
        heart.rr_s = 60 / getattr(segment, "rate", 70)
    # these end with their segment, even if the next beat comes later
    if not heart.label or heart.label in ("(VF", "(VFL", "(~"):
        yield from heart.mark(LABELS[segment.rhythm], start_s)
    yield from _PLAYS.get(segment.rhythm, _sinus)(heart, segment, start_s, end_s - EDGE_S)


def _sinus(
    heart: Heart, segment: script.SinusRhythm, start_s: float, end_s: float
) -> Iterator[Event]:
    per_minute = {
        "pvc": segment.pvc_per_minute,
        "couplet": segment.couplets_per_minute,
        "run": segment.nsvt_per_minute,
        "pac": segment.pac_per_minute,
        "pause": segment.pauses_per_minute,
    }
    ectopy = EctopySchedule(per_minute, start_s, heart.rng)
    for time_s in heart.sinus_node(segment.rate, start_s, end_s):
        yield from heart.sinus_beat(time_s, "(N")
        kind = ectopy.due(time_s)
        if kind == "pause":
            heart.due_s = time_s + segment.pause_s
        elif kind == "pac":
            yield from heart.premature_atrial(time_s, end_s)
        elif kind is not None:
            beats = {"pvc": 1, "couplet": 2, "run": segment.nsvt_beats}[kind]
            cycle_s = 60 / segment.nsvt_rate if kind == "run" else 0.46
            yield from heart.premature_ventricular(
                time_s, end_s, beats, cycle_s, segment.pvc_coupling_s
            )


def _geminy(heart: Heart, segment: script.Ectopy, start_s: float, end_s: float) -> Iterator[Event]:
    sinus_beats = 1 if segment.rhythm == "bigeminy" else 2
    for number, time_s in enumerate(heart.sinus_node(segment.rate, start_s, end_s), 1):
        yield from heart.sinus_beat(time_s, LABELS[segment.rhythm])
        if number % sinus_beats == 0:
            yield from heart.premature_ventricular(time_s, end_s)


def _afib(heart: Heart, segment: script.Afib, start_s: float, end_s: float) -> Iterator[Event]:
    per_minute = {"pvc": segment.pvc_per_minute, "aberrant": segment.aberrant_per_minute}
    ectopy = EctopySchedule(per_minute, start_s, heart.rng)
    time_s = max(heart.last_s + _irregular_rr_s(heart, segment), start_s)
    aberrant = 0
    while time_s < end_s:
        yield from heart.mark("(AFIB", time_s - heart.shape.qrs_onset_s(wide=False))
        shape = heart.shape.aberrant if aberrant else heart.shape.normal
        yield heart.beat(time_s, "N", shape(heart.follow(time_s), atrial=False))
        aberrant = max(0, aberrant - 1)
        kind = ectopy.due(time_s)
        if kind == "aberrant":
            aberrant = ABERRANT_RUN
        elif kind == "pvc" and time_s + 0.5 < end_s:
            time_s += heart.rng.uniform(0.42, 0.5)
            yield heart.beat(time_s, "V", heart.shape.ventricular(heart.follow(time_s)))
            time_s += 0.25  # a longer interval follows an ectopic beat in fibrillation too
        time_s += _irregular_rr_s(heart, segment)
    heart.due_s = heart.last_s + 1.25


def _svt(heart: Heart, segment: script.Svt, start_s: float, end_s: float) -> Iterator[Event]:
    first_s = max(heart.last_s + 0.5, start_s)
    yield from heart.mark("(SVTA", first_s - heart.shape.qrs_onset_s(wide=False))
    yield heart.beat(first_s, "A", heart.shape.premature(heart.follow(first_s)))
    for time_s in heart.regular(first_s, 60 / segment.rate, 0.008, end_s):
        yield heart.beat(time_s, "A", heart.shape.reentrant(heart.follow(time_s)))
    heart.due_s = heart.last_s + 1.0


def _vt(
    heart: Heart, segment: script.VentricularTachycardia, start_s: float, end_s: float
) -> Iterator[Event]:
    first_s = max(heart.last_s + 0.42, start_s)
    heart.atrium_s = first_s + 0.2
    for time_s in itertools.chain(
        [first_s], heart.regular(first_s, 60 / segment.rate, segment.irregularity, end_s)
    ):
        yield from heart.mark("(VT", time_s - heart.shape.qrs_onset_s(wide=True))
        rr_s = heart.follow(time_s)
        given = heart.shape.given(segment.kernels)
        yield heart.beat(time_s, "V", given if segment.kernels else heart.shape.tachycardic(rr_s))
        yield from heart.atria(0.68, time_s)
    heart.due_s = heart.last_s + 1.15


def _idioventricular(
    heart: Heart, segment: script.Idioventricular, start_s: float, end_s: float
) -> Iterator[Event]:
    first_s = max(heart.last_s + 60 / segment.rate, start_s)
    for time_s in itertools.chain(
        [first_s], heart.regular(first_s, 60 / segment.rate, 0.02, end_s)
    ):
        yield from heart.mark("(IVR", time_s - heart.shape.qrs_onset_s(wide=True))
        yield heart.beat(time_s, "V", heart.shape.ventricular(heart.follow(time_s)))
    heart.due_s = heart.last_s + 1.0


def _paced(heart: Heart, segment: script.Paced, start_s: float, end_s: float) -> Iterator[Event]:
    """Ventricular pacing in complete heart block: the atria are dissociated."""
    first_s = max(heart.last_s + 60 / segment.rate, start_s)
    heart.atrium_s = first_s + 0.2
    for time_s in itertools.chain([first_s], heart.regular(first_s, 60 / segment.rate, 0.0, end_s)):
        yield from heart.mark("(P", time_s - heart.shape.qrs_onset_s(wide=True))
        yield heart.beat(time_s, "/", heart.shape.paced(heart.follow(time_s), segment.spike_mv))
        yield from heart.atria(0.72, time_s)
    heart.due_s = heart.last_s + 60 / segment.rate


def _fibrillation(
    heart: Heart, segment: script.Fibrillation | script.Flutter, start_s: float, end_s: float
) -> Iterator[Event]:
    """Yield the annotations only: the wave is no sum of beats (ingest/simulator/oscillations.py)."""
    yield from heart.mark(LABELS[segment.rhythm], start_s)
    yield Event(heart.at(start_s), "[")
    yield Event(heart.at(end_s + EDGE_S) - 1, "]")
    heart.recover(end_s)


def _agonal(heart: Heart, segment: script.Agonal, start_s: float, end_s: float) -> Iterator[Event]:
    yield from heart.mark("(IVR", start_s)
    first_s = max(heart.last_s + 60 / segment.rate, start_s)
    for time_s in heart.regular(first_s - 60 / segment.rate, 60 / segment.rate, 0.15, end_s):
        heart.follow(time_s)
        yield heart.beat(time_s, "E", heart.shape.agonal())
    heart.recover(end_s, STUNNED_RATE)


def _asystole(
    heart: Heart, segment: script.Asystole, start_s: float, end_s: float
) -> Iterator[Event]:
    """P waves and pacing spikes without a QRS complex are not annotated."""
    yield from heart.mark("(ASYS", start_s)
    waves = [
        Event(heart.at(time_s), kernels=kernels)
        for rate, kernels in (
            (segment.p_wave_rate, heart.shape.p_wave(0.8)),
            (segment.spike_rate, heart.shape.spike(segment.spike_mv)),
        )
        if rate
        for time_s in heart.regular(start_s + 0.1, 60 / rate, 0.01, end_s - 0.3)
    ]
    yield from sorted(waves, key=lambda wave: wave.sample)
    heart.recover(end_s, STUNNED_RATE)


def _lead_off(
    heart: Heart, segment: script.LeadOff, start_s: float, end_s: float
) -> Iterator[Event]:
    yield from heart.mark("(~", start_s)
    heart.recover(end_s)


def _irregular_rr_s(heart: Heart, segment: script.Afib) -> float:
    """Draw an RR interval of atrial fibrillation: independent, right-skewed (gamma), and no shorter
    than the AV node allows."""
    shape = segment.irregularity**-2
    return max(float(heart.rng.gamma(shape, 60 / segment.rate / shape)), 0.27)


_PLAYS: dict[str, Callable[..., Iterator[Event]]] = {
    "bigeminy": _geminy,
    "trigeminy": _geminy,
    "afib": _afib,
    "svt": _svt,
    "vt": _vt,
    "ventricular": _idioventricular,
    "paced": _paced,
    "vf": _fibrillation,
    "flutter": _fibrillation,
    "agonal": _agonal,
    "asystole": _asystole,
    "lead_off": _lead_off,
}
