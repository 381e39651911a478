"""All records together: gross (sums) and average (mean of records) statistics, alarms, delays, episodes, and the goals."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import TypeVar

from ecgwatch.evaluating.judge import BeatStatistics, Judgement
from ecgwatch.evaluating.tables import Cell, Table
from ingest.messages import AlarmKind
from stream_processor.alarms.catalogue import CATALOGUE
from stream_processor.scoring import cinc2015
from stream_processor.scoring.alarms import Answered, Judged, nearest_rank
from stream_processor.scoring.counts import Counts, TwoSided, mean, percent
from stream_processor.scoring.runs import CLASSES

T = TypeVar("T")
NEARLY_N = 0.01  # share of beats that are not N, below which a record counts as normal in the second line of the goals

PERCENT = [("Se", ".2f"), ("+P", ".2f"), ("F1", ".2f"), ("FPR", ".3f"), ("mean Se", ".2f"), ("mean +P", ".2f")]


def tables(found: Sequence[Judgement]) -> list[Table]:
    """Everything that the records allow to be said."""
    asked = [j for j in found if j.answer]
    scored = [j for j in found if not j.answer]
    parts: list[Table] = []
    if any(j.beats for j in scored):
        parts += [_beats(scored), _runs(scored), _heart_rate(scored)]
    if scored:
        parts += [_episodes(scored), _alarms(scored), _delays(scored), _lethal(scored)]
    if asked:
        parts += [_challenge(asked), _confusion(asked)]
    return [t for t in [*parts, goals(found)] if t.rows]


def records(found: Sequence[Judgement]) -> Table:
    """A row per record."""
    columns = [
        ("record", ""), ("min", ".1f"), ("lead", ""), ("network", ""), ("QRS Se", ".2f"), ("QRS +P", ".2f"), ("F1", ".2f"), ("V Se", ".1f"),
        ("V +P", ".1f"), ("S Se", ".1f"), ("S +P", ".1f"), ("HR err", ".2f"), ("high", "d"), ("false", "d"), ("other", "d"), ("false ", "d"),
        ("due", "d"), ("missed", "d"),
    ]  # fmt: skip
    note = "high, other: alarms announced; due, missed: reference conditions of high priority. HR err: mean absolute, bpm."
    return Table("Records", columns, [_record(j) for j in found if not j.answer], note)


def _record(j: Judgement) -> tuple[Cell, ...]:
    qrs, v, s = (j.beats.beats.qrs, j.beats.beats.veb, j.beats.beats.sveb) if j.beats else (Counts(), Counts(), Counts())
    judged = [x for x in j.alarms.judged if not x.alarm.technical] if j.alarms else []
    high, other = [[x for x in judged if (x.alarm.priority == "high") is wanted] for wanted in (True, False)]
    due = [d for d in _due([j]) if CATALOGUE[d.condition.kind].priority == "high"]
    return (
        j.name, j.duration_s / 60, j.channel, j.network + (" (seen)" if j.task.seen else ""), qrs.se, qrs.ppv, qrs.f1, v.se, v.ppv, s.se, s.ppv,
        j.beats.rate.mean_bpm if j.beats else None, len(high), _false(high), len(other), _false(other) if j.beats else None,
        len(due), sum(d.answer == "missed" for d in due),
    )  # fmt: skip


def _beats(found: Sequence[Judgement]) -> Table:
    def counts(pick: Callable[[BeatStatistics], Counts]) -> tuple[Cell, ...]:
        each = [pick(j.beats) for j in found if j.beats]
        whole = total(each, Counts())
        return (
            whole.se, whole.ppv, whole.f1, whole.fpr if whole.tn else None, mean(c.se for c in each), mean(c.ppv for c in each),
            whole.tp + whole.fn, whole.fn, whole.fp,
        )  # fmt: skip

    rows: list[tuple[Cell, ...]] = [
        ("QRS", *counts(lambda b: b.beats.qrs)),
        ("VEB", *counts(lambda b: b.beats.veb)),
        ("SVEB", *counts(lambda b: b.beats.sveb)),
    ]
    columns = [("beats", ""), *PERCENT, ("reference", "d"), ("missed", "d"), ("false", "d")]
    start = found[0].task.start_s
    matrix = total([Counter(j.beats.beats.matrix) for j in found if j.beats], Counter[str]())
    note = f"From {start:g} s on, 150 ms, without ventricular flutter. Matrix: " + " ".join(f"{k} {n}" for k, n in sorted(matrix.items()))
    return Table("Beats, gross and mean of records, %", columns, rows, note)


def _runs(found: Sequence[Judgement]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in ("ventricular", "supraventricular"):
        for name in CLASSES:
            each = [(j.beats.ventricular_runs if kind == "ventricular" else j.beats.supraventricular_runs)[name] for j in found if j.beats]
            whole = total(each, TwoSided())
            rows.append((f"{kind} {name}", whole.se, whole.ppv, *_means(each), int(whole.se_tp + whole.fn), int(whole.fn), int(whole.fp)))
    columns = [
        ("runs", ""),
        ("Se", ".1f"),
        ("+P", ".1f"),
        ("mean Se", ".1f"),
        ("mean +P", ".1f"),
        ("reference", "d"),
        ("missed", "d"),
        ("false", "d"),
    ]
    return Table("Runs, %", columns, rows)


def _heart_rate(found: Sequence[Judgement]) -> Table:
    each = [j.beats.rate for j in found if j.beats]
    whole = reduce(add, each)
    worst = max((j for j in found if j.beats), key=lambda j: (j.beats.rate.mean_bpm or 0) if j.beats else 0)
    columns = [("heart rate", ""), ("mean |error|, bpm", ".2f"), ("RMS, bpm", ".2f"), ("RMS, %", ".2f"), ("told, %", ".2f"), ("worst", "")]
    name = f"{worst.name} ({worst.beats.rate.mean_bpm or 0:.2f} bpm)" if worst.beats else ""
    return Table("Heart rate", columns, [("gross", whole.mean_bpm, whole.rms_bpm, whole.rms_percent, whole.told_percent, name)])


def _episodes(found: Sequence[Judgement]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name, each in (("AF", [j.af for j in found if j.af]), ("VF, flutter", [j.vf for j in found if j.vf])):
        whole = reduce(add, each)
        for what, side, sides in (
            ("episodes", whole.episodes, [e.episodes for e in each]),
            ("duration", whole.seconds, [e.seconds for e in each]),
        ):
            rows.append((f"{name} {what}", side.se, side.ppv, *_means(sides), side.se_tp + side.fn, side.p_tp + side.fp))
    columns = [("rhythm", ""), ("Se", ".1f"), ("+P", ".1f"), ("mean Se", ".1f"), ("mean +P", ".1f"), ("reference", ".0f"), ("ours", ".0f")]
    return Table("AF and VF, %", columns, rows, "Durations in seconds.")


def _alarms(found: Sequence[Judgement]) -> Table:
    hours = sum(j.alarms.hours for j in found if j.alarms)
    judged, due = _judged(found), _due(found)
    rows = [
        _kind(kind, [x for x in judged if x.alarm.kind == kind], [d for d in due if d.condition.kind == kind], hours) for kind in CATALOGUE
    ]
    for priority in ("high", "medium", "low"):
        some = [x for x in judged if x.alarm.priority == priority and not x.alarm.technical]
        rows.append((f"all {priority}", "", len(some), len(some) / hours, _false(some), _false(some) / hours, None, None, None))
    columns = [
        ("alarm", ""), ("priority", ""), ("announced", "d"), ("per h", ".2f"), ("false", "d"), ("false per h", ".2f"), ("due", "d"), ("found", "d"),
        ("Se, %", ".1f"),
    ]  # fmt: skip
    held = sum(j.alarms.held_back for j in found if j.alarms)
    note = f"{hours:.1f} patient-hours; {held} more were held back all the time (chains, refractory times)."
    return Table("Alarms", columns, [r for r in rows if r[2] or r[6] or str(r[0]).startswith("all")], note)


def _kind(kind: AlarmKind, judged: list[Judged], due: list[Answered], hours: float) -> tuple[Cell, ...]:
    can = any(x.true is not None for x in judged)
    hits = sum(d.answer != "missed" for d in due)
    false = _false(judged)
    rate = false / hours if can else None
    about = "technical" if CATALOGUE[kind].technical else CATALOGUE[kind].priority
    return (
        kind, about, len(judged), len(judged) / hours, false if can else None, rate, len(due) or None, hits if due else None,
        percent(hits, len(due)),
    )  # fmt: skip


def _delays(found: Sequence[Judgement]) -> Table:
    known = [(d.condition.kind, d.delay_s) for d in _due(found) if d.delay_s is not None]
    kinds = [("any", [s for _, s in known]), *((kind, [s for k, s in known if k == kind]) for kind in CATALOGUE)]
    rows: list[tuple[Cell, ...]] = [
        (kind, len(values), statistics.median(values), nearest_rank(values, 99), max(values)) for kind, values in kinds if values
    ]
    columns = [("high-priority condition", ""), ("n", "d"), ("median", ".1f"), ("p99", ".1f"), ("max", ".1f")]
    late = sorted(((d.delay_s, j.name, d) for j in found for d in _due([j]) if d.delay_s is not None), key=lambda x: -x[0])[:3]
    note = "Latest: " + ", ".join(f"{name} {_clock(d.condition.start_s)} {d.condition.kind} {s:.1f} s" for s, name, d in late)
    return Table("From onset to the first alarm of high priority, s", columns, rows, note if late else "")


def _lethal(found: Sequence[Judgement]) -> Table:
    """Annotated rhythm episodes that must be alarmed, where there are no beats to go by."""
    due = [(j.name, d) for j in found if not j.beats for d in _due([j]) if d.condition.label and d.condition.label != "AFIB"]
    rows: list[tuple[Cell, ...]] = []
    for label in ("VF", "VFL", "VT", "ASYS", "all"):
        some = [d.answer for _, d in due if label in (d.condition.label, "all")]
        hits = len(some) - some.count("missed")
        rows.append((label, len(some), some.count("raised"), some.count("held"), some.count("missed"), percent(hits, len(some))))
    columns = [
        ("episode of 10 s and more", ""),
        ("n", "d"),
        ("raised", "d"),
        ("held from before", "d"),
        ("missed", "d"),
        ("alarmed, %", ".1f"),
    ]
    missed = [
        f"{name} {_clock(d.condition.start_s)}-{_clock(d.condition.end_s)} {d.condition.label}" for name, d in due if d.answer == "missed"
    ]
    return Table("Annotated lethal episodes", columns, rows if due else [], "Missed: " + (", ".join(missed) or "none"))


def _challenge(found: Sequence[Judgement]) -> Table:
    answers = [j.answer for j in found if j.answer]
    rows: list[tuple[Cell, ...]] = []
    for kind in [*cinc2015.KINDS, "all"]:
        c = cinc2015.counts(a for a in answers if kind in (a.question.kind, "all"))
        rows.append((kind, c.tp, c.fn, c.fp, c.tn, percent(c.tp, c.tp + c.fn), percent(c.tn, c.tn + c.fp), cinc2015.score(c)))
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
    return Table("CinC 2015, one ECG lead, nothing after 5:00", columns, rows)


def _confusion(found: Sequence[Judgement]) -> Table:
    """Which of our alarms held, per question and truth."""
    answers = [j.answer for j in found if j.answer]
    groups = [(k, true) for k in cinc2015.KINDS for true in (True, False)]
    rows: list[tuple[Cell, ...]] = []
    for kind, true in groups:
        some = [a for a in answers if a.question.kind == kind and a.question.true is true]
        rows.append(
            (
                f"{kind} {true}",
                len(some),
                *(sum(ours in a.held for a in some) for ours in cinc2015.KINDS.values()),
                sum(not a.held for a in some),
            )
        )
    columns = [("question", ""), ("n", "d"), *((kind, "d") for kind in cinc2015.KINDS.values()), ("none at all", "d")]
    return Table("Which alarms of ours held in those 10 s", columns, rows)


def goals(found: Sequence[Judgement]) -> Table:
    """What the product set out to reach, as far as these records can tell."""
    rows: list[tuple[Cell, ...]] = []
    delays = [d.delay_s for d in _due(found) if d.delay_s is not None]
    if delays:
        rows.append(("high-priority onset to alarm, p99, s", nearest_rank(delays, 99), "<= 10", "<= 8", f"{len(delays)} conditions"))
    lethal = [d.answer for j in found if not j.beats for d in _due([j]) if d.condition.label and d.condition.label != "AFIB"]
    if lethal:
        share = percent(len(lethal) - lethal.count("missed"), len(lethal))
        rows.append(("episodes of VF, VFL, VT, asystole >= 10 s raised, %", share, ">= 95", "100", f"{len(lethal)} episodes"))
    answers = [j.answer for j in found if j.answer]
    if answers:
        rows.append(
            ("CinC 2015 score, one ECG lead", cinc2015.score(cinc2015.counts(answers)), ">= 65", ">= 75", f"{len(answers)} records")
        )
    rows += _false_rates(found)
    columns = [("goal", ""), ("value", ".2f"), ("must", ""), ("aim", ""), ("on", "")]
    return Table("Goals", columns, rows)


def _false_rates(found: Sequence[Judgement]) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    with_beats = [j for j in found if j.beats]
    calm = [j for j in with_beats if j.alarms and not j.alarms.lethal]
    if calm:
        high = [x for x in _judged(calm) if x.alarm.priority == "high"]
        rows.append(("false high-priority alarms per h, no lethal rhythm", _false(high) / _hours(calm), "<= 0.3", "<= 0.05", _names(calm)))
    for name, most, must, aim in (("annotated all N", 0.0, "<= 1", "<= 0.2"), (f"below {NEARLY_N:.0%} other beats", NEARLY_N, "", "")):
        normal = [j for j in with_beats if j.beats and j.beats.not_n <= most * len(j.reference.beats)]
        if normal:
            arrhythmia = [x for x in _judged(normal) if not x.alarm.technical]
            rows.append((f"false alarms of any priority per h, {name}", _false(arrhythmia) / _hours(normal), must, aim, _names(normal)))
    without = [j for j in found if j.alarms and not j.beats]
    if without:
        high = [x for x in _judged(without) if x.alarm.priority == "high"]
        rows.append(
            ("false high-priority alarms per h, outside lethal episodes", _false(high) / _hours(without), "", "", f"{len(without)} records")
        )
    return rows


def total(values: Sequence[T], none: T) -> T:
    """Sum of counts."""
    return reduce(add, values, none)


def _means(each: Sequence[TwoSided]) -> tuple[float | None, float | None]:
    return mean(c.se for c in each), mean(c.ppv for c in each)


def _judged(found: Sequence[Judgement]) -> list[Judged]:
    return [x for j in found if j.alarms for x in j.alarms.judged]


def _due(found: Sequence[Judgement]) -> list[Answered]:
    return [d for j in found if j.alarms for d in j.alarms.due]


def _false(judged: Sequence[Judged]) -> int:
    return sum(x.true is False for x in judged)


def _hours(found: Sequence[Judgement]) -> float:
    return sum(j.duration_s for j in found) / 3600


def _names(found: Sequence[Judgement]) -> str:
    return f"{_hours(found):.1f} h: {' '.join(j.name for j in found)}"


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
