"""How the signal moves: rate and regularity of waves, stillness, and each row by itself."""

from __future__ import annotations

import numpy as np
import pytest

from models.signal.conditioning import FS_HZ
from models.signal.movement import movement
from models.signal.windows import RECENT

TIMES = np.arange(RECENT) / FS_HZ


def one(signal: np.ndarray) -> tuple[float, float, float, float]:
    found = movement(signal.astype(np.float32)[None])
    return tuple(float(column[0]) for column in found)  # type: ignore[return-value]


@pytest.mark.parametrize("rate", [120, 150, 180, 240, 300])
def test_a_regular_wave_has_its_rate(rate: int) -> None:
    mv, least, found, regular = one(0.5 * np.sin(2 * np.pi * rate / 60 * TIMES))
    assert found == pytest.approx(rate, rel=0.08)
    assert regular > 0.9
    assert mv == pytest.approx(0.35, rel=0.25)
    assert least > 0.2


def test_breathing_and_noise_are_nearly_still() -> None:
    rng = np.random.default_rng(1)
    mv, least, _, _ = one(0.3 * np.sin(2 * np.pi * 0.25 * TIMES) + rng.normal(0, 0.01, RECENT))
    assert mv < 0.04
    assert least < 0.04


def test_noise_is_not_regular() -> None:
    rng = np.random.default_rng(2)
    _, _, _, regular = one(rng.normal(0, 0.3, RECENT))
    assert regular < 0.5


def test_a_row_does_not_depend_on_those_beside_it() -> None:
    rng = np.random.default_rng(3)
    rows = rng.normal(0, 1, (37, RECENT)).astype(np.float32)
    together = movement(rows)
    for i in range(len(rows)):
        alone = movement(rows[i : i + 1])
        assert all(a[i] == b[0] for a, b in zip(together, alone, strict=True))
