"""Readability of the signal on signals whose readability is certain, and its training's figures."""

from __future__ import annotations

import numpy as np
import pytest

from ingest.messages import Noise
from models.signal import quality
from models.signal.movement import movement
from models.signal.windows import RECENT
from models.training.quality import auc

FS_HZ = 125
T = np.arange(RECENT) / FS_HZ


def ecg(rate: float = 75.0) -> np.ndarray:
    """A QRS and a T wave at this rate, mV, with a little noise."""
    phase = (T * rate / 60) % 1 * 60 / rate
    noise = np.random.default_rng(1).normal(0, 0.005, len(T))
    return np.asarray(
        np.exp(-(((phase - 0.2) / 0.015) ** 2))
        + 0.2 * np.exp(-(((phase - 0.45) / 0.05) ** 2))
        + noise
    )


def told(x: np.ndarray) -> tuple[float, Noise]:
    recent = np.asarray(x, np.float32)[None]
    found = quality.features(recent, movement(recent))
    (p,), (noise,) = quality.readable(found, quality.weights()).tolist(), quality.noise(found)
    return p, noise


@pytest.mark.parametrize("rate", [45.0, 75.0, 130.0])
def test_an_ecg_is_readable(rate: float) -> None:
    assert told(ecg(rate))[0] > 0.8


@pytest.mark.parametrize(
    ("signal", "noise"),
    [
        (np.random.default_rng(2).normal(0, 0.002, RECENT), "flat"),
        (np.random.default_rng(2).normal(0, 1.0, RECENT), "contact"),
        (np.convolve(np.random.default_rng(2).normal(0, 1, RECENT), np.ones(9), "same"), "motion"),
        (2 * np.sign(np.sin(2 * np.pi * 0.9 * T)), "saturation"),
        (np.sin(2 * np.pi * 40 * T), "mains"),
    ],
)
def test_what_is_no_ecg_has_a_name(signal: np.ndarray, noise: Noise) -> None:
    p, named = told(signal)
    assert named == noise
    assert p < 0.5


def test_each_row_is_judged_by_itself() -> None:
    rows = np.stack([ecg(60), ecg(90), np.random.default_rng(3).normal(0, 1, RECENT)]).astype(
        np.float32
    )
    together = quality.features(rows, movement(rows))
    alone = [quality.features(row[None], movement(row[None]))[0] for row in rows]
    assert np.array_equal(together, np.stack(alone))


def test_auc_counts_ties_half() -> None:
    assert auc(np.array([0.1, 0.4, 0.4, 0.9]), np.array([0.0, 0.0, 1.0, 1.0])) == 0.875
