"""Records that have one label each, as in the CinC 2017 challenge (Clifford et al. 2017, DOI
10.22489/CinC.2017.065-469)."""

from __future__ import annotations

from collections.abc import Sequence

from ecgwatch.evaluating.judge import PIECE_S, Judgement
from ecgwatch.evaluating.tables import Cell, FigureTable
from ecgwatch.evaluating.task import LABELS

Pairs = Sequence[tuple[str, str]]  # reference label, answer


def whole(found: Sequence[Judgement]) -> Pairs:
    """Counts of whole records."""
    return [(j.labels.true, j.labels.whole) for j in found if j.labels]


def pieces(found: Sequence[Judgement]) -> Pairs:
    """Counts of pieces judged separately."""
    return [(j.labels.true, label) for j in found if j.labels for label in j.labels.pieces]


def f1(pairs: Pairs, label: str) -> float:
    """F1 of one class; 0 if it never occurs."""
    hits = sum(true == ours == label for true, ours in pairs)
    total = sum((true == label) + (ours == label) for true, ours in pairs)
    return 2 * hits / total if total else 0.0


def challenge_score(pairs: Pairs) -> float:
    """Mean F1 of N, A and O."""
    return sum(f1(pairs, label) for label in "NAO") / 3


def scores(found: Sequence[Judgement]) -> FigureTable:
    """F1 per class and their mean, on whole records and on pieces."""
    rows: list[tuple[Cell, ...]] = []
    for name, pairs in (
        ("whole records", whole(found)),
        (f"{PIECE_S}-s pieces, each by itself", pieces(found)),
    ):
        rows.append(
            (name, len(pairs), challenge_score(pairs), *(f1(pairs, label) for label in LABELS))
        )
    columns = [
        ("CinC 2017", ""),
        ("n", "d"),
        ("(N + A + O) / 3", ".3f"),
        *((label, ".3f") for label in LABELS),
    ]
    return FigureTable("Rhythm of records: F1", columns, rows)


def confusion(found: Sequence[Judgement]) -> FigureTable:
    """Whole records, by label and answer."""
    pairs = whole(found)
    rows: list[tuple[Cell, ...]] = [
        (true, *(pairs.count((true, ours)) for ours in LABELS)) for true in LABELS
    ]
    return FigureTable(
        "Whole records: reference, and what was said",
        [("reference", ""), *((label, "d") for label in LABELS)],
        rows,
    )


def records(found: Sequence[Judgement]) -> FigureTable:
    """A row per record that got a wrong label."""
    rows: list[tuple[Cell, ...]] = [
        (j.name, j.duration_s, j.labels.true, j.labels.whole, " ".join(j.labels.pieces))
        for j in found
        if j.labels and j.labels.true != j.labels.whole
    ]
    columns = [
        ("record", ""),
        ("s", ".0f"),
        ("reference", ""),
        ("ours", ""),
        (f"in pieces of {PIECE_S} s", ""),
    ]
    return FigureTable("Records called something else", columns, rows)
