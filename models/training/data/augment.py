"""Augment training rows with disturbances common in wearable signals and rare in the records:
noise, pauses, flat stretches, lost electrodes. Rows are changed in place.

Recorded noise is NSTDB's (Moody et al. 1984): baseline wander, muscle, electrode motion.
Signal-to-noise ratios are defined as there: QRS height squared over eight, over the noise's power
before any filter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from models.signal.conditioning import FS_HZ, HIGH_PASS_HZ
from models.signal.windows import BEAT_SPEC, scale
from models.training.data.beat_windows import HISTORY, UnscaledRows
from models.training.data.records import (
    FIBRILLATION,
    NO,
    QRS,
    UNKNOWN,
    VENTRICULAR,
    YES,
    Floats,
    Noise,
)

Generator = np.random.Generator
CHANCE = {
    "gain": 0.12,
    "pause": 0.14,
    "inversion": 0.3,
    "noise": 0.6,
    "white": 0.3,
    "mains": 0.2,
    "wander": 0.15,
    "pop": 0.05,
    "flat": 0.1,
    "start": 0.08,
    "stop": 0.04,
}
SNR_DB = (-8.0, 18.0)
TIME = np.arange(HISTORY) / FS_HZ
POP = dsp.lfilter(*dsp.butter(2, HIGH_PASS_HZ, "highpass", fs=FS_HZ), np.ones(HISTORY)).astype(
    np.float32
)  # the response of conditioning to a step


def augment(rows: UnscaledRows, noises: Sequence[Noise], rng: Generator) -> Floats:
    """Change the rows at random and scale them as serving does: (B, BEAT_SPEC.length); rows.targets
    is changed alike."""
    fill_without_heart(rows, noises, rng)
    some = {
        what: np.flatnonzero((rng.random(len(rows.history)) < chance) & (rows.height > 0))
        for what, chance in CHANCE.items()
    }
    change_gain(rows, some["gain"], rng)
    for row in some["pause"]:
        splice_pause(rows, int(row), rng)
    rows.history[some["inversion"]] *= -1
    for row in some["noise"]:
        for _ in range(rng.integers(1, 3)):
            add_noise(rows, int(row), noises[int(rng.integers(len(noises)))], rng)
    rows.history[some["white"]] += (
        white_noise(len(some["white"]), rng)
        * (rows.height[some["white"]] * log_uniform(rng, 0.005, 0.1, len(some["white"])))[:, None]
    )
    add_mains(rows, some["mains"], rng)
    add_wander(rows, some["wander"], rng)
    for row in some["pop"]:
        at = rng.integers(HISTORY)
        rows.history[row, at:] += (
            rng.choice([-1, 1]) * log_uniform(rng, 0.5, 10) * rows.height[row] * POP[: HISTORY - at]
        )
    for row in some["flat"]:
        flatten(rows, int(row), rng)
    for row in some["start"]:
        start_late(rows, int(row), rng)
    for row in some["stop"]:
        stop_early(rows, int(row), rng)
    return scale(rows.history, np.minimum(rows.valid, BEAT_SPEC.scale), BEAT_SPEC)


def log_uniform(rng: Generator, low: float, high: float, size: int | None = None) -> Floats:
    """Draw numbers that are uniform on a logarithmic scale."""
    return np.asarray(np.exp(rng.uniform(np.log(low), np.log(high), size)), np.float32)


def white_noise(rows: int, rng: Generator) -> Floats:
    """(rows, HISTORY) normal numbers."""
    return rng.standard_normal((rows, HISTORY), dtype=np.float32)


def fill_without_heart(rows: UnscaledRows, noises: Sequence[Noise], rng: Generator) -> None:
    """Rows without a heart (height 0): the noise floor of an amplifier, recorded noise, or P waves
    alone; scaling will blow them up."""
    for row in np.flatnonzero(rows.height == 0):
        x = white_noise(1, rng)[0] * log_uniform(rng, 0.001, 0.02)
        if rng.random() < 0.5:  # pinker
            x = dsp.lfilter([1], [1, -rng.uniform(0.3, 0.95)], x).astype(np.float32)
        if rng.random() < 0.4:
            noise = noises[int(rng.integers(len(noises)))]
            at = rng.integers(len(noise.signal) - HISTORY)
            x = x + noise.signal[at : at + HISTORY] * log_uniform(rng, 0.01, 1) * rng.choice(
                [-1, 1]
            )
        if rng.random() < 0.3:
            x = x + np.sin(2 * np.pi * (rng.uniform(0.15, 1.0) * TIME + rng.random())).astype(
                np.float32
            ) * log_uniform(rng, 0.005, 0.2)
        if rng.random() < 0.2:
            x = x + p_waves(HISTORY, rng)
        rows.history[row] = x


def p_waves(length: int, rng: Generator) -> Floats:
    """Atrial activity alone, as in ventricular standstill: smooth waves of 80-110 ms, 40 to 120 a
    minute, in mV."""
    step = rng.uniform(0.5, 1.5) * FS_HZ
    at = np.arange(rng.uniform(0, step), length, step)
    width = rng.uniform(0.022, 0.03) * FS_HZ
    waves = np.exp(-0.5 * ((np.arange(length)[:, None] - at) / width) ** 2).sum(axis=1)
    return np.asarray(waves * log_uniform(rng, 0.03, 0.15) * rng.choice([-1, 1, 1, 1]), np.float32)


def change_gain(rows: UnscaledRows, some: npt.NDArray[np.intp], rng: Generator) -> None:
    """Scale the older part of a row, as after an electrode has moved."""
    for row in some:
        at, ramp = rng.integers(HISTORY), rng.integers(1, FS_HZ)
        older = np.clip((at - np.arange(HISTORY)) / ramp, 0, 1)
        rows.history[row] *= (float(log_uniform(rng, 0.3, 3)) ** older).astype(np.float32)


def splice_pause(rows: UnscaledRows, row: int, rng: Generator) -> None:
    """Insert 1-9 s without beats before a beat (a pause), or from after a T wave to the end
    (asystole); the signal before it moves back."""
    # R peaks
    beats = np.flatnonzero(np.diff((rows.targets[row, QRS] == YES).astype(np.int8)) == 1) + 7
    beats = beats[beats > 100]
    if not len(beats) or (rows.targets[row, FIBRILLATION] == YES).any():
        return
    length = int(rng.uniform(1.0, 9.0) * FS_HZ)
    late = beats[beats > HISTORY - BEAT_SPEC.length]
    resume = HISTORY
    if rng.random() < 0.6 and len(late):
        resume = int(rng.choice(late)) - int(rng.integers(28, 40))  # before the P wave
    else:
        resume += int(rng.uniform(-0.2, 1.0) * length)  # the pause lasts beyond the window
    source, targets = rows.history[row].copy(), rows.targets[row].copy()
    gone = np.arange(HISTORY) < resume
    begin = resume - length
    cut = _quiet_point(beats, min(resume, HISTORY) - 1, rng)  # end of the older signal
    moved = np.arange(HISTORY) - begin + cut  # source sample of each older sample
    older = gone & (np.arange(HISTORY) < begin) & (moved >= 0)
    pause = gone & (np.arange(HISTORY) >= begin)
    x = np.where(older, source[np.clip(moved, 0, HISTORY - 1)], source)
    x[gone & ~older & ~pause] = 0
    x[pause] = quiet(
        int(pause.sum()),
        source[min(cut, HISTORY - 1)],
        source[min(resume, HISTORY - 1)],
        float(rows.height[row]),
        rng,
    )
    rows.history[row] = x
    rows.targets[row] = np.where(older, targets[:, np.clip(moved, 0, HISTORY - 1)], targets)
    rows.targets[row][:, pause] = np.array([NO, UNKNOWN, NO], np.uint8)[:, None]
    rows.targets[row][:, gone & ~older & ~pause] = UNKNOWN


def _quiet_point(beats: npt.NDArray[np.intp], before: int, rng: Generator) -> int:
    """A sample after the T wave of a beat that comes before the given sample."""
    earlier = beats[beats + 56 < before]
    return (
        int(earlier[-1] + rng.integers(50, 56))
        if len(earlier)
        else max(0, min(int(beats[0]) - 35, before))
    )


def quiet(length: int, begin: float, end: float, height: float, rng: Generator) -> Floats:
    """Baseline between two values, with a noise floor, perhaps with slow drift or P waves."""
    t = np.arange(length)
    x = begin * np.exp(-t / 30) + end * np.exp((t - length) / 30)
    x = x + rng.standard_normal(length) * height * log_uniform(rng, 0.002, 0.03)
    if rng.random() < 0.4:
        x = x + np.sin(
            2 * np.pi * (rng.uniform(0.15, 0.6) * t / FS_HZ + rng.random())
        ) * height * log_uniform(rng, 0.01, 0.1)
    if rng.random() < 0.3:
        x = x + p_waves(length, rng)
    return np.asarray(x, np.float32)


def add_noise(rows: UnscaledRows, row: int, noise: Noise, rng: Generator) -> None:
    """Add recorded noise to the whole row, or from or up to a point."""
    at = rng.integers(len(noise.signal) - HISTORY)
    snr = rng.uniform(*SNR_DB)
    rms = rows.height[row] / np.sqrt(8) / 10 ** (snr / 20)
    piece = noise.signal[at : at + HISTORY] * np.float32(rms / noise.rms_mv * rng.choice([-1, 1]))
    edge = rng.integers(HISTORY)
    part = [slice(None), slice(None), slice(edge, None), slice(None, edge)][rng.integers(4)]
    rows.history[row, part] += piece[part]


def add_mains(rows: UnscaledRows, some: npt.NDArray[np.intp], rng: Generator) -> None:
    """Add the remainder of 50 or 60 Hz mains after conditioning."""
    n = len(some)
    hz = rng.choice([50.0, 60.0], n) + rng.uniform(-0.3, 0.3, n)
    size = rows.height[some] * log_uniform(rng, 0.01, 0.15, n)
    rows.history[some] += (
        size[:, None] * np.sin(2 * np.pi * (hz[:, None] * TIME + rng.random(n)[:, None]))
    ).astype(np.float32)


def add_wander(rows: UnscaledRows, some: npt.NDArray[np.intp], rng: Generator) -> None:
    """Add baseline wander by breathing and slow movement."""
    n = len(some)
    size = rows.height[some] * log_uniform(rng, 0.05, 1.0, n)
    phase = 2 * np.pi * (rng.uniform(0.15, 0.7, n)[:, None] * TIME + rng.random(n)[:, None])
    rows.history[some] += (size[:, None] * np.sin(phase)).astype(np.float32)


def flatten(rows: UnscaledRows, row: int, rng: Generator) -> None:
    """Make a stretch of 0.1-3 s constant. A beat wholly inside is removed; one cut by its edges is
    left out of the loss."""
    length = int(log_uniform(rng, 0.1, 3.0) * FS_HZ)
    begin = int(rng.integers(HISTORY - BEAT_SPEC.length - length, HISTORY - 10))
    end = min(begin + length, HISTORY)
    rows.history[row, begin:end] = rng.choice([0.0, float(rows.history[row, begin])])
    for edge in (begin, end):
        near = slice(max(0, edge - 14), edge + 14)
        rows.targets[row, QRS, near][rows.targets[row, QRS, near] == YES] = UNKNOWN
    inside = rows.targets[row, QRS, begin:end]
    inside[inside == YES] = NO
    rows.targets[row, VENTRICULAR, begin:end] = UNKNOWN
    if length > 25:
        rows.targets[row, FIBRILLATION, begin:end] = UNKNOWN


def start_late(rows: UnscaledRows, row: int, rng: Generator) -> None:
    """Remove the signal before a point, as at a record's start or after a gap."""
    at = int(
        rng.integers(HISTORY - BEAT_SPEC.length, HISTORY - 40)
        if rng.random() < 0.7
        else rng.integers(HISTORY - 40)
    )
    rows.history[row, :at] = 0
    rows.targets[row, :, :at] = UNKNOWN
    rows.valid[row] = min(int(rows.valid[row]), HISTORY - at)


def stop_early(rows: UnscaledRows, row: int, rng: Generator) -> None:
    """Remove the signal from a point on, as at a record's end: no beat is expected there."""
    missing = int(rng.integers(1, BEAT_SPEC.after + BEAT_SPEC.hop))
    rows.history[row, -missing:] = 0
    near = rows.targets[row, QRS, HISTORY - missing - 14 : HISTORY - missing + 14]
    near[near == YES] = UNKNOWN
    after = rows.targets[row, QRS, -missing:]
    after[after != UNKNOWN] = NO
    rows.targets[row, VENTRICULAR, -missing:] = UNKNOWN
    rows.targets[row, FIBRILLATION, -missing:] = NO
    rows.valid[row] = max(1, int(rows.valid[row]) - missing)
