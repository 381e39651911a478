"""Beat by beat: stories drawn as a line of reference and a line of ours, and the matrix they make.

One character is 0.1 s: N S V F Q are beats, [ ] ventricular flutter, anything else is nothing.
"""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wfdb.processing import compare_annotations

from stream_processor.scoring.beats import match, score_beats
from stream_processor.scoring.counts import Counts, mean
from stream_processor.scoring.reference import Episode, Mark, Record, Symbol, joined, reference

FS = 360.0
STEP = 36  # samples per character


def story(line: str) -> Record:
    """A record out of a line."""
    beats = tuple(Mark(i * STEP, c) for i, c in enumerate(line) if c in "NSVFQ")
    flutter = (
        [Episode(line.index("[") * STEP, line.index("]") * STEP, "VFL")] if "[" in line else []
    )
    return Record(FS, len(line) * STEP, beats, tuple(flutter))


STORIES = [
    # a beat late by 100 ms is the same beat, by 200 ms another one
    ("  N     N     N   ", "   N    N       N ", {"Nn": 2, "No": 1, "On": 1}),
    # missed, extra
    ("  N     V     N   ", "  N  N        N   ", {"Nn": 2, "On": 1, "Vo": 1}),
    # classes
    ("  N  S  V  F  Q   ", "  V  S  V  V  V   ", {"Nv": 1, "Ss": 1, "Vv": 1, "Fv": 1, "Qv": 1}),
    # in flutter nothing counts, on either side
    ("  N  [         ] N", "  N  V V V  V  V N", {"Nn": 2, "Ov": 1}),
    # two of ours for one: one is extra
    ("     N     N      ", "    NN     N      ", {"Nn": 2, "On": 1}),
    # nothing of ours; nothing at all
    ("  N     N         ", "                  ", {"No": 2}),
    ("                  ", "                  ", {}),
]


@pytest.mark.parametrize(("ref", "ours", "matrix"), STORIES)
def test_matrix(ref: str, ours: str, matrix: dict[str, int]) -> None:
    assert score_beats(story(ref), story(ours), 0.0).matrix == matrix


def test_classes_forgive_as_the_standard_does() -> None:
    """F and Q called V are neither for nor against V; an extra V and N, S called V are; S called V
    is a miss of S."""
    found = score_beats(story("  N  S  V  V  F  Q    S "), story("  V  V  V  N  V  V  V   "), 0.0)
    assert found.veb == Counts(tp=1, fn=1, fp=3, tn=0)
    assert found.sveb == Counts(tp=0, fn=2, fp=0, tn=6)
    assert found.qrs == Counts(tp=6, fn=1, fp=1)
    assert [m.sample // STEP for m in found.wrong_v] == [2, 5, 11]


def test_learning_time_is_not_scored() -> None:
    found = score_beats(story("  N   N   N   N "), story("  V       N   N "), 0.7)
    assert found.matrix == {"Nn": 2}


def test_percentages() -> None:
    counts = Counts(tp=8, fn=2, fp=8, tn=92)
    assert (counts.se, counts.ppv, counts.fpr) == (80.0, 50.0, 8.0)
    assert counts.f1 == pytest.approx(61.538, abs=1e-3)
    assert Counts().se is None
    assert mean([50.0, None, 100.0]) == 75.0
    assert mean([None]) is None


positions = st.lists(st.integers(0, 3000), max_size=30, unique=True).map(sorted)


# 167 ms and more
apart = st.lists(st.integers(60, 300), min_size=1, max_size=30).map(
    lambda gaps: list(accumulate(gaps))
)


@given(apart, positions.filter(bool))
def test_pairs_are_those_of_wfdb(ref: list[int], test: list[int]) -> None:
    theirs = compare_annotations(np.array(ref), np.array(test), 54)
    assert [
        -1 if j is None else j for j in match(ref, test, 54)
    ] == theirs.matching_sample_nums.tolist()


@given(positions, positions)
def test_pairs_are_one_to_one_and_near(ref: list[int], test: list[int]) -> None:
    pairs = [(r, j) for r, j in zip(ref, match(ref, test, 54), strict=True) if j is not None]
    assert len({j for _, j in pairs}) == len(pairs)
    assert all(abs(r - test[j]) < 54 for r, j in pairs)


@given(positions, positions, st.floats(0, 8))
def test_counts_add_up(ref: list[int], ours: list[int], start_s: float) -> None:
    a, b = (Record(FS, 3001, tuple(Mark(s, "NSVFQ"[s % 5]) for s in side)) for side in (ref, ours))
    found = score_beats(a, b, start_s)
    assert found.qrs.tp + found.qrs.fn == sum(s >= start_s * FS for s in ref)
    assert found.qrs.tp + found.qrs.fp == sum(s >= start_s * FS for s in ours)
    assert (len(found.missed), len(found.extra)) == (found.qrs.fn, found.qrs.fp)
    assert sum(found.matrix.values()) == found.qrs.tp + found.qrs.fn + found.qrs.fp


@given(positions.filter(bool))
def test_perfect_annotation_scores_100(ref: list[int]) -> None:
    record = Record(FS, 3001, tuple(Mark(s, "NSVFQ"[s % 5]) for s in ref))
    found = score_beats(record, record, 0.0)
    assert (found.qrs.se, found.qrs.ppv, found.qrs.f1) == (100.0, 100.0, 100.0)
    assert all(c.se in (None, 100.0) and c.fp == 0 for c in (found.veb, found.sveb))


def test_reference_of_annotations() -> None:
    """Classes, rhythms that last to the next, other names of rhythms, flutter that never ends, and
    what is no beat."""
    symbols = [
        Symbol(0, "+", "(N"),
        Symbol(10, "N"),
        Symbol(20, "j"),
        Symbol(30, "a"),
        Symbol(40, "E"),
        Symbol(50, "/"),
        Symbol(55, "x"),
        Symbol(60, "+", "(VFIB\0"),
        Symbol(80, "+", "(NSR"),
        Symbol(85, "~"),
        Symbol(90, "["),
        Symbol(95, "!"),
    ]
    found = reference(symbols, FS, 100)
    assert found.beats == ((10, "N"), (20, "N"), (30, "S"), (40, "V"), (50, "Q"))
    assert found.rhythm == ((0, 60, "N"), (60, 80, "VF"), (80, 100, "N"), (90, 100, "VFL"))
    assert found.episodes({"VF", "VFL"}) == [(60, 80, "VF"), (90, 100, "VFL")]


def test_touching_episodes_are_one() -> None:
    assert joined([Episode(5, 9, "VF"), Episode(0, 5, "VFL"), Episode(12, 14, "VF")]) == [
        (0, 9, "VFL"),
        (12, 14, "VF"),
    ]
