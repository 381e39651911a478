"""The context of beats: what features say of a plain rhythm, a premature beat, a strange one, and
in fibrillation."""

from __future__ import annotations

import numpy as np
import pytest

from models.beats.intervals import RHYTHM
from models.beats.morphology import SHAPE, R, around
from models.beats.templates import FEATURES, LIKENESS, SCALARS, BeatContext

PLACE = np.arange(SHAPE)
# P, R, T
NORMAL = sum(
    h * np.exp(-0.5 * ((PLACE - R - at) / w) ** 2)
    for h, at, w in ((0.12, -10, 2), (1.0, 0, 1.2), (0.2, 16, 4))
)
STRANGE = -0.8 * np.exp(-0.5 * ((PLACE - R) / 4) ** 2) + 0.5 * np.exp(
    -0.5 * ((PLACE - R - 14) / 4) ** 2
)


def told(
    context: BeatContext, row: int, rr_s: list[float], shapes: list[np.ndarray], start: float = 0.0
) -> np.ndarray:
    """Features of beats that come after these intervals, one after the other."""
    rows, at, found = np.array([row]), start, []
    for rr, shape in zip(rr_s, shapes, strict=True):
        at += rr * 125
        found.append(context.take(rows, np.array([at]), shape[None]).features[0])
    return np.array(found)


def value(features: np.ndarray, name: str) -> float:
    return float(features[-len(SCALARS) + SCALARS.index(name)])


def opened() -> tuple[BeatContext, int]:
    context = BeatContext()
    return context, context.open("p", 125.0)


def test_features_are_finite_from_the_first_beat_on() -> None:
    context, row = opened()
    found = told(context, row, [0.8] * 3 + [9.0, 0.8], [NORMAL] * 5)
    assert found.shape == (5, FEATURES)
    assert np.isfinite(found).all()
    # nothing before it; a pause of 9 s
    assert value(found[0], "no_rr") == value(found[3], "no_rr") == 1
    assert value(found[4], "no_rr") == 0


def test_a_premature_beat_is_early_by_every_horizon() -> None:
    context, row = opened()
    found = told(context, row, [0.8] * 40 + [0.5], [NORMAL] * 41)
    assert all(value(found[-1], name) < -3 for name in ("rr_short", "rr_long", "rr_before"))
    assert value(found[-1], "rank_long") == -2  # shorter than all before
    assert abs(value(found[-2], "rr_long")) < 0.05


def test_a_short_interval_in_fibrillation_is_nothing_special() -> None:
    context, row = opened()
    rr = np.random.default_rng(1).uniform(0.45, 1.1, 80).tolist()
    found = told(context, row, [*rr, 0.5], [NORMAL] * 81)
    assert value(found[-1], "rank_long") > -2
    assert value(found[-1], "spread_long") > 2
    assert value(found[-1], "z") > -2


def test_a_strange_shape_is_unlike_the_dominant_beat_and_gets_a_slot_of_its_own() -> None:
    context, row = opened()
    found = told(
        context,
        row,
        [0.8] * 30,
        [NORMAL] * 20 + [STRANGE] + [NORMAL] * 4 + [STRANGE] + [NORMAL] * 4,
    )
    assert value(found[20], "like") < 0
    assert value(found[20], "own_dominant") == 1  # the only slot there was
    assert value(found[25], "own_dominant") == -1  # it is known by now, and is not the dominant one
    assert value(found[25], "best") > 0.9
    assert value(found[24], "like") > 0.9


def test_size_and_polarity_of_the_lead_change_nothing_but_the_sign() -> None:
    shapes = [NORMAL] * 12 + [STRANGE] + [NORMAL] * 3
    (a, i), (b, j) = opened(), opened()
    plain, turned = (
        told(a, i, [0.8] * 16, shapes),
        told(b, j, [0.8] * 16, [-0.3 * s for s in shapes]),
    )
    sign = np.ones(FEATURES)
    sign[: 3 * SHAPE] = -1
    sign[-len(SCALARS) + SCALARS.index("polarity")] = -1
    assert turned == pytest.approx(sign * plain, abs=1e-4)


def test_the_shape_around_an_r_peak_never_leaves_the_window() -> None:
    x = np.arange(320, dtype=np.float32)[None]
    cut = around(x, np.array([0, 0]), np.array([130.0, 319.0]))
    assert cut[0, R] == 130
    assert cut[1].max() == 319


def test_every_scalar_has_one_name() -> None:
    assert len(set(SCALARS)) == len(SCALARS) == len(RHYTHM) + len(LIKENESS) + 24
