"""Tables over all records."""

from __future__ import annotations

from collections.abc import Sequence

from ecgwatch.evaluating import clinical_goals
from ecgwatch.evaluating.goals import goals
from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.sums import alarms, beats, challenge, rhythms
from ecgwatch.evaluating.tables import Cell, FigureTable
from stream_processor.scoring.counts import Counts


def tables(found: Sequence[Judgement]) -> list[FigureTable]:
    """All tables for which the records suffice, the goals last."""
    asked = [j for j in found if j.answer]
    labelled = [j for j in found if j.labels]
    scored = [j for j in found if not j.answer and not j.labels]
    parts: list[FigureTable] = []
    if any(j.beats for j in scored):
        parts += [beats.beats(scored), beats.runs(scored), beats.heart_rate(scored)]
    if scored:
        parts += [beats.episodes(scored), alarms.alarms(scored), alarms.false_by_rhythm(scored)]
        parts += [alarms.delays(scored), alarms.lethal(scored)]
    if asked:
        parts += [challenge.challenge(asked), challenge.confusion(asked)]
    if labelled:
        parts += [rhythms.scores(labelled), rhythms.confusion(labelled)]
    return [t for t in [*parts, goals(found), clinical_goals.rows(found)] if t.rows]


def records(found: Sequence[Judgement]) -> FigureTable:
    """A row per record; columns without any value are left out."""
    if any(j.answer for j in found):
        return challenge.answers(found)
    if any(j.labels for j in found):
        return rhythms.records(found)
    columns = [
        ("record", ""),
        ("min", ".1f"),
        ("lead", ""),
        ("network", ""),
        ("QRS Se", ".2f"),
        ("QRS +P", ".2f"),
        ("F1", ".2f"),
        ("V Se", ".1f"),
        ("V +P", ".1f"),
        ("S Se", ".1f"),
        ("S +P", ".1f"),
        ("HR err", ".2f"),
        ("high", "d"),
        ("high false", "d"),
        ("other", "d"),
        ("other false", "d"),
        ("due", "d"),
        ("missed", "d"),
    ]
    rows = [_record(j) for j in found]
    used = [i for i in range(len(columns)) if any(row[i] is not None for row in rows)]
    note = "high, other: alarms announced; due, missed: reference conditions of high priority. HR err: mean absolute, bpm."
    return FigureTable(
        "Records", [columns[i] for i in used], [tuple(row[i] for i in used) for row in rows], note
    )


def _record(j: Judgement) -> tuple[Cell, ...]:
    b = j.beats
    qrs, v, s = (b.beats.qrs, b.beats.veb, b.beats.sveb) if b else (Counts(), Counts(), Counts())
    judged = [x for x in alarms.all_judged([j]) if not x.alarm.technical]
    high, other = [
        [x for x in judged if (x.alarm.priority == "high") is wanted] for wanted in (True, False)
    ]
    due = [d for d in alarms.all_due([j]) if alarms.is_high(d)]
    return (
        j.name,
        j.duration_s / 60,
        j.channel,
        j.network + (" (seen)" if j.task.seen else ""),
        qrs.se,
        qrs.ppv,
        qrs.f1,
        v.se,
        v.ppv,
        s.se,
        s.ppv,
        b.rate.mean_bpm if b else None,
        len(high),
        alarms.n_false(high),
        len(other),
        alarms.n_false(other) if b else None,
        len(due),
        sum(d.answer == "missed" for d in due),
    )
