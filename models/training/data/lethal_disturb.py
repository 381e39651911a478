"""Disturb one segment of lethal_data.SPAN samples as electrodes, amplifiers and movement do.

Like models/training/data/augment.py for a window, but scaled by the segment itself: without QRS
complexes there is no height to measure.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal as dsp

from models.signal.conditioning import FS_HZ, HIGH_PASS_HZ
from models.training.data.augment import log_uniform
from models.training.data.lethal_data import ASYSTOLE, SPAN, Sets
from models.training.data.records import Floats, Noise

Generator = np.random.Generator
TIME = np.arange(SPAN) / FS_HZ
# the response of conditioning to a step
STEP = dsp.lfilter(*dsp.butter(2, HIGH_PASS_HZ, "highpass", fs=FS_HZ), np.ones(SPAN)).astype(
    np.float32
)
CHANCE = {
    "filter": 0.3,
    "noise": 0.5,
    "white": 0.3,
    "mains": 0.2,
    "wander": 0.25,
    "pop": 0.08,
    "gain": 0.1,
    "clip": 0.06,
}
HARMLESS_SNR_DB = (-6.0, 20.0)
LETHAL_SNR_DB = (4.0, 24.0)  # below this, the rhythm cannot be recognised


def disturb(x: Floats, sets: Sets, noises: Sequence[Noise], rng: Generator) -> Floats:
    """Change a segment at random: (SPAN,) mV."""
    lethal = bool((sets[-FS_HZ:] & 0b1110).any())
    size = float(np.sqrt(np.mean(np.square(x[-FS_HZ * 10 :])))) + 1e-4
    if (sets[-FS_HZ:] == 1 << ASYSTOLE).all():
        size *= 0.3  # noise that hides an asystole makes its label wrong
    does = {what: rng.random() < chance for what, chance in CHANCE.items()}
    if does["filter"]:
        x = _filter(x, rng)
    if does["noise"]:
        for _ in range(rng.integers(1, 3)):
            snr = rng.uniform(*(LETHAL_SNR_DB if lethal else HARMLESS_SNR_DB))
            x = x + recorded(noises, rng) * np.float32(size / 10 ** (snr / 20))
    if does["white"]:
        x = x + rng.standard_normal(SPAN, dtype=np.float32) * size * log_uniform(rng, 0.01, 0.2)
    if does["mains"]:
        x = x + _sine(rng.choice([40.0, 42.0, 50.0, 60.0]), rng) * size * log_uniform(
            rng, 0.01, 0.3
        )
    if does["wander"]:
        x = x + _sine(rng.uniform(0.15, 0.7), rng) * size * log_uniform(rng, 0.05, 1.5)
    if does["pop"] and not lethal:
        at = rng.integers(SPAN)
        x[at:] += rng.choice([-1, 1]) * log_uniform(rng, 0.5, 10) * size * STEP[: SPAN - at]
    if does["gain"]:
        x = x * float(log_uniform(rng, 0.4, 2.5)) ** np.clip(
            (rng.integers(SPAN) - np.arange(SPAN)) / 30, 0, 1
        ).astype(np.float32)
    if does["clip"]:
        limit = size * rng.uniform(1.0, 3.0)
        x = np.clip(x, -limit, limit)
    gain = np.exp(rng.normal(0, 0.35)) * rng.choice([-1, 1])
    return np.asarray(x * np.float32(gain), np.float32)


def recorded(noises: Sequence[Noise], rng: Generator) -> Floats:
    """Recorded noise of 1 mV (root mean square), over the whole segment, or from or up to a
    point."""
    noise = noises[int(rng.integers(len(noises)))]
    at = rng.integers(len(noise.signal) - SPAN)
    piece = noise.signal[at : at + SPAN] / np.float32(noise.rms_mv)
    edge, part = rng.integers(SPAN), rng.integers(4)
    inside = np.arange(SPAN) >= edge if part == 0 else np.arange(SPAN) < edge
    return piece * inside if part < 2 else piece


def _sine(hz: float, rng: Generator) -> Floats:
    return np.asarray(np.sin(2 * np.pi * (hz * TIME + rng.random())), np.float32)


def _filter(x: Floats, rng: Generator) -> Floats:
    """Imitate another device: a first-order high-pass up to 1.5 Hz, or a low-pass down to 12 Hz."""
    if rng.random() < 0.5:
        b, a = dsp.butter(1, rng.uniform(0.3, 1.5), "highpass", fs=FS_HZ)
    else:
        b, a = dsp.butter(1, rng.uniform(12, 40), fs=FS_HZ)
    return np.asarray(dsp.lfilter(b, a, x), np.float32)
