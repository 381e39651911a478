"""Runs, episodes and heart rate: stories drawn as two lines.

One character is 0.5 s: N S V F are beats, = is ventricular flutter, ~ atrial fibrillation, - atrial
flutter.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processor.scoring.counts import TwoSided
from stream_processor.scoring.episodes import AF, VF, score_episodes, without
from stream_processor.scoring.rates import score_rates
from stream_processor.scoring.reference import Episode, Mark, Record
from stream_processor.scoring.runs import SUPRAVENTRICULAR, VENTRICULAR, score_runs

FS, STEP = 100.0, 50
RHYTHM = {"=": "VFL", "~": "AFIB", "-": "AFL"}


def story(line: str) -> Record:
    beats = tuple(Mark(i * STEP, c) for i, c in enumerate(line) if c in "NSVFQ")
    rhythm = tuple(
        Episode(i * STEP, (i + 1) * STEP, RHYTHM[c]) for i, c in enumerate(line) if c in RHYTHM
    )
    return Record(FS, len(line) * STEP, beats, rhythm)


def sided(found: TwoSided) -> tuple[float, float, float, float]:
    return found.se_tp, found.fn, found.p_tp, found.fp


NONE = (0, 0, 0, 0)
RUNS = [  # couplets, short and long runs as (found, missed, right, false)
    # a couplet found; a couplet of which one beat is missed
    ("NNVVNNNVVNN", "NNVVNNNVNNN", (1, 1, 1, 0), NONE, NONE),
    # ours is longer: the couplet is found, our short run is false
    ("NNVVNNNNNNN", "NNVVVNNNNNN", (1, 0, 0, 0), (0, 0, 0, 1), NONE),
    # ours is shorter: the short run is missed, our couplet is right
    ("NNVVVNNNNNN", "NNVVNNNNNNN", (0, 0, 1, 0), (0, 1, 0, 0), NONE),
    # a fusion beat belongs to the run, an S ends it; elsewhere
    ("NNVFVNSVVNN", "NNVVVNSNNVV", (0, 1, 0, 1), (1, 0, 1, 0), NONE),
    # six and more are a long run; five of them are not enough
    ("NVVVVVVVNNN", "NVVVVVVVNNN", NONE, NONE, (1, 0, 1, 0)),
    ("NVVVVVVNNNN", "NVVVVVNNNNN", NONE, (0, 0, 1, 0), (0, 1, 0, 0)),
    # flutter is a long run, whatever we make of it there
    ("NN=====NNNN", "NNVVVVVVNNN", NONE, NONE, (1, 0, 1, 0)),
    ("NN=====NNNN", "NNNVVVNNNNN", NONE, (0, 0, 1, 0), (0, 1, 0, 0)),
]


@pytest.mark.parametrize(("ref", "ours", "couplets", "short", "long"), RUNS)
def test_runs(
    ref: str, ours: str, couplets: tuple[int, ...], short: tuple[int, ...], long: tuple[int, ...]
) -> None:
    found = score_runs(story(ref), story(ours), VENTRICULAR, 0.0)
    assert tuple(map(sided, found.values())) == (couplets, short, long)
    # what is sensitivity of the one is +P of the other
    swapped = score_runs(story(ours), story(ref), VENTRICULAR, 0.0)
    assert [sided(f) for f in found.values()] == [
        (f.p_tp, f.fp, f.se_tp, f.fn) for f in swapped.values()
    ]


def test_supraventricular_runs_and_af() -> None:
    """AF is a supraventricular run of the longest class; V ends a run of S."""
    found = score_runs(
        story("NSSNN~~~~~NNSSVSN"), story("NSSNN~~~~~NNSSVNN"), SUPRAVENTRICULAR, 0.0
    )
    assert [sided(f) for f in found.values()] == [(2, 0, 2, 0), NONE, (1, 0, 1, 0)]


def test_runs_in_the_learning_time_do_not_count() -> None:
    found = score_runs(story("NVVNNNVVN"), story("NNNNNNVVN"), VENTRICULAR, 2.0)
    assert sided(found["couplets"]) == (1, 0, 1, 0)


@given(st.text("NSVFQ ", max_size=60))
def test_perfect_runs_score_100(line: str) -> None:
    for kind in (VENTRICULAR, SUPRAVENTRICULAR):
        for found in score_runs(story(line), story(line), kind, 0.0).values():
            assert found.fn == found.fp == 0
            assert found.se in (None, 100.0)


EPISODES = [  # episodes as (found, missed, right, false), seconds likewise
    # half of it found
    ("NN~~~~NNNN", "NNNN~~NNNN", AF, (1, 0, 1, 0), (1.0, 1.0, 1.0, 0.0)),
    # one of ours over two of theirs; one of ours where there is none
    ("~~NN~~NNNN", "~~~~~~NN~N", AF, (2, 0, 1, 1), (2.0, 0.0, 2.0, 1.5)),
    # AF that we say in atrial flutter does not count against us, nor for us
    ("NN----NNNN", "NN~~~~NNNN", AF, NONE, (0.0, 0.0, 0.0, 0.0)),
    ("NN====NNNN", "NNNNNNNNNN", VF, (0, 1, 0, 0), (0.0, 2.0, 0.0, 0.0)),
]


@pytest.mark.parametrize(("ref", "ours", "labels", "episodes", "seconds"), EPISODES)
def test_episodes(
    ref: str,
    ours: str,
    labels: frozenset[str],
    episodes: tuple[int, ...],
    seconds: tuple[float, ...],
) -> None:
    found = score_episodes(story(ref), story(ours), labels, 0.0)
    assert sided(found.episodes) == episodes
    assert sided(found.seconds) == seconds


def test_an_episode_that_began_in_the_learning_time_counts_from_its_end() -> None:
    found = score_episodes(story("~~~~NN"), story("~~NNNN"), AF, 1.0)
    assert sided(found.episodes) == (0, 1, 0, 0)
    assert sided(found.seconds) == (0.0, 1.0, 0.0, 0.0)


@given(st.text("N~-=", max_size=60))
def test_perfect_episodes_score_100(line: str) -> None:
    for labels in (AF, VF):
        found = score_episodes(story(line), story(line), labels, 0.0)
        assert found.episodes.fn == found.episodes.fp == found.seconds.fn == found.seconds.fp == 0


def test_holes_cut_an_episode() -> None:
    assert without([Episode(0, 10, "AFIB")], [Episode(2, 4, "AFL"), Episode(9, 12, "AFL")]) == [
        (0, 2, "AFIB"),
        (4, 9, "AFIB"),
    ]


def test_heart_rate_error() -> None:
    """Errors of +3 and -5 bpm; one second without a heart rate of ours; one in the learning time."""
    found = score_rates(
        {125: 200.0, 250: 60.0, 375: 100.0, 500: 80.0}, {125: 50.0, 250: 63.0, 375: 95.0}, 250
    )
    assert found.mean_bpm == 4.0
    assert found.rms_bpm == pytest.approx(4.1231, abs=1e-4)
    assert found.rms_percent == pytest.approx(5.0)
    assert found.reported_percent == pytest.approx(66.667, abs=1e-3)
    assert (found + found).mean_bpm == 4.0
    assert score_rates({}, {}, 0).mean_bpm is None
