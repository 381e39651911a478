"""Pacing spikes without capture are no QRS complexes; beats of every width are."""

from __future__ import annotations

import numpy as np
import pytest

from models.beats.spikes import is_spike
from models.signal.conditioning import FS_HZ, condition

RAW_HZ = 250.0
AT_S = 6.0


def signal(add_mv: np.ndarray, noise_mv: float = 0.0, seed: int = 0) -> np.ndarray:
    """Ten conditioned seconds of this raw signal with white noise."""
    noise = np.random.default_rng(seed).normal(0, noise_mv, len(add_mv))
    return condition(np.rint((add_mv + noise) * 1000).astype(np.int16), RAW_HZ, 1000.0)[None, :]


def spike(mv: float) -> np.ndarray:
    raw = np.zeros(round(10 * RAW_HZ))
    raw[round(AT_S * RAW_HZ)] = mv
    return raw


def bump(mv: float, width_s: float, at_s: float = AT_S) -> np.ndarray:
    times = np.arange(round(10 * RAW_HZ)) / RAW_HZ
    return np.asarray(mv * np.exp(-0.5 * np.square((times - at_s) / width_s)))


def found(x: np.ndarray) -> bool:
    at = round(AT_S * FS_HZ)
    peak = at - 6 + np.abs(x[0, at - 6 : at + 7]).argmax()
    return bool(is_spike(x, np.array([0]), np.array([float(peak)]))[0])


@pytest.mark.parametrize("mv", [0.8, 1.5, 3.0, -2.0])
@pytest.mark.parametrize("noise_mv", [0.0, 0.01])
def test_a_spike_without_capture(mv: float, noise_mv: float) -> None:
    assert found(signal(spike(mv), noise_mv))


@pytest.mark.parametrize("mv", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("width_s", [0.01, 0.014, 0.02, 0.04])
def test_a_qrs_complex_of_any_width(mv: float, width_s: float) -> None:
    q_and_s = bump(-0.2 * mv, 0.01, AT_S - 0.03) + bump(-0.3 * mv, 0.012, AT_S + 0.03)
    assert not found(signal(bump(mv, width_s) + q_and_s + bump(0.2 * mv, 0.05, AT_S + 0.25)))


def test_a_spike_that_captures_the_ventricle() -> None:
    assert not found(signal(spike(2.0) + bump(1.0, 0.03, AT_S + 0.08)))
