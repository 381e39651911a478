"""The goals of the product, as far as these records can test them."""

from __future__ import annotations

from collections.abc import Sequence

from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.sums.alarms import all_due, all_judged, lethal_due, n_false
from ecgwatch.evaluating.sums.rhythms import challenge_score, pieces, whole
from ecgwatch.evaluating.tables import Cell, FigureTable
from stream_processor.scoring import cinc2015
from stream_processor.scoring.alarms import RATES, nearest_rank
from stream_processor.scoring.counts import percent

# share of beats that are not N, below which a record counts as normal in the second line
NEARLY_N = 0.01
COLUMNS = [("goal", ""), ("value", ".3g"), ("must", ""), ("aim", ""), ("on", "")]


def goals(found: Sequence[Judgement]) -> FigureTable:
    """A row for each goal that these records can test."""
    rows = [
        *_delays(found),
        *_lethal(found),
        *_challenge(found),
        *_calm(found),
        *_normal(found),
        *_outside(found),
        *_rhythm(found),
    ]
    return FigureTable("Goals", COLUMNS, rows)


def _delays(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    delays = [d.delay_s for d in all_due(found) if d.delay_s is not None]
    return [
        (
            "high-priority onset to alarm, p99, s",
            nearest_rank(delays, 99),
            "<= 10",
            "<= 8",
            f"{len(delays)} conditions",
        )
    ] * bool(delays)


def _lethal(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    answers = [d.answer for _, d in lethal_due(found)]
    share = percent(len(answers) - answers.count("missed"), len(answers))
    return [
        (
            "episodes of VF, VFL, VT, asystole >= 10 s raised, %",
            share,
            ">= 95",
            "100",
            f"{len(answers)} episodes",
        )
    ] * bool(answers)


def _challenge(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    answers = [j.answer for j in found if j.answer]
    value = cinc2015.score(cinc2015.counts(answers))
    return [
        ("CinC 2015 score, one ECG lead", value, ">= 65", ">= 75", f"{len(answers)} records")
    ] * bool(answers)


def _calm(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    """False alarms of high priority in records with beats whose reference holds no condition of
    high priority at all."""
    calm = [j for j in found if j.beats and j.alarms and not j.alarms.lethal]
    high = [x for x in all_judged(calm) if x.alarm.priority == "high"]
    if not calm:
        return []
    limits = ("<= 0.3", "<= 0.05") if _is_goal(calm) else ("", "")
    return [
        (
            "false high-priority alarms per h, no lethal rhythm",
            n_false(high) / _hours(calm),
            *limits,
            _names(calm),
        )
    ]


def _normal(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    for name, most, *limits in (
        ("annotated all N", 0.0, "<= 1", "<= 0.2"),
        (f"below {NEARLY_N:.0%} other beats", NEARLY_N, "", ""),
    ):
        normal = [j for j in found if j.beats and j.beats.not_n <= most * len(j.reference.beats)]
        if normal:
            arrhythmia = [x for x in all_judged(normal) if not x.alarm.technical]
            value = n_false(arrhythmia) / _hours(normal)
            kept = limits if _is_goal(normal) else ("", "")
            rows.append(
                (f"false alarms of any priority per h, {name}", value, *kept, _names(normal))
            )
    return rows


def _outside(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    """False alarms of records in which only rhythms are annotated."""
    without = [j for j in found if j.alarms and not j.beats]
    if not without:
        return []
    high = [x for x in all_judged(without) if x.alarm.priority == "high"]
    unknown = sum(x.alarm.kind in RATES and x.true is None for x in high)
    on = f"{_hours(without):.1f} h"
    return [
        (
            "false high-priority alarms per h, outside lethal episodes",
            n_false(high) / _hours(without),
            "",
            "",
            on,
        ),
        (
            "extreme rates per h there, which nothing can judge",
            unknown / _hours(without),
            "",
            "",
            on,
        ),
    ]


def _rhythm(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    if not (pairs := whole(found)):
        return []
    short = pieces(found)
    return [
        (
            "CinC 2017, mean F1 of N A O, whole records",
            challenge_score(pairs),
            ">= 0.84",
            ">= 0.87",
            f"{len(pairs)} records",
        ),
        (
            "the same from 10 s",
            challenge_score(short),
            ">= 0.80",
            ">= 0.83",
            f"{len(short)} pieces",
        ),
    ]


def _is_goal(found: Sequence[Judgement]) -> bool:
    """True if the goals apply to these records: they were set for MITDB, not for noise added on
    purpose (NSTDB)."""
    return all(j.task.database == "mitdb" for j in found)


def _hours(found: Sequence[Judgement]) -> float:
    return sum(j.duration_s for j in found) / 3600


def _names(found: Sequence[Judgement]) -> str:
    return f"{_hours(found):.1f} h: {' '.join(j.name for j in found)}"
