"""Sum beats, runs, heart rate, AF and VF over all records: gross (sums) and average (mean of
records) statistics."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add

from ecgwatch.evaluating.judge import BeatStatistics, Judgement
from ecgwatch.evaluating.tables import Cell, FigureTable
from stream_processor.scoring.counts import Counts, TwoSided, mean, percent
from stream_processor.scoring.episodes import AF, FLUTTER
from stream_processor.scoring.runs import CLASSES

PERCENT = [
    ("Se", ".2f"),
    ("+P", ".2f"),
    ("F1", ".2f"),
    ("FPR", ".3f"),
    ("mean Se", ".2f"),
    ("mean +P", ".2f"),
]


def beats(found: Sequence[Judgement]) -> FigureTable:
    """QRS, VEB and SVEB; the note has the whole matrix, and the spread over the folds of the beat
    network."""

    def counts(pick: Callable[[BeatStatistics], Counts]) -> tuple[Cell, ...]:
        each = [pick(j.beats) for j in found if j.beats]
        whole = reduce(add, each, Counts())
        return (
            whole.se,
            whole.ppv,
            whole.f1,
            whole.fpr if whole.tn else None,
            mean(c.se for c in each),
            mean(c.ppv for c in each),
            whole.tp + whole.fn,
            whole.fn,
            whole.fp,
        )

    rows: list[tuple[Cell, ...]] = [
        ("QRS", *counts(lambda b: b.beats.qrs)),
        ("VEB", *counts(lambda b: b.beats.veb)),
        ("SVEB", *counts(lambda b: b.beats.sveb)),
    ]
    columns = [("beats", ""), *PERCENT, ("reference", "d"), ("missed", "d"), ("false", "d")]
    start = found[0].task.start_s
    matrix = reduce(add, [Counter(j.beats.beats.matrix) for j in found if j.beats], Counter[str]())
    note = f"From {start:g} s on, 150 ms, without ventricular flutter. Matrix: " + " ".join(
        f"{k} {n}" for k, n in sorted(matrix.items())
    )
    note += _over_folds(found)
    return FigureTable("Beats, gross and mean of records, %", columns, rows, note)


def _over_folds(found: Sequence[Judgement]) -> str:
    """QRS F1 of each fold's records, if several folds judged."""
    by_fold: dict[str, Counts] = {}
    for j in found:
        if j.beats and j.task.fold is not None:
            by_fold[j.task.fold] = by_fold.get(j.task.fold, Counts()) + j.beats.beats.qrs
    f1 = [c.f1 for c in by_fold.values() if c.f1 is not None]
    return (
        f". QRS F1 over {len(f1)} folds {statistics.mean(f1):.2f} +- {statistics.pstdev(f1):.2f}"
        if len(f1) > 1
        else ""
    )


def runs(found: Sequence[Judgement]) -> FigureTable:
    """Couplets, short and long runs of either kind."""
    rows: list[tuple[Cell, ...]] = []
    for kind in ("ventricular", "supraventricular"):
        for name in CLASSES:
            each = [
                (
                    j.beats.ventricular_runs
                    if kind == "ventricular"
                    else j.beats.supraventricular_runs
                )[name]
                for j in found
                if j.beats
            ]
            whole = reduce(add, each, TwoSided())
            rows.append(
                (
                    f"{kind} {name}",
                    whole.se,
                    whole.ppv,
                    *_means(each),
                    int(whole.se_tp + whole.fn),
                    int(whole.fn),
                    int(whole.fp),
                )
            )
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
    return FigureTable("Runs, %", columns, rows)


def heart_rate(found: Sequence[Judgement]) -> FigureTable:
    """Errors over all seconds of all records."""
    each = [j.beats.rate for j in found if j.beats]
    whole = reduce(add, each)
    worst = max(
        (j for j in found if j.beats), key=lambda j: (j.beats.rate.mean_bpm or 0) if j.beats else 0
    )
    columns = [
        ("heart rate", ""),
        ("mean |error|, bpm", ".2f"),
        ("RMS, bpm", ".2f"),
        ("RMS, %", ".2f"),
        ("told, %", ".2f"),
        ("worst", ""),
    ]
    name = f"{worst.name} ({worst.beats.rate.mean_bpm or 0:.2f} bpm)" if worst.beats else ""
    return FigureTable(
        "Heart rate",
        columns,
        [("gross", whole.mean_bpm, whole.rms_bpm, whole.rms_percent, whole.reported_percent, name)],
    )


def episodes(found: Sequence[Judgement]) -> FigureTable:
    """AF and VF, by episodes and by seconds; the note says how much of the time without AF is
    called AF."""
    rows: list[tuple[Cell, ...]] = []
    for name, each in (
        ("AF", [j.af for j in found if j.af]),
        ("VF, flutter", [j.vf for j in found if j.vf]),
    ):
        if not each:
            continue
        whole = reduce(add, each)
        for what, side, sides in (
            ("episodes", whole.episodes, [e.episodes for e in each]),
            ("duration", whole.seconds, [e.seconds for e in each]),
        ):
            rows.append(
                (
                    f"{name} {what}",
                    side.se,
                    side.ppv,
                    *_means(sides),
                    side.se_tp + side.fn,
                    side.p_tp + side.fp,
                )
            )
    columns = [
        ("rhythm", ""),
        ("Se", ".1f"),
        ("+P", ".1f"),
        ("mean Se", ".1f"),
        ("mean +P", ".1f"),
        ("reference", ".0f"),
        ("ours", ".0f"),
    ]
    return FigureTable("AF and VF, %", columns, rows, f"Durations in seconds. {_called_af(found)}")


def _called_af(found: Sequence[Judgement]) -> str:
    """Share of the time without AF that is called AF; +P depends on how much AF the records
    have."""
    scored = [j for j in found if j.af]
    if not scored:
        return "No rhythm is annotated: AF cannot be judged."
    without = 0.0
    for j in scored:
        start = round(j.task.start_s * j.reference.fs_hz) if j.beats else 0
        atrial = [e for e in j.reference.episodes(AF | FLUTTER) if e.end > start]
        without += (
            j.reference.n - start - sum(e.end - max(e.start, start) for e in atrial)
        ) / j.reference.fs_hz
    called = sum(j.af.seconds.fp for j in scored if j.af)
    return f"Of {without / 60:.0f} min without AF or atrial flutter {percent(called, without) or 0:.2f} % are called AF."


def _means(each: Sequence[TwoSided]) -> tuple[float | None, float | None]:
    return mean(c.se for c in each), mean(c.ppv for c in each)
