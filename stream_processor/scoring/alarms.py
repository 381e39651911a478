"""Scores of alarms against the reference: false alarms, missed alarms, and the delay of the others.

A high-priority alarm is false if no lethal condition of the reference lies within 10 s of it:
annotated VF, flutter, VT or asystole, and every high-priority alarm that the rules raise on the
reference's beats (scoring/expected_alarms.py). Any other alarm is false if no condition of its
kind, or of a worse kind in its chain, lies within 5 s. Only announced alarms can be false; a
suppressed alarm still counts as finding its condition. There is no learning time.

If a record has no reference beats, alarms that depend on beats are not judged: those of medium and
low priority, and extreme rates outside lethal rhythms. Nor is a VT alarm within high-grade
ventricular ectopic activity (HGEA of VFDB): the reference says that V beats come in runs there, and
not of how many.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

from ingest.messages import AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE, worse
from stream_processor.pipeline.alarms.profiles import ADULT
from stream_processor.scoring.expected_alarms import ExpectedAlarms
from stream_processor.scoring.reference import FIBRILLATION, Episode, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm

HIGH_TOLERANCE_S, TOLERANCE_S = 10.0, 5.0
RHYTHM_KINDS: dict[str, AlarmKind] = {
    "VF": "ventricular_fibrillation",
    "VFL": "ventricular_fibrillation",
    "VT": "ventricular_tachycardia",
    "ASYS": "asystole",
}
RATES: frozenset[AlarmKind] = frozenset({"extreme_tachycardia", "extreme_bradycardia"})
ECTOPIC = frozenset({"HGEA"})
DUE_S, AF_DUE_S = 10.0, 30.0  # an annotated episode of at least this length must alarm


class ReferenceCondition(NamedTuple):
    """A condition in the reference that justifies an alarm and, if `due`, requires one."""

    kind: AlarmKind
    start_s: float
    end_s: float
    due: bool
    label: str = ""  # of the annotated rhythm, if it comes from one


class AnsweredCondition(NamedTuple):
    """The alarm that answered a due condition, if any."""

    condition: ReferenceCondition
    # held: an earlier high alarm was still on for the condition's first 10 s
    answer: Literal["raised", "held", "missed"]
    delay_s: float | None  # from its start to the announcement; None unless raised
    by: AlarmKind | None


class JudgedAlarm(NamedTuple):
    """An announced alarm; `true` if the reference justifies it, None if the reference cannot
    tell."""

    alarm: ReportedAlarm
    true: bool | None


@dataclass(frozen=True)
class AlarmScore:
    """Alarm score of one record."""

    hours: float = 0.0
    judged: tuple[JudgedAlarm, ...] = ()
    held_back: int = 0  # alarms never announced
    due: tuple[AnsweredCondition, ...] = ()
    lethal: bool = False  # the reference has a condition of high priority
    conditions: tuple[ReferenceCondition, ...] = ()


def conditions(reference: Record, truth: ExpectedAlarms | None) -> list[ReferenceCondition]:
    """Return the conditions of a reference, ordered by start. `truth`: its expected alarms, if it
    has beats."""
    # episodes of VF are annotated, so the rule's alarms are not needed
    alarms = [a for a in truth.alarms if a.kind != "ventricular_fibrillation"] if truth else []
    found = [
        ReferenceCondition(a.kind, a.onset_s, min(a.end_s, reference.duration_s), True)
        for a in alarms
    ]
    waves = reference.episodes(FIBRILLATION) if truth else []
    for e in [
        *waves,
        *(e for e in reference.rhythm if truth is None or e.label not in FIBRILLATION),
    ]:
        start, end = e.start / reference.fs_hz, e.end / reference.fs_hz
        if e.label in RHYTHM_KINDS:
            due = end - start >= (DUE_S if truth is None else ADULT.fibrillation_s) and (
                truth is None or e.label in FIBRILLATION
            )
            found.append(ReferenceCondition(RHYTHM_KINDS[e.label], start, end, due, e.label))
        elif truth is None and e.label == "AFIB":
            found.append(
                ReferenceCondition(
                    "atrial_fibrillation", start, end, end - start >= AF_DUE_S, e.label
                )
            )
    return sorted(found, key=lambda c: (c.start_s, c.end_s, c.kind))


def score_alarms(
    reference: Record, truth: ExpectedAlarms | None, ours: Sequence[ReportedAlarm]
) -> AlarmScore:
    """Score the alarms of a record."""
    known = conditions(reference, truth)
    announced = [a for a in ours if a.announced_s is not None]
    salvos = reference.episodes(ECTOPIC) if truth is None else []
    has_beats, has_rhythm = truth is not None, bool(reference.rhythm)
    true = [judge(a, known, has_beats=has_beats, has_rhythm=has_rhythm) for a in announced]
    judged = tuple(
        JudgedAlarm(a, None if t is False and _in_salvos(a, salvos, reference.fs_hz) else t)
        for a, t in zip(announced, true, strict=True)
    )
    due = tuple(answer(c, ours) for c in known if c.due)
    lethal = any(_is_high(c.kind) for c in known)
    held_back = sum(a.announced_s is None for a in ours)
    return AlarmScore(reference.duration_s / 3600, judged, held_back, due, lethal, tuple(known))


def _in_salvos(alarm: ReportedAlarm, salvos: Sequence[Episode], fs_hz: float) -> bool:
    """True of a VT alarm where the reference has runs of V beats, and does not say how long."""
    return alarm.kind == "ventricular_tachycardia" and any(
        alarm.near(e.start / fs_hz, e.end / fs_hz) for e in salvos
    )


def judge(
    alarm: ReportedAlarm, known: Iterable[ReferenceCondition], *, has_beats: bool, has_rhythm: bool
) -> bool | None:
    """Return whether a condition of the reference justifies the alarm; None if the reference cannot
    tell."""
    if alarm.technical or (alarm.kind == "atrial_fibrillation" and not has_rhythm):
        return None
    if alarm.priority == "high":
        true = any(
            _is_high(c.kind) and alarm.near(c.start_s, c.end_s, HIGH_TOLERANCE_S) for c in known
        )
        return None if alarm.kind in RATES and not (true or has_beats) else true
    if not has_beats:
        return None
    kinds = {alarm.kind, *worse(alarm.kind)}
    return any(c.kind in kinds and alarm.near(c.start_s, c.end_s, TOLERANCE_S) for c in known)


def answer(condition: ReferenceCondition, ours: Sequence[ReportedAlarm]) -> AnsweredCondition:
    """Find the alarm that answers a condition: any high alarm for a high condition, otherwise one
    of its kind or a worse kind of its chain."""
    kinds = {condition.kind, *worse(condition.kind)}
    high = _is_high(condition.kind)
    fits = [a for a in ours if (a.priority == "high" if high else a.kind in kinds)]
    if not high:
        found = [a for a in fits if a.near(condition.start_s, condition.end_s, TOLERANCE_S)]
        return AnsweredCondition(
            condition, "raised" if found else "missed", None, found[0].kind if found else None
        )
    announced = sorted((a.announced_s, a) for a in fits if a.announced_s is not None)
    covering = [(at, a) for at, a in announced if a.near(condition.start_s, condition.end_s)]
    enough = min(condition.start_s + DUE_S, condition.end_s)
    for at, alarm in covering:
        if at < condition.start_s and alarm.end_s >= enough:
            return AnsweredCondition(condition, "held", None, alarm.kind)
        # an annotated episode must be announced while it lasts
        if at >= condition.start_s and (not condition.label or at <= condition.end_s):
            return AnsweredCondition(condition, "raised", at - condition.start_s, alarm.kind)
    return AnsweredCondition(condition, "missed", None, None)


def nearest_rank(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile by the nearest-rank method, which is one of the values; None if there are
    none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)] if ordered else None


def _is_high(kind: AlarmKind) -> bool:
    return CATALOGUE[kind].priority == "high"
