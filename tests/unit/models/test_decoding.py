"""Beats from the logits of a QRS."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.beats.decoding import EDGE, decode, running_maximum, triangle, uncertainty
from models.signal.windows import BEAT_SPEC

NEW = (BEAT_SPEC.before, BEAT_SPEC.before + BEAT_SPEC.hop)


def window(*beats: float, sure: float = 8.0) -> np.ndarray:
    """Logits (320,) with a box of 13 samples at each beat."""
    logits = np.full(BEAT_SPEC.length, -8, np.float32)
    at = np.arange(BEAT_SPEC.length)
    for beat in beats:
        logits[np.abs(at - beat) <= 6.25] = sure
    return logits


def test_a_beat_is_found_at_its_centre_with_full_confidence():
    peaks = decode(window(200)[None])
    assert peaks.row.tolist() == [0]
    assert abs(peaks.position[0] - 200) < 0.01
    assert peaks.confidence[0] > 0.99


def test_several_beats_of_a_window():
    peaks = decode(window(150, 190, 230)[None])
    assert np.round(peaks.position).tolist() == [150, 190, 230]


def test_beats_in_the_context_are_left_to_other_windows():
    beats = [NEW[0] - EDGE - 2, NEW[0] - EDGE + 24, NEW[1] + EDGE + 2]
    assert np.round(decode(window(*beats)[None]).position).tolist() == [beats[1]]


def test_a_beat_on_the_border_is_reported_by_both_windows():
    for at in range(NEW[1] - EDGE, NEW[1] + EDGE):
        here, there = (
            decode(window(at)[None]).position,
            decode(window(at - BEAT_SPEC.hop)[None]).position,
        )
        assert len(here) == len(there) == 1
        assert abs(here[0] - there[0] - BEAT_SPEC.hop) < 0.01


def test_of_two_within_the_refractory_time_the_surer_stays():
    logits = window(170)
    logits = np.maximum(logits, window(185, sure=0.5))
    assert np.round(decode(logits[None]).position).tolist() == [170]


def test_doubt_is_no_beat():
    assert len(decode(window(200, sure=-0.6)[None]).row) == 0
    assert len(decode(np.zeros((4, BEAT_SPEC.length), np.float32) - 0.5).row) == 0


def test_a_plateau_gives_one_beat():
    logits = window()
    logits[160:190] = 8
    assert len(decode(logits[None]).row) == 1


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.5, 20))
def test_a_row_does_not_depend_on_the_rows_beside_it(seed, rows, spread):
    rng = np.random.default_rng(seed)
    logits = np.repeat(
        rng.standard_normal((rows, BEAT_SPEC.length // 10)) * spread, 10, axis=1
    ).astype(np.float32)
    together = decode(logits)
    for row in range(rows):
        alone = decode(logits[row : row + 1])
        mine = together.row == row
        assert np.array_equal(alone.position, together.position[mine])
        assert np.array_equal(alone.confidence, together.confidence[mine])


def test_extreme_logits_stay_probabilities():
    logits = np.where(np.arange(BEAT_SPEC.length) % 50 < 13, 1e9, -1e9).astype(
        np.float32
    ) * np.ones((2, 1), np.float32)
    peaks = decode(logits)
    assert len(peaks.row) >= 4
    assert np.isfinite(peaks.position).all()
    assert (peaks.confidence <= 1.001).all()


def test_the_triangle_weighs_one_to_seven_to_one():
    impulse = np.zeros((1, 25), np.float32)
    impulse[0, 12] = 49
    assert np.allclose(triangle(impulse)[0], [1, 2, 3, 4, 5, 6, 7, 6, 5, 4, 3, 2, 1])


@given(st.integers(1, 60))
def test_running_maximum(width):
    x = np.random.default_rng(width).random((2, 80)).astype(np.float32)
    expected = np.lib.stride_tricks.sliding_window_view(x, width, axis=1).max(axis=2)
    assert np.array_equal(running_maximum(x, width), expected)


def test_a_weak_peak_knows_the_next_sure_one():
    logits = np.maximum(window(150, sure=-1.2), window(210))
    weak, sure = decode(logits[None], threshold=0.1)[3].tolist()
    # to where the smoothed probability of the QRS at 210 reaches the threshold
    assert 50 < weak < 60
    assert sure == np.inf


def test_doubt_is_none_where_the_network_is_sure_and_most_at_even_odds():
    clear, even = uncertainty(np.stack([window(150, 200), np.zeros(BEAT_SPEC.length, np.float32)]))
    assert clear < 0.001
    assert even == 0.25
