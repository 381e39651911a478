"""Write report.json: all results as plain data; times in seconds since a record's start."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, is_dataclass
from typing import Any

from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.tables import FigureTable
from stream_processor.scoring.reference import Mark


def report(
    heading: str, tables: Sequence[FigureTable], records: FigureTable, found: Sequence[Judgement]
) -> dict[str, object]:
    """The document."""
    return {
        "heading": heading,
        "tables": [t.plain() for t in [*tables, records]],
        "records": [_record(j) for j in found],
    }


def _record(j: Judgement) -> dict[str, object]:
    fs = j.ours.fs_hz
    found_values: dict[str, object] = {
        "record": j.name,
        "database": j.task.database,
        "lead": j.channel,
        "fs_hz": fs,
        "duration_s": j.duration_s,
        "cpu_s": round(j.cpu_s, 3),
        "network": j.network,
        "trained_on_the_patient": j.task.seen,
        "annotator": j.task.annotator,
        "learning_time_s": j.task.start_s,
        "alarms": [a._asdict() for a in j.reported],
    }
    if j.beats:
        b = j.beats.beats
        found_values["beats"] = {
            "matrix": b.matrix,
            "qrs": asdict(b.qrs),
            "veb": asdict(b.veb),
            "sveb": asdict(b.sveb),
            "missed_s": _times(b.missed, fs),
            "extra_s": _times(b.extra, fs),
            "wrong_v_s": _times(b.wrong_v, fs),
        }
        found_values["runs"] = {
            "ventricular": j.beats.ventricular_runs,
            "supraventricular": j.beats.supraventricular_runs,
        }
        found_values["heart_rate"] = j.beats.rate
    if j.alarms:
        found_values |= {"af": j.af, "vf": j.vf}
        found_values["judged"] = [{**x.alarm._asdict(), "true": x.true} for x in j.alarms.judged]
        found_values["conditions"] = [c._asdict() for c in j.alarms.conditions]
        found_values["due"] = [
            {**d.condition._asdict(), "answer": d.answer, "delay_s": d.delay_s, "by": d.by}
            for d in j.alarms.due
        ]
    if j.answer:
        found_values |= {
            "question": j.answer.question,
            "ours": j.answer.ours,
            "held": list(j.answer.held),
        }
    plain: dict[str, object] = _plain(found_values)
    return plain


def _times(marks: Sequence[Mark], fs_hz: float) -> list[float]:
    return [round(m.sample / fs_hz, 3) for m in marks]


def _plain(value: Any) -> Any:
    """Dataclasses as objects; the infinite end of a condition that still holds as null, because
    JSON has no infinity."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
