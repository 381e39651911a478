"""Alarms that a reference calls for: the product's own rules applied to the annotated beats and
rhythm.

The reference goes through the same VitalsMeter and AlarmEngine as a stream, second by second, as if
a perfect detector had found its beats and episodes: fibrillation during annotated VF or flutter, AF
during annotated AF, everything else readable. Fusion beats count as V, as in EC57's runs. Scores
against these alarms therefore measure the detection, not the choice of limits.

Ventricular tachycardia is the exception. Its rule tolerates single beats that a network
misclassifies, which a reference does not need; here VT is the definition of docs/alarms.md,
whatever the rule becomes: 5 or more V in a row, faster than 100/min.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from ingest.messages import Alarm, BeatLabel
from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC
from stream_processor.pipeline import events
from stream_processor.pipeline.alarms.engine import AlarmEngine
from stream_processor.pipeline.alarms.profiles import ADULT
from stream_processor.pipeline.stages.admission.runs import Stream
from stream_processor.pipeline.stages.episodes import Span
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.vitals import VitalsMeter
from stream_processor.scoring.reference import FIBRILLATION, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm, assemble

LABELS: dict[str, BeatLabel] = {"N": "N", "S": "S", "V": "V", "F": "V", "Q": "Q"}
FORMS = {"N": 0, "S": 0, "V": 1, "Q": 2}  # as if each class had one morphology of its own


@dataclass(frozen=True)
class ExpectedAlarms:
    """Alarms and heart rates that the pipeline would report for a reference."""

    alarms: list[ReportedAlarm]  # technical alarms left out
    heart_rate: dict[int, float]  # bpm, by the last sample of each second at 125 Hz


def expected(reference: Record) -> ExpectedAlarms:
    """Compute alarms (adult profile) and heart rates of a reference that has beats."""
    facts, meter, engine = SignalFacts(), VitalsMeter(), AlarmEngine()
    row = meter.open("reference", reference.fs_hz)
    if {stage.open("reference", reference.fs_hz) for stage in (facts, engine)} != {row}:
        raise AssertionError("stages opened together have the same row")
    stream = Stream("reference", "reference", "reference", reference.fs_hz, 1.0, 0, reference.n)
    steps, rates = [], {}
    spans, done = _spans(reference, row), 0
    for item in facts.push(_seconds(reference, row)):
        (signs,) = meter.push([item])
        if signs.hr_bpm is not None:
            rates[signs.until] = signs.hr_bpm
        known = done
        while known < len(spans) and spans[known].end <= item.second.until:
            known += 1
        steps += engine.push(([item], [signs], [spans[done:known]]))
        done = known
    steps += engine.finish(row, spans[done:], round(reference.duration_s * FS_HZ))
    alarms: list[Alarm] = [events.alarm(stream, step) for step in steps]
    by_rule = [
        a for a in assemble(alarms) if not a.technical and a.kind != "ventricular_tachycardia"
    ]
    return ExpectedAlarms(sorted([*by_rule, *_tachycardias(reference)]), rates)


def _tachycardias(reference: Record) -> list[ReportedAlarm]:
    """Find the runs of V; a run that falls to 100/min between two fast parts without a beat in
    common is two runs."""
    shaking = reference.episodes(FIBRILLATION)
    beats = [b for b in reference.beats if not any(e.start <= b.sample < e.end for e in shaking)]
    found: list[ReportedAlarm] = []
    for i in range(len(beats) - ADULT.vt_beats + 1):
        run = beats[i : i + ADULT.vt_beats]
        first, last = run[0].sample / reference.fs_hz, run[-1].sample / reference.fs_hz
        broken = any(run[0].sample < e.end and e.start < run[-1].sample for e in shaking)
        if (
            broken
            or any(b.label not in "VF" for b in run)
            or 60 * (len(run) - 1) <= ADULT.vt_bpm * (last - first)
        ):
            continue
        if found and first <= found[-1].end_s:
            found[-1] = found[-1]._replace(end_s=last)
        else:
            found.append(ReportedAlarm("ventricular_tachycardia", "high", first, last, last, last))
    return found


def _seconds(reference: Record, row: int) -> list[Beats]:
    scale = FS_HZ / reference.fs_hz
    shaking = [(e.start * scale, e.end * scale) for e in reference.episodes(FIBRILLATION)]
    beats = [(b.sample * scale, LABELS[b.label]) for b in reference.beats]
    beats = [b for b in beats if not any(a <= b[0] < z for a, z in shaking)]
    at = [b[0] for b in beats]
    told_seconds, k = list[Beats](), 0
    before: float | None = None
    while (needed := BEAT_SPEC.end(k)) <= reference.n * scale:
        until = needed - BEAT_SPEC.after
        start = until - FS_HZ
        found = []
        for position, label in beats[bisect_left(at, start if k else 0) : bisect_left(at, until)]:
            across = before is not None and any(before < z and position >= a for a, z in shaking)
            rr_s = None if before is None or across else (position - before) / FS_HZ
            found.append(
                LabelledBeat(position, rr_s, label, 1.0, 1.0, float(label == "V"), FORMS[label])
            )
            before = position
        wave = sum(max(0.0, min(until, z) - max(start, a)) for a, z in shaking) / FS_HZ
        second = AnalysedSecond(
            row=row,
            k=k,
            until=until,
            needed=needed,
            complexes=(),
            fibrillation=wave,
            noisy=False,
            unsure=False,
            still_s=0,
            lead_off=False,
        )
        told_seconds.append(Beats(second, tuple(found)))
        k += 1
    return told_seconds


def _spans(reference: Record, row: int) -> list[Span]:
    """Return AF (label AFIB) and everything else (N) in spans of a second, which is all that the
    rules need."""
    scale, pieces = FS_HZ / reference.fs_hz, []
    af = [(e.start * scale, e.end * scale) for e in reference.episodes({"AFIB"})]
    for start in range(0, int(reference.n * scale), FS_HZ):
        middle = start + FS_HZ / 2
        pieces.append(
            Span(
                row,
                start,
                start + FS_HZ,
                "AFIB" if any(a <= middle < z for a, z in af) else "N",
                1.0,
            )
        )
    return pieces
