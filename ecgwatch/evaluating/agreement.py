"""Counts of all records for the page's plots of agreement: rhythm second by second, beats by
class, heart rates by second."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from ecgwatch.evaluating.judge import Judgement
from stream_processor.scoring.rates import RatePair
from stream_processor.scoring.reference import Record

SINUS = {"N", "SBR", "STACH", "SARR"}
BEATS = {"N": "N", "S": "S", "V": "V", "F": "F", "Q": "Q", "O": "none"}
ORDER = ("sinus", "AFIB", "AFL", "SVTA", "VT", "VF", "ASYS")  # then the others, by name
Pairs = Counter[tuple[str, str]]


def seconds(record: Record) -> list[str]:
    """The rhythm of every second, "" if none is known; flutter of the ventricles is VF, and sinus
    rhythms are one."""
    labels = [""] * int(record.duration_s)
    for e in record.rhythm:
        name = "VF" if e.label == "VFL" else "sinus" if e.label in SINUS else e.label
        first, last = int(e.start / record.fs_hz), int(e.end / record.fs_hz)
        for second in range(first, min(len(labels), last)):
            labels[second] = name
    return labels


def rhythms(found: Iterable[Judgement]) -> Pairs:
    """Seconds by the annotated rhythm and ours, of records whose rhythm is annotated."""
    counts: Pairs = Counter()
    for j in found:
        if j.reference.rhythm:
            both = zip(seconds(j.reference), seconds(j.ours), strict=False)
            counts.update((true, ours or "none") for true, ours in both if true)
    return counts


def beats(found: Iterable[Judgement]) -> Pairs:
    """Beats by the annotated class and ours; "none" for a missed and for an extra beat."""
    counts: Pairs = Counter()
    for j in found:
        for key, n in j.beats.beats.matrix.items() if j.beats else ():
            counts[BEATS[key[0]], BEATS[key[1].upper()]] += n
    return counts


def rates(found: Iterable[Judgement]) -> list[RatePair]:
    """Heart rates of every second in which both sides have one."""
    return [pair for j in found if j.beats for pair in j.beats.rates]


def ordered(counts: Pairs, first: Sequence[str]) -> list[str]:
    """The labels that occur: those of `first` in their order, then the others by name."""
    there = {label for pair in counts for label in pair}
    return [label for label in first if label in there] + sorted(there - set(first))
