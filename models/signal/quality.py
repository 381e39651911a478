"""Readability of the signal: the probability that a second of it, with the three before it, can be
read, and what disturbs it. The ONE definition for training and serving.

Logistic regression on 17 properties of 4 s: how high and how quick the signal is, how steady, how
peaked, how still between its peaks, and whether these return periodically, as QRS complexes do. The
weights are learned by models/training/quality.py from leads that people have graded.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.messages import Noise
from models.signal.conditioning import FS_HZ
from models.signal.movement import DRIFT, Doubles, Floats, Movement

WEIGHTS = Path(__file__).parents[1] / "artifacts" / "quality" / "weights.json"
PIECES = 8  # of the window, whose sizes are compared
TOP = 10  # steepest samples
GROUP = 4  # samples that the envelope sums up
LEAST_LAG, MOST_LAG = 11, 62  # of the envelope: 170 to 30 beats a minute
LEAST_MV = 0.001
STILL_STEP_MV = 0.004
CLIP = 4.0  # standard deviations
FLAT_MV, SATURATED_MV, PLATEAU = 0.03, 1.5, 0.3
INDEPENDENT = 0.9  # ratio of successive differences to the signal: 1.41 of independent samples
SINE = 2.2  # kurtosis: 1.5 of a sine, 3 of noise

FEATURES = (
    "step_ratio",
    "fine_ratio",
    "rms",
    "undrifted",
    "drift",
    "drift_ratio",
    "burst",
    "stillest",
    "peakedness",
    "steepness_peakedness",
    "flat_share",
    "usual_step",
    "steepest",
    "periodicity",
    "regularity",
    "peak",
    "crest",
)


class QualityWeights(msgspec.Struct, frozen=True):
    """Weights of the logistic regression, and the scaling of its features."""

    features: list[str]
    mean: list[float]
    deviation: list[float]
    weight: list[float]
    bias: float


@cache
def weights() -> QualityWeights:
    """Return the weights that ship with the product."""
    return msgspec.json.decode(WEIGHTS.read_bytes(), type=QualityWeights)


def features(recent: Floats, moves: Movement) -> Doubles:
    """Compute FEATURES.

    Args:
        recent: (B, RECENT) mV, 0.5-45 Hz, newest last.
        moves: their movement.

    Returns (B, len(FEATURES)).
    """
    x = recent.astype(np.float64)
    x -= x.mean(axis=1, keepdims=True)
    step = np.diff(x, axis=1)
    rms, quick, fine = _rms(x), _rms(step), _rms(np.diff(step, axis=1))
    total = np.cumsum(np.pad(x, ((0, 0), (1, 0))), axis=1)
    drift = (total[:, DRIFT:] - total[:, :-DRIFT]) / DRIFT
    y = x[:, DRIFT // 2 : DRIFT // 2 + drift.shape[1]] - drift
    undrifted, drifts = _rms(y), _rms(drift)
    whole = x.shape[1] // PIECES * PIECES
    pieces = np.sort(np.sqrt(np.square(x[:, :whole]).reshape(len(x), PIECES, -1).mean(axis=2)))
    steep = np.abs(step)
    usual = np.median(steep, axis=1)
    top = np.partition(steep, -TOP, axis=1)[:, -TOP:].mean(axis=1)
    peak = np.abs(y).max(axis=1)
    columns = [
        _log(quick / np.maximum(rms, LEAST_MV)),
        _log(fine / np.maximum(quick, LEAST_MV / 10)),
        _log(rms),
        _log(undrifted),
        _log(drifts),
        _log(drifts / np.maximum(undrifted, LEAST_MV)),
        _log(pieces[:, -1] / np.maximum(pieces[:, PIECES // 2], LEAST_MV)),
        _log(pieces[:, 0]),
        _log(_kurtosis(y)),
        _log(_kurtosis(step)),
        (steep < STILL_STEP_MV).mean(axis=1),
        _log(usual),
        _log(top / np.maximum(usual, LEAST_MV)),
        _periodicity(steep),
        moves.regular,
        _log(peak),
        _log(peak / np.maximum(undrifted, LEAST_MV)),
    ]
    return np.stack(columns, axis=1)


def readable(found: Doubles, w: QualityWeights) -> Doubles:
    """Return the probability that the second can be read (B,), of FEATURES (B, n)."""
    scaled = np.clip((found - np.array(w.mean)) / np.array(w.deviation), -CLIP, CLIP)
    # summed column by column: the same result however many rows there are
    logit = np.full(len(found), w.bias)
    for column, weight in enumerate(w.weight):
        logit += scaled[:, column] * weight
    return np.asarray(1 / (1 + np.exp(logit)))


def noise(found: Doubles) -> list[Noise]:
    """Name what most disturbs an unreadable second of these FEATURES (B, n): no signal at all, an
    amplifier at its limit, mains, an electrode without contact (noise whose samples are
    independent), else motion."""
    at = {name: column for column, name in enumerate(FEATURES)}
    peak, quick = np.exp(found[:, at["peak"]]), np.exp(found[:, at["step_ratio"]])
    peaked, flat = np.exp(found[:, at["peakedness"]]), found[:, at["flat_share"]]
    conditions: list[tuple[npt.NDArray[np.bool_], Noise]] = [
        (peak < FLAT_MV, "flat"),
        ((peak >= SATURATED_MV) & (flat >= PLATEAU), "saturation"),
        ((quick >= INDEPENDENT) & (peaked < SINE), "mains"),
        (quick >= INDEPENDENT, "contact"),
    ]
    causes: list[Noise] = ["motion"] * len(found)
    for holds, name in reversed(conditions):
        causes = [name if yes else old for yes, old in zip(holds.tolist(), causes, strict=True)]
    return causes


def _rms(x: Doubles) -> Doubles:
    return np.asarray(np.sqrt(np.square(x).mean(axis=1)))


def _log(x: Doubles) -> Doubles:
    return np.asarray(np.log(np.maximum(x, LEAST_MV)))


def _kurtosis(x: Doubles) -> Doubles:
    square = np.square(x)
    power = np.maximum(square.mean(axis=1), 1e-9)
    return np.asarray(np.square(square).mean(axis=1) / np.square(power))


def _periodicity(steep: Doubles) -> Doubles:
    """Return the highest correlation of the steepness with itself one beat before (B,)."""
    whole = steep.shape[1] // GROUP * GROUP
    y = steep[:, :whole].reshape(len(steep), -1, GROUP).sum(axis=2)
    y -= y.mean(axis=1, keepdims=True)
    n = 2 * FS_HZ  # at least twice the envelope: no wrap
    spectrum = np.abs(np.fft.rfft(y, n, axis=1)) ** 2
    own = np.fft.irfft(spectrum, n, axis=1)
    return np.asarray(own[:, LEAST_LAG:MOST_LAG].max(axis=1) / np.maximum(own[:, 0], 1e-9))
