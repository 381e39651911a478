"""The CinC 2015 challenge over all records."""

from __future__ import annotations

from collections.abc import Sequence

from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.tables import Cell, FigureTable
from stream_processor.scoring import cinc2015
from stream_processor.scoring.counts import percent


def challenge(found: Sequence[Judgement]) -> FigureTable:
    """Results per kind of question, and over all."""
    asked = [j.answer for j in found if j.answer]
    rows: list[tuple[Cell, ...]] = []
    for kind in [*cinc2015.KINDS, "all"]:
        c = cinc2015.counts(a for a in asked if kind in (a.question.kind, "all"))
        rows.append(
            (
                kind,
                c.tp,
                c.fn,
                c.fp,
                c.tn,
                percent(c.tp, c.tp + c.fn),
                percent(c.tn, c.tn + c.fp),
                cinc2015.score(c),
            )
        )
    columns = [
        ("CinC 2015", ""),
        ("TP", "d"),
        ("FN", "d"),
        ("FP", "d"),
        ("TN", "d"),
        ("TPR, %", ".1f"),
        ("TNR, %", ".1f"),
        ("score", ".1f"),
    ]
    return FigureTable("CinC 2015, one ECG lead, nothing after 5:00", columns, rows)


def confusion(found: Sequence[Judgement]) -> FigureTable:
    """The alarms that held, per question and truth."""
    asked = [j.answer for j in found if j.answer]
    groups = [(k, true) for k in cinc2015.KINDS for true in (True, False)]
    rows: list[tuple[Cell, ...]] = []
    for kind, true in groups:
        some = [a for a in asked if a.question.kind == kind and a.question.true is true]
        held = (sum(ours in a.held for a in some) for ours in cinc2015.KINDS.values())
        rows.append((f"{kind} {true}", len(some), *held, sum(not a.held for a in some)))
    columns = [
        ("question", ""),
        ("n", "d"),
        *((kind, "d") for kind in cinc2015.KINDS.values()),
        ("none at all", "d"),
    ]
    return FigureTable("Which alarms of ours held in those 10 s", columns, rows)


def answers(found: Sequence[Judgement]) -> FigureTable:
    """A row per record, the wrong answers first."""
    answered = [(j.channel, j.answer) for j in found if j.answer]
    answered.sort(
        key=lambda x: (x[1].ours == x[1].question.true, x[1].question.kind, x[1].question.record)
    )
    rows: list[tuple[Cell, ...]] = []
    for lead, a in answered:
        wrong = "" if a.ours == a.question.true else "wrong"
        rows.append(
            (
                a.question.record,
                lead,
                a.question.kind,
                str(a.question.true),
                str(a.ours),
                wrong,
                " ".join(a.held),
            )
        )
    columns = [
        (name, "")
        for name in ("record", "lead", "question", "true", "ours", " ", "alarms of ours that held")
    ]
    return FigureTable("Records", columns, rows)
