"""Convert events to the plain JSON objects that the page receives. Times are milliseconds since the
Unix epoch (JavaScript has no int64)."""

from __future__ import annotations

from typing import Any

from ingest.messages import (
    Action,
    Alarm,
    Beat,
    Edit,
    Finding,
    JournalEntry,
    Reference,
    Rhythm,
    Score,
    Vitals,
)
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring.reference import AAMI

View = dict[str, Any]

TECHNICAL = frozenset(kind for kind, entry in CATALOGUE.items() if entry.technical)
_RANK = {"high": 0, "medium": 1, "low": 2}


def ms(time_ns: int) -> float:
    """Nanoseconds as milliseconds, to the microsecond."""
    return round(time_ns / 1e6, 3)


def beat_view(beat: Beat) -> View:
    return {"t": ms(beat.time_ns), "label": beat.label, "rr": _short(beat.rr_ms, 1)}


def reference_view(reference: Reference) -> View:
    """A reference beat annotation with its AAMI class."""
    return {"t": ms(reference.time_ns), "label": AAMI[reference.symbol]}


def rhythm_view(rhythm: Rhythm) -> View:
    probability = _short(rhythm.probability, 3)
    return {
        "start": ms(rhythm.start_ns),
        "end": ms(rhythm.end_ns),
        "label": rhythm.label,
        "probability": probability,
        "reason": rhythm.reason,
    }


def vitals_view(vitals: Vitals) -> View:
    return {
        "t": ms(vitals.time_ns),
        "hr": _short(vitals.hr_bpm, 1),
        "reason": vitals.reason,
        "noise": vitals.noise,
        "nn": vitals.nn,
        "sdnn": _short(vitals.sdnn_ms, 1),
        "rmssd": _short(vitals.rmssd_ms, 1),
        "quality": _short(vitals.quality, 3),
    }


def alarm_view(alarm: Alarm) -> View:
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "priority": alarm.priority,
        "technical": alarm.kind in TECHNICAL,
        "onset": ms(alarm.onset_ns),
        "raised": ms(alarm.raised_ns),
        "end": _ms_or_none(alarm.end_ns),
        "over": alarm.end_ns is not None,
        "latching": alarm.latching,
        "announced": alarm.announced,
        "standing": alarm.standing,
        "step": alarm.step,
        "changed": ms(alarm.changed_ns),
        "level": alarm.level,
        "acknowledged": _ms_or_none(alarm.acknowledged_ns),
        "acknowledged_by": alarm.acknowledged_by,
        "silenced_until": _ms_or_none(alarm.silenced_until_ns),
        "value": alarm.value,
        "limit": alarm.limit,
        "text": alarm.text,
        "late_s": alarm.late_s,
    }


def action_view(action: Action) -> View:
    return {
        "id": action.id,
        "t": ms(action.time_ns),
        "by": action.by,
        "action": action.action,
        "alarm": action.alarm_id,
        "kind": action.kind,
        "seconds": action.seconds,
        "limits": action.limits,
        "switches": action.switches,
        "note": action.note,
    }


def edit_view(edit: Edit) -> View:
    return {
        "id": edit.id,
        "t": ms(edit.time_ns),
        "by": edit.by,
        "target": edit.target,
        "target_id": edit.target_id,
        "at": ms(edit.at_ns),
        "said": edit.said,
        "verdict": edit.verdict,
        "label": edit.label,
        "note": edit.note,
    }


def journal_view(entry: JournalEntry) -> View:
    return {
        "id": entry.id,
        "t": ms(entry.time_ns),
        "by": entry.by,
        "kind": entry.kind,
        "text": entry.text,
    }


def finding_view(finding: Finding) -> View:
    return {
        "start": ms(finding.start_ns),
        "end": ms(finding.time_ns),
        "task": finding.task,
        "label": finding.label,
        "probability": _short(finding.probability, 3),
        "model": finding.model,
    }


def score_view(score: Score) -> View:
    return {
        "t": ms(score.time_ns),
        "qrs": _agreement(score.qrs_tp, score.qrs_fn, score.qrs_fp),
        "v": _agreement(score.v_tp, score.v_fn, score.v_fp),
        "s": _agreement(score.s_tp, score.s_fn, score.s_fp),
        "rhythm": score.rhythm_agreed_s / score.rhythm_s if score.rhythm_s > 0 else None,
        "episodes": score.episodes,
        "episodes_alarmed": score.episodes_alarmed,
        "worst_delay_s": score.worst_delay_s,
    }


def loudness(alarm: Alarm) -> str:
    """An alarm's priority, or "technical"."""
    return "technical" if alarm.kind in TECHNICAL else alarm.priority


def urgency(alarm: Alarm) -> tuple[bool, int, bool, bool, int]:
    """Sort key, most urgent first: arrhythmia before technical, then by priority, unacknowledged
    before acknowledged, holding before over, newest first."""
    over, seen = alarm.end_ns is not None, alarm.acknowledged_ns is not None
    return alarm.kind in TECHNICAL, _RANK[alarm.priority], seen, over, -alarm.onset_ns


def _short(value: float | None, digits: int) -> float | None:
    """Round to the visible digits: a whole ward of these numbers is sent every second."""
    return None if value is None else round(value, digits)


def _ms_or_none(time_ns: int | None) -> float | None:
    return None if time_ns is None else ms(time_ns)


def _agreement(tp: int, fn: int, fp: int) -> View:
    """Sensitivity, positive predictivity and the number of reference beats; null if the divisor is
    zero."""
    return {
        "se": tp / (tp + fn) if tp + fn else None,
        "ppv": tp / (tp + fp) if tp + fp else None,
        "n": tp + fn,
    }
