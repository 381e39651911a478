"""Read from the store everything that the report of a patient and a period shows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from dashboards.report.beats import (
    BeatArrays,
    Hour,
    VariabilityFigures,
    gather,
    hours,
    longest_interval,
    variability,
)
from dashboards.report.rhythm import (
    ClippedEpisode,
    RhythmShare,
    episodes,
    minutes,
    reaching_into,
    shares,
)
from dashboards.report.signal import Signal, around
from ingest.messages import Action, Alarm, Beat, Edit, JournalEntry, RhythmLabel, Strip, Vitals
from stream_processor.sinks.base import Sink

STRIPS = 24
_RANK = {"high": 0, "medium": 1, "low": 2}


class HeartRateFigures(NamedTuple):
    """Heart-rate figures over the seconds that have a heart rate."""

    mean: float
    lowest: float
    lowest_ns: int
    highest: float
    highest_ns: int


class ReportedSymptom(NamedTuple):
    """An entry of the journal, and the rhythms of the minute around it, the longest first."""

    entry: JournalEntry
    rhythm: list[RhythmLabel]


class Findings(NamedTuple):
    """The content of a report. People's edits correct nothing in it: they are listed beside it."""

    patient_id: str
    start_ns: int
    end_ns: int
    monitored_s: float  # seconds with vitals
    rated_s: float  # number of these with a heart rate
    heart_rate: HeartRateFigures | None
    beats: BeatArrays
    hours: list[Hour]
    longest_rr: tuple[int, float] | None
    variability: VariabilityFigures | None
    rhythm: list[ClippedEpisode]
    shares: list[RhythmShare]
    alarms: list[Alarm]
    strips: list[tuple[Alarm, Strip]]  # strips of the most urgent alarms, in order of time
    strips_left_out: int
    actions: list[Action]
    edits: list[Edit]
    journal: list[ReportedSymptom]
    felt_strips: list[
        tuple[ReportedSymptom, Signal]
    ]  # strips of the wearer's symptoms, if signal is stored


def find(sink: Sink, patient_id: str, start_ns: int, end_ns: int) -> Findings:
    """Read the findings of start_ns <= time < end_ns. Raises the sink's errors."""
    monitored, rate, heart_rate = _heart_rate(sink.read(Vitals, patient_id, start_ns, end_ns))
    beats = gather(sink.read(Beat, patient_id, start_ns, end_ns))
    rhythm = episodes(reaching_into(sink, patient_id, start_ns, end_ns), start_ns, end_ns)
    alarms = list(sink.read(Alarm, patient_id, start_ns, end_ns))
    strips, left_out = _strips(sink, patient_id, alarms)
    ids = {alarm.id for alarm in alarms}
    actions = [
        a
        for a in sink.read(Action, patient_id)
        if start_ns <= a.time_ns < end_ns or a.alarm_id in ids
    ]
    edits = [e for e in sink.read(Edit, patient_id) if start_ns <= e.at_ns < end_ns]
    entries = sink.read(JournalEntry, patient_id, start_ns, end_ns)
    journal = [ReportedSymptom(*pair) for pair in minutes(sink, patient_id, entries)]
    return Findings(
        patient_id,
        start_ns,
        end_ns,
        monitored,
        rate,
        heart_rate,
        beats,
        hours(beats, start_ns, end_ns),
        longest_interval(beats, rhythm),
        variability(beats, rhythm),
        rhythm,
        shares(rhythm),
        alarms,
        strips,
        left_out,
        actions,
        edits,
        journal,
        _symptom_strips(sink, patient_id, journal),
    )


def _symptom_strips(
    sink: Sink, patient_id: str, journal: Iterable[ReportedSymptom]
) -> list[tuple[ReportedSymptom, Signal]]:
    """The signal around what the wearer said, at most STRIPS times, in order of time."""
    kinds = ("symptom", "note", "event")
    noted = [symptom for symptom in journal if symptom.entry.kind in kinds]
    signals = (
        (symptom, around(sink, patient_id, symptom.entry.time_ns)) for symptom in noted[:STRIPS]
    )
    return [(symptom, signal) for symptom, signal in signals if signal is not None]


def _heart_rate(vitals: Iterable[Vitals]) -> tuple[float, float, HeartRateFigures | None]:
    """(seconds, seconds with a heart rate, the heart rate)."""
    rows = [(v.time_ns, v.hr_bpm) for v in vitals]
    rated = [(t, hr) for t, hr in rows if hr is not None]
    if not rated:
        return float(len(rows)), 0.0, None
    times, hr = (list(column) for column in zip(*rated, strict=True))
    low, high = int(np.argmin(hr)), int(np.argmax(hr))
    return (
        float(len(rows)),
        float(len(rated)),
        HeartRateFigures(float(np.mean(hr)), hr[low], times[low], hr[high], times[high]),
    )


def _strips(
    sink: Sink, patient_id: str, alarms: list[Alarm]
) -> tuple[list[tuple[Alarm, Strip]], int]:
    """The strips of the most urgent announced alarms, and the number of those left out."""
    announced = sorted(
        (a for a in alarms if a.announced), key=lambda a: (_RANK[a.priority], a.onset_ns)
    )
    found: list[tuple[Alarm, Strip]] = []
    left_out = 0
    for alarm in announced:
        if len(found) == STRIPS:
            left_out += 1
            continue
        stored = sink.read(Strip, patient_id, alarm.onset_ns, alarm.onset_ns + 1)
        found += [(alarm, strip) for strip in stored if strip.alarm_id == alarm.id]
    return sorted(found, key=lambda pair: pair[0].onset_ns), left_out
