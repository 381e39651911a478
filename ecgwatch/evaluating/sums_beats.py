"""Beats, runs, heart rate, AF and VF over all records: gross (sums) and average (mean of records) statistics."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from ecgwatch.evaluating.judge import BeatStatistics, Judgement
from ecgwatch.evaluating.tables import Cell, Table
from stream_processor.scoring.counts import Counts, TwoSided, mean
from stream_processor.scoring.runs import CLASSES

PERCENT = [("Se", ".2f"), ("+P", ".2f"), ("F1", ".2f"), ("FPR", ".3f"), ("mean Se", ".2f"), ("mean +P", ".2f")]


def beats(found: Sequence[Judgement]) -> Table:
    def counts(pick: Callable[[BeatStatistics], Counts]) -> tuple[Cell, ...]:
        each = [pick(j.beats) for j in found if j.beats]
        whole = reduce(add, each, Counts())
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
    matrix = reduce(add, [Counter(j.beats.beats.matrix) for j in found if j.beats], Counter[str]())
    note = f"From {start:g} s on, 150 ms, without ventricular flutter. Matrix: " + " ".join(f"{k} {n}" for k, n in sorted(matrix.items()))
    return Table("Beats, gross and mean of records, %", columns, rows, note)


def runs(found: Sequence[Judgement]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for kind in ("ventricular", "supraventricular"):
        for name in CLASSES:
            each = [(j.beats.ventricular_runs if kind == "ventricular" else j.beats.supraventricular_runs)[name] for j in found if j.beats]
            whole = reduce(add, each, TwoSided())
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


def heart_rate(found: Sequence[Judgement]) -> Table:
    each = [j.beats.rate for j in found if j.beats]
    whole = reduce(add, each)
    worst = max((j for j in found if j.beats), key=lambda j: (j.beats.rate.mean_bpm or 0) if j.beats else 0)
    columns = [("heart rate", ""), ("mean |error|, bpm", ".2f"), ("RMS, bpm", ".2f"), ("RMS, %", ".2f"), ("told, %", ".2f"), ("worst", "")]
    name = f"{worst.name} ({worst.beats.rate.mean_bpm or 0:.2f} bpm)" if worst.beats else ""
    return Table("Heart rate", columns, [("gross", whole.mean_bpm, whole.rms_bpm, whole.rms_percent, whole.told_percent, name)])


def episodes(found: Sequence[Judgement]) -> Table:
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


def _means(each: Sequence[TwoSided]) -> tuple[float | None, float | None]:
    return mean(c.se for c in each), mean(c.ppv for c in each)
