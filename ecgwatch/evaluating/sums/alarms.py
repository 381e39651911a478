"""Sum alarms over all records: their number, false ones, conditions found, and delays."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Sequence

from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.tables import Cell, FigureTable
from ingest.messages import AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring.alarms import AnsweredCondition, JudgedAlarm, nearest_rank
from stream_processor.scoring.counts import percent
from stream_processor.scoring.reference import Record


def alarms(found: Sequence[Judgement]) -> FigureTable:
    """A row per kind, and one per priority."""
    hours = sum(j.alarms.hours for j in found if j.alarms)
    judged, due = all_judged(found), all_due(found)
    rows = [
        _kind(
            kind,
            [x for x in judged if x.alarm.kind == kind],
            [d for d in due if d.condition.kind == kind],
            hours,
        )
        for kind in CATALOGUE
    ]
    rows = [row for row in rows if row[2] or row[6]]
    for priority in ("high", "medium", "low"):
        some = [x for x in judged if x.alarm.priority == priority and not x.alarm.technical]
        known = any(x.true is not None for x in some)
        n = n_false(some)
        rows.append(
            (
                f"all {priority}",
                "",
                len(some),
                len(some) / hours,
                n if known else None,
                n / hours if known else None,
                *[None] * 3,
            )
        )
    columns = [
        ("alarm", ""),
        ("priority", ""),
        ("announced", "d"),
        ("per h", ".2f"),
        ("false", "d"),
        ("false per h", ".2f"),
        ("due", "d"),
        ("found", "d"),
        ("Se, %", ".1f"),
    ]
    held = sum(j.alarms.held_back for j in found if j.alarms)
    note = f"{hours:.1f} patient-hours; {held} more were held back all the time (chains, refractory times)."
    return FigureTable("Alarms", columns, rows, note)


def _kind(
    kind: AlarmKind, judged: list[JudgedAlarm], due: list[AnsweredCondition], hours: float
) -> tuple[Cell, ...]:
    known = any(x.true is not None for x in judged)
    hits, n = sum(d.answer != "missed" for d in due), n_false(judged)
    about = "technical" if CATALOGUE[kind].technical else CATALOGUE[kind].priority
    false = (n, n / hours) if known else (None, None)
    answered = (len(due), hits, percent(hits, len(due))) if due else (None, None, None)
    return (kind, about, len(judged), len(judged) / hours, *false, *answered)


def false_by_rhythm(found: Sequence[Judgement]) -> FigureTable:
    """The reference rhythm at each false alarm of high priority."""
    wrong = [
        (j, x.alarm)
        for j in found
        if j.alarms
        for x in j.alarms.judged
        if x.true is False and x.alarm.priority == "high"
    ]
    cells = Counter((rhythm_at(j.reference, a.raised_s), a.kind) for j, a in wrong)
    records = Counter((rhythm_at(j.reference, a.raised_s), j.name) for j, a in wrong)
    kinds = [kind for kind in CATALOGUE if any(k == kind for _, k in cells)]
    labels = sorted(
        {label for label, _ in cells},
        key=lambda label: -sum(n for (answered, _), n in cells.items() if answered == label),
    )
    rows: list[tuple[Cell, ...]] = []
    for label in labels:
        most = sorted(
            ((n, name) for (answered, name), n in records.items() if answered == label),
            reverse=True,
        )[:5]
        rows.append(
            (
                label,
                *(cells[label, kind] for kind in kinds),
                " ".join(f"{name} ({n})" for n, name in most),
            )
        )
    columns = [
        ("false alarms of high priority in", ""),
        *((kind, "d") for kind in kinds),
        ("most in", ""),
    ]
    return FigureTable("False alarms of high priority by annotated rhythm", columns, rows)


def delays(found: Sequence[Judgement]) -> FigureTable:
    """Per kind of condition, and all together."""
    late = sorted(
        ((d.delay_s, j.name, d) for j in found for d in all_due([j]) if d.delay_s is not None),
        key=lambda x: -x[0],
    )
    kinds = [
        ("any", [s for s, _, _ in late]),
        *((kind, [s for s, _, d in late if d.condition.kind == kind]) for kind in CATALOGUE),
    ]
    rows: list[tuple[Cell, ...]] = [
        (kind, len(values), statistics.median(values), nearest_rank(values, 99), max(values))
        for kind, values in kinds
        if values
    ]
    columns = [
        ("high-priority condition", ""),
        ("n", "d"),
        ("median", ".1f"),
        ("p99", ".1f"),
        ("max", ".1f"),
    ]
    latest = ", ".join(
        f"{name} {clock(d.condition.start_s)} {d.condition.kind} {s:.1f} s"
        for s, name, d in late[:3]
    )
    return FigureTable(
        "From onset to the first alarm of high priority, s", columns, rows, f"Latest: {latest}."
    )


def lethal(found: Sequence[Judgement]) -> FigureTable:
    """Annotated rhythm episodes that must raise an alarm, in records without beats."""
    due = lethal_due(found)
    rows: list[tuple[Cell, ...]] = []
    for label in ("VF", "VFL", "VT", "ASYS", "all"):
        some = [d.answer for _, d in due if label in (d.condition.label, "all")]
        hits = len(some) - some.count("missed")
        rows.append(
            (
                label,
                len(some),
                some.count("raised"),
                some.count("held"),
                some.count("missed"),
                percent(hits, len(some)),
            )
        )
    columns = [
        ("episode of 10 s and more", ""),
        ("n", "d"),
        ("raised", "d"),
        ("held from before", "d"),
        ("missed", "d"),
        ("alarmed, %", ".1f"),
    ]
    missed = [(name, d.condition) for name, d in due if d.answer == "missed"]
    listed = ", ".join(
        f"{name} {clock(c.start_s)}-{clock(c.end_s)} {c.label}" for name, c in missed
    )
    return FigureTable(
        "Annotated lethal episodes", columns, rows if due else [], f"Missed: {listed or 'none'}."
    )


def lethal_due(found: Sequence[Judgement]) -> list[tuple[str, AnsweredCondition]]:
    """Record and episode of each episode that `lethal` counts."""
    return [
        (j.name, d)
        for j in found
        if not j.beats
        for d in all_due([j])
        if d.condition.label and is_high(d)
    ]


def all_judged(found: Sequence[Judgement]) -> list[JudgedAlarm]:
    """Every announced alarm."""
    return [x for j in found if j.alarms for x in j.alarms.judged]


def all_due(found: Sequence[Judgement]) -> list[AnsweredCondition]:
    """Every condition that had to be alarmed."""
    return [d for j in found if j.alarms for d in j.alarms.due]


def n_false(judged: Sequence[JudgedAlarm]) -> int:
    """Number of false alarms."""
    return sum(x.true is False for x in judged)


def is_high(due: AnsweredCondition) -> bool:
    """True if the condition is of high priority."""
    return CATALOGUE[due.condition.kind].priority == "high"


def rhythm_at(reference: Record, at_s: float) -> str:
    """The annotated rhythm at a time; "" if there is none."""
    return next(
        (e.label for e in reference.rhythm if e.start <= at_s * reference.fs_hz < e.end), ""
    )


def clock(seconds: float) -> str:
    """Minutes and seconds since the record's start."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
