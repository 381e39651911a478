"""Events as the page gets them: plain JSON objects. Times are milliseconds since the Unix epoch (JavaScript has no int64)."""

from __future__ import annotations

from typing import Any

from ingest.messages import Alarm, Beat, Rhythm, Vitals

View = dict[str, Any]

TECHNICAL = frozenset({"lead_off", "no_signal", "artefact", "gap"})
_RANK = {"high": 0, "medium": 1, "low": 2}


def ms(time_ns: int) -> float:
    """Milliseconds, to the microsecond."""
    return round(time_ns / 1e6, 3)


def beat_view(beat: Beat) -> View:
    return {"t": ms(beat.time_ns), "label": beat.label, "rr": beat.rr_ms}


def rhythm_view(rhythm: Rhythm) -> View:
    return {"start": ms(rhythm.start_ns), "end": ms(rhythm.end_ns), "label": rhythm.label, "probability": rhythm.probability}


def vitals_view(vitals: Vitals) -> View:
    return {
        "t": ms(vitals.time_ns), "hr": vitals.hr_bpm, "reason": vitals.reason,
        "sdnn": vitals.sdnn_ms, "rmssd": vitals.rmssd_ms, "quality": vitals.quality,
    }  # fmt: skip


def alarm_view(alarm: Alarm) -> View:
    return {
        "id": alarm.id, "kind": alarm.kind, "priority": alarm.priority, "technical": alarm.kind in TECHNICAL,
        "onset": ms(alarm.onset_ns), "raised": ms(alarm.raised_ns), "end": None if alarm.end_ns is None else ms(alarm.end_ns),
        "over": alarm.step == "end", "latching": alarm.latching, "announced": alarm.announced,
        "value": alarm.value, "limit": alarm.limit, "text": alarm.text,
    }  # fmt: skip


def urgency(alarm: Alarm) -> tuple[bool, int, bool, int]:
    """Sort key, worst first: arrhythmia before technical, by priority, one that holds before one that only latches, the newest first."""
    return alarm.kind in TECHNICAL, _RANK[alarm.priority], alarm.step == "end", -alarm.onset_ns
