"""The beats of the last seconds: what a stream remembers is what training packs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from models.beats.last_beats import ABSENT, BEATS, FIELDS, MOST_MV, packed, recall, remember
from models.beats.morphology import SHAPE
from models.signal.conditioning import FS_HZ
from models.signal.stage import Table

CONTEXT = 30 * FS_HZ


def beats(count: int, rr: float = 100.25) -> tuple[np.ndarray, np.ndarray]:
    shapes = np.random.default_rng(count).standard_normal((count, SHAPE)).astype(np.float16)
    return 40.5 + rr * np.arange(count), shapes


def remembered(state: Table, row: int, until: int) -> tuple[np.ndarray, np.ndarray]:
    return recall(state, np.array([row]), np.array([until - CONTEXT]), np.array([until]))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.floats(30, 200))
def test_a_stream_that_grows_remembers_what_training_packs(parts: list[int], rr: float) -> None:
    at, shapes = beats(sum(parts), rr)
    state = Table(**FIELDS)
    state.open()
    row, done = state.open(), 0
    for n in parts:
        remember(
            state,
            [row] * n,
            at[done : done + n].tolist(),
            shapes[done : done + n].astype(np.float32),
        )
        done += n
    until = int(at[-1]) + 65 if len(at) else 500
    inside = at >= until - CONTEXT
    for ours, theirs in zip(
        remembered(state, row, until), packed([(at[inside], shapes[inside])], [until]), strict=True
    ):
        assert np.array_equal(ours, theirs)


def test_places_before_the_oldest_beat_are_absent_and_flat() -> None:
    at, shapes = beats(3)
    ago, forms = packed([(at, shapes), (at[:0], shapes[:0])], [400.5, 400.5])
    assert (ago[0, :-3] == ABSENT).all()
    assert np.allclose(ago[0, -3:], (400.5 - at) / FS_HZ)
    assert not forms[0, :-3].any()
    assert np.array_equal(forms[0, -3:], shapes)
    assert (ago[1] == ABSENT).all()


def test_a_wrong_gain_is_held_in_bounds() -> None:
    state = Table(**FIELDS)
    row = state.open()
    remember(state, [row], [50.0], np.full((1, SHAPE), 131_072, np.float32))
    assert remembered(state, row, 200)[1][0, -1].max() == MOST_MV


def test_of_many_beats_the_newest_count() -> None:
    at, shapes = beats(BEATS + 10, rr=40.0)
    ago, _ = packed([(at, shapes)], [at[-1]])
    assert ago[0, 0] == np.float32(40.0 * (BEATS - 1) / FS_HZ)
    assert ago[0, -1] == 0
