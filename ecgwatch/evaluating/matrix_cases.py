"""The cases of the simulated matrix: lethal rhythms in many forms, and their benign twins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import cycle
from typing import Any, NamedTuple

from ecgwatch.evaluating.vt_shapes import DRAWN, Shape
from ingest.messages import AlarmKind
from ingest.simulator.scenario import Scenario, parse

BEFORE_S, LASTS_S, AFTER_S = 26.0, 40.0, 20.0
VT: AlarmKind = "ventricular_tachycardia"
VF: AlarmKind = "ventricular_fibrillation"
ASYSTOLE: AlarmKind = "asystole"
FLUTTER_RATE = 200  # a VT this fast may also be called a flutter

Segment = dict[str, Any]
ONSETS: dict[str, Segment] = {
    "sinus": {"rhythm": "sinus", "rate": 76, "pvc_per_minute": 3},
    "AF": {"rhythm": "afib", "rate": 95},
    "bigeminy": {"rhythm": "bigeminy", "rate": 66},
    "paced": {"rhythm": "paced", "rate": 70},
}
NOISES: dict[str, Segment] = {
    "clean": {},
    "muscle": {"muscle_mv": 0.04, "wander_mv": 0.15},
    "drift": {"wander_mv": 0.5, "mains_mv": 0.02},
}
LOUD: tuple[Segment, ...] = (
    {"muscle_mv": 0.12},
    {"muscle_mv": 0.2, "wander_mv": 0.3},
    {"wander_mv": 1.5},
    {"mains_mv": 0.3},
    {"motion_per_minute": 12, "motion_mv": 1.0},
    {"motion_per_minute": 25, "motion_mv": 2.0},
    {"motion_per_minute": 20, "motion_mv": 0.6, "muscle_mv": 0.08},
)


class Case(NamedTuple):
    """A simulated stream and the alarms expected of it."""

    row: str  # of the table
    name: str
    scenario: Scenario
    start_s: float  # of the lethal rhythm
    end_s: float
    kinds: frozenset[AlarmKind]  # alarm kinds of which one must hold; none for a benign twin
    # alarm kinds of high priority that a twin may raise
    excused: frozenset[AlarmKind] = frozenset()


def cases(shapes: Mapping[str, Shape]) -> list[Case]:
    """Every case; `shapes` are those of patients' V beats, in addition to the drawn ones."""
    every = [
        *_tachycardias(DRAWN | dict(shapes)),
        *_fibrillations(),
        *_flutters(),
        *_asystoles(),
        *_agonal(),
        *_twins(),
    ]
    return [c._replace(name=f"{i:03d} {c.name}") for i, c in enumerate(every)]


def _tachycardias(shapes: Mapping[str, Shape]) -> Iterator[Case]:
    onsets, noises, sizes = cycle(ONSETS), cycle(NOISES), cycle((1.0, 0.5, 1.6, 0.3, 1.0))
    for shape, kernels in shapes.items():
        for rate in (110, 130, 150, 172, 190, 210, 240):
            size = next(sizes)
            segment = {
                "rhythm": "vt",
                "rate": rate,
                "irregularity": 0.03 if rate in (130, 172) else 0.01,
                "kernels": [[h * size, *rest] for h, *rest in kernels],
            }
            kinds = {VT, VF} if rate >= FLUTTER_RATE or shape == "nearly a sine" else {VT}
            row = (
                f"VT {'below 150' if rate < 150 else '150-190' if rate <= 190 else 'over 190'}/min"
            )
            yield _lethal(row, f"{shape} {rate}/min x{size:g}", segment, kinds, onsets, noises)


def _fibrillations() -> Iterator[Case]:
    onsets, noises = cycle(ONSETS), cycle(NOISES)
    for hz in (3.2, 4.0, 4.8, 5.6, 6.6):
        for start, end in (
            (0.15, 0.12),
            (0.25, 0.2),
            (0.5, 0.25),
            (0.8, 0.6),
            (1.2, 0.4),
            (0.4, 0.4),
        ):
            segment = {"rhythm": "vf", "wave_hz": hz, "start_mv": start, "end_mv": end}
            row = "VF coarse" if end >= 0.25 else "VF fine"
            yield _lethal(row, f"{hz} Hz {start}-{end} mV", segment, {VF}, onsets, noises)


def _flutters() -> Iterator[Case]:
    onsets, noises = cycle(ONSETS), cycle(NOISES)
    for rate in (180, 200, 220, 240, 260, 280, 300):
        for mv in (0.3, 0.6, 1.0, 1.6):
            segment = {"rhythm": "flutter", "wave_hz": rate / 60, "start_mv": mv, "end_mv": mv}
            yield _lethal("flutter", f"{rate}/min {mv} mV", segment, {VT, VF}, onsets, noises)


def _asystoles() -> Iterator[Case]:
    onsets, noises = cycle(ONSETS), cycle(NOISES)
    segment: Segment
    for wander in (0.02, 0.1, 0.3, 0.6, 1.0):
        for muscle in (0.004, 0.012):
            segment = {"rhythm": "asystole", "noise": {"wander_mv": wander, "muscle_mv": muscle}}
            name = f"drift {wander} muscle {muscle} mV"
            yield _lethal("asystole, drift", name, segment, {ASYSTOLE}, onsets, noises)
    for rate in (40, 60, 75, 90, 110):
        for wander in (0.05, 0.2):
            segment = {"rhythm": "asystole", "p_wave_rate": rate, "noise": {"wander_mv": wander}}
            yield _lethal("asystole, P waves", f"P {rate}", segment, {ASYSTOLE}, onsets, noises)
    for mv in (0.3, 0.8, 1.5, 3.0):
        for rate in (60, 80):
            segment = {"rhythm": "asystole", "spike_rate": rate, "spike_mv": mv}
            name = f"spikes {mv} mV {rate}"
            yield _lethal("asystole, spikes", name, segment, {ASYSTOLE}, onsets, noises)


def _agonal() -> Iterator[Case]:
    onsets, noises = cycle(ONSETS), cycle(NOISES)
    for rate in (4, 6, 8, 10, 12):
        for _ in range(2):
            kinds: set[AlarmKind] = {ASYSTOLE, "extreme_bradycardia"}
            segment = {"rhythm": "agonal", "rate": rate}
            yield _lethal("agonal", f"{rate}/min", segment, kinds, onsets, noises)


def _twins() -> Iterator[Case]:
    noises = cycle(NOISES)
    wide = {"qrs_ms": 150}
    for rate in (48, 54, 60, 66, 72, 80, 90, 100):
        for rhythm in ("bigeminy", "trigeminy"):
            yield _twin(rhythm, f"{rate}", {"rhythm": rhythm, "rate": rate}, noises)
    for rate in (70, 95, 110, 120, 128, 135):
        for r_mv in (0.6, 1.4):
            segment = {"rhythm": "sinus", "rate": rate}
            patient = wide | {"r_mv": r_mv}
            yield _twin("bundle branch block", f"{rate} {r_mv} mV", segment, noises, patient)
    for rate in (80, 95, 110, 120, 130):
        for runs in (4, 10):
            segment = {"rhythm": "afib", "rate": rate, "aberrant_per_minute": runs}
            excused: set[AlarmKind] = {"extreme_tachycardia"} if rate > 120 else set()
            yield _twin("AF, aberrant beats", f"{rate} {runs}", segment, noises, excused=excused)
    for rate in (120, 140, 155, 170, 185):
        for noise in ({"muscle_mv": 0.06, "wander_mv": 0.4}, {"motion_per_minute": 10}):
            segment = {"rhythm": "sinus", "rate": rate, "noise": noise}
            excused = {"extreme_tachycardia"}
            yield _twin("exercise", f"{rate}", segment, noises, excused=excused)
    for noise in LOUD:
        for rate in (62, 88):
            segment = {"rhythm": "sinus", "rate": rate, "noise": noise}
            yield _twin("noise", f"{rate} {noise}", segment, noises)
    for rate in (50, 70, 90, 110):
        yield _twin("paced", f"{rate}", {"rhythm": "paced", "rate": rate}, noises)
    for rate in (150, 170, 190, 220):
        segment = {"rhythm": "svt", "rate": rate}
        excused = {"extreme_tachycardia"}
        yield _twin("SVT", f"{rate}", segment, noises, excused=excused)
    for rate in (60, 75, 90):
        segment = {"rhythm": "ventricular", "rate": rate}
        yield _twin("ventricular rhythm below 100/min", f"{rate}", segment, noises)


def _lethal(
    row: str,
    name: str,
    segment: Segment,
    kinds: set[AlarmKind],
    onsets: cycle[str],
    noises: cycle[str],
) -> Case:
    onset, noise = next(onsets), next(noises)
    segments = [
        ONSETS[onset] | {"duration_s": BEFORE_S},
        segment | {"duration_s": LASTS_S},
        {"rhythm": "sinus", "rate": 80, "duration_s": AFTER_S},
    ]
    name = f"{name}, from {onset}, {noise}"
    scenario = _scenario(name, segments, NOISES[noise], {})
    return Case(row, name, scenario, BEFORE_S, BEFORE_S + LASTS_S, frozenset(kinds))


def _twin(
    row: str,
    name: str,
    segment: Segment,
    noises: cycle[str],
    patient: Segment | None = None,
    excused: set[AlarmKind] | None = None,
) -> Case:
    noise = next(noises)
    segments = [
        {"rhythm": "sinus", "rate": 76, "duration_s": BEFORE_S},
        segment | {"duration_s": 60.0},
        {"rhythm": "sinus", "rate": 80, "duration_s": AFTER_S},
    ]
    scenario = _scenario(name, segments, {} if "noise" in segment else NOISES[noise], patient or {})
    named = f"{name}, {noise}"
    return Case(row, named, scenario, BEFORE_S, BEFORE_S, frozenset(), frozenset(excused or ()))


def _scenario(name: str, segments: list[Segment], noise: Segment, patient: Segment) -> Scenario:
    """The case's own seed comes from its name, so that a new case changes no other."""
    seed = sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31
    data = {"seed": seed, "noise": noise, "patient": patient, "segments": segments}
    return parse(data | {"name": "case"}, "matrix")
