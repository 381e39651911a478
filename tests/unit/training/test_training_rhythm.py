"""Rhythm windows, scores, and what the shipped model says of simulated rhythms."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.signal.conditioning import condition
from models.signal.windows import RHYTHM_SPEC
from models.training.data import cinc2017
from models.training.data.rhythm_windows import Varied, record_windows, short_windows
from models.training.tasks.rhythm.scores import challenge_score, f1

NOISE = [np.random.default_rng(5).standard_normal(20_000).astype(np.float32)]


def patient(scenario: str, seconds: float = 60, seed: int = 1) -> np.ndarray:
    script = load(scenario)
    counts = np.concatenate(
        [block.counts for block in simulate(script, seed=seed, duration_s=seconds)]
    )
    return condition(counts, script.fs_hz, script.counts_per_mv)


def wave(seconds: float) -> np.ndarray:
    return np.sin(np.arange(round(seconds * 125)) / 9).astype(np.float32)


@given(st.lists(st.integers(0, 3), min_size=20, max_size=300), st.integers(2, 10))
def test_folds_share_every_class_evenly_and_do_not_change(labels: list[int], count: int) -> None:
    fold = cinc2017.folds(np.array(labels), count)
    np.testing.assert_array_equal(fold, cinc2017.folds(np.array(labels), count))
    for label in set(labels):
        sizes = np.bincount(fold[np.array(labels) == label], minlength=count)
        assert sizes.max() - sizes.min() <= 1


def test_a_record_is_judged_by_all_its_full_windows_and_a_short_one_by_what_there_is() -> None:
    assert record_windows(wave(60)).shape == (7, 3750)
    assert record_windows(wave(30)).shape == (1, 3750)
    (young,) = record_windows(wave(10))
    assert not young[:2500].any()
    assert np.count_nonzero(young[2500:]) > 1200


def test_pieces_lie_side_by_side_and_see_nothing_of_each_other() -> None:
    pieces = short_windows(wave(31), 10)
    assert pieces.shape == (3, 3750)
    assert not pieces[:, :2500].any()
    np.testing.assert_array_equal(pieces[-1], record_windows(wave(31)[-1250:])[0])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(9.1, 61), min_size=1, max_size=6), st.integers(0, 1000))
def test_varied_windows_end_with_signal_and_are_drawn_again_by_the_same_seed(
    lengths: list[float], seed: int
) -> None:
    signals = [wave(seconds) for seconds in lengths]
    one, two = Varied(NOISE, seed), Varied(NOISE, seed)
    x = one.batch(signals)
    np.testing.assert_array_equal(x, two.batch(signals))
    two.state = one.state
    np.testing.assert_array_equal(one.batch(signals), two.batch(signals))
    assert x.shape == (len(signals), RHYTHM_SPEC.length)
    assert np.isfinite(x).all()
    assert np.abs(x).max() <= RHYTHM_SPEC.clip
    for row in x:
        signal = np.flatnonzero(row)
        # at least the shortest length, less what the change of pace takes
        assert len(row) - signal[0] >= 8 * 125
        # zeros only before the signal
        assert np.count_nonzero(row[signal[0] :]) > 0.95 * (len(row) - signal[0])


def test_the_score_of_the_challenge_leaves_noise_out() -> None:
    truth = np.array([0, 0, 1, 1, 2, 2, 3])
    chosen = np.array([0, 0, 1, 2, 2, 2, 0])
    np.testing.assert_allclose(f1(truth, chosen), [4 / 5, 2 / 3, 4 / 5, 0], rtol=1e-6)
    assert challenge_score(truth, chosen) == pytest.approx((4 / 5 + 2 / 3 + 4 / 5) / 3)
