"""The vote of a beat's form: what it changes, what it leaves alone, and that rows and scales do not
mix."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.beats.templates import JOIN, SLOTS
from models.beats.votes import DOUBT, FIELDS, SAME, VOTE, vote
from models.signal.stage import Table

Beat = tuple[int, float, list[float]]  # slot, likeness, logits
LOGIT = st.floats(-30, 30)
BEAT = st.tuples(
    st.integers(0, SLOTS - 1), st.floats(-1, 1), st.lists(LOGIT, min_size=5, max_size=5)
)


def voted(beats: list[Beat], scale: float = 1.0) -> np.ndarray:
    """One patient's beats, one after the other: (n, 5)."""
    state = Table(**FIELDS)
    row = np.array([state.open()])
    return np.array(
        [
            vote(state, row, np.array([s]), np.array([like]), scale * np.array([z]))[0]
            for s, like, z in beats
        ]
    )


def beat(odds: float, slot: int = 0, like: float = SAME) -> Beat:
    return slot, like, [0.0, -5.0, odds, -8.0, -8.0]


def test_the_first_beat_of_a_form_is_what_the_network_says() -> None:
    assert voted([beat(3.0, like=0.5), beat(-3.0, slot=1, like=0.5)])[:, 2].tolist() == [3.0, -3.0]


def test_a_form_that_always_looked_ventricular_makes_a_doubtful_beat_ventricular() -> None:
    many = [beat(4.0)] * 100
    weight = VOTE * 100 / (100 + DOUBT)
    assert voted([*many, beat(-1.0)])[-1, 2] == pytest.approx((1 - weight) * -1.0 + weight * 4.0)
    assert voted([*many, beat(-1.0, slot=1)])[-1, 2] == -1.0  # another form has no votes


def test_a_beat_that_is_hardly_like_its_form_hears_little_of_it() -> None:
    """VFDB 607, 30:48: in an irregular tachycardia one beat comes near the normal form."""
    found = [
        voted([beat(-5.0)] * 200 + [beat(1.0, like=like)])[-1, 2]
        for like in (JOIN, 0.85, SAME, 1.0)
    ]
    assert found[0] == 1.0
    assert found[0] > found[1] > found[2] == found[3]


def test_a_new_form_in_an_old_place_inherits_nothing() -> None:
    assert voted([beat(4.0)] * 20 + [beat(-1.0, like=0.5), beat(-1.0)])[-2:, 2].tolist() == [
        -1.0,
        -1.0,
    ]


def test_an_outvoted_beat_outvotes_none() -> None:
    """The mean is of the network's odds: alternating ones keep it in the middle, however the first
    ones voted."""
    found = voted([beat(4.0)] * 10 + [beat(o) for _ in range(500) for o in (4.0, -4.0)])
    assert found[-1, 2] < 0 < found[-2, 2]


@given(st.lists(BEAT, max_size=30))
def test_only_v_is_changed_and_never_beyond_what_its_form_has_seen(beats: list[Beat]) -> None:
    given_ = np.array([z for _, _, z in beats]).reshape(-1, 5)
    found = voted(beats).reshape(-1, 5)
    assert (found[:, [0, 1, 3, 4]] == given_[:, [0, 1, 3, 4]]).all()
    odds, after = (z[:, 2] - z[:, :2].max(axis=1) for z in (given_, found))
    assert (after <= odds.max(initial=-np.inf) + 1e-9).all()
    assert (after >= odds.min(initial=np.inf) - 1e-9).all()


@given(st.lists(BEAT, max_size=30), st.floats(0.25, 4))
def test_calibration_before_or_after_the_vote_is_the_same(beats: list[Beat], scale: float) -> None:
    assert voted(beats, scale) == pytest.approx(scale * voted(beats), abs=1e-6)


@given(st.lists(st.tuples(BEAT, BEAT, BEAT), max_size=20))
def test_patients_together_are_as_each_alone(beats: list[tuple[Beat, ...]]) -> None:
    state = Table(**FIELDS)
    rows = np.array([state.open() for _ in range(3)])
    together = [
        vote(state, rows, *(np.array(column) for column in zip(*three, strict=True)))
        for three in beats
    ]
    for i in range(3):
        alone = voted([three[i] for three in beats])
        assert [v[i].tolist() for v in together] == [v.tolist() for v in alone]
