"""Synthesise lethal rhythms, because too few patients in the available records have them. Segments
of lethal_data.SPAN samples, mV.

Ventricular tachycardia: a patient's own ventricular beats, closer together. Its counterpart, a
supraventricular tachycardia: normal beats, as close. Ventricular fibrillation: surrogates of a real
one with random phases (Theiler et al. 1992, DOI 10.1016/0167-2789(92)90102-S), or waves whose
frequency and size wander. Flutter: a regular wave in which no QRS, no T and no isoelectric line can
be distinguished; its counterpart, such a wave at a slower rate. Asystole: the noise floor of an
amplifier, from the start or after a last beat.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import signal as dsp

from models.signal.conditioning import FS_HZ
from models.training.data.augment import log_uniform, p_waves
from models.training.data.lethal_data import SPAN, LethalStrip
from models.training.data.records import Floats

Generator = np.random.Generator
# N beats with bundle branch block
BROAD = {"mitdb/109", "mitdb/111", "mitdb/118", "mitdb/124", "mitdb/207", "mitdb/214"}


class BeatBank:
    """Beats of MITDB patients by class, to make tachycardias of."""

    def __init__(self, strips: Sequence[LethalStrip], letter: str, least: int = 5) -> None:
        self._patients = []
        for strip in strips:
            chosen = np.flatnonzero(np.array(list(strip.classes)) == letter)
            chosen = chosen[
                (strip.beats[chosen] > FS_HZ)
                & (strip.beats[chosen] < strip.signal.shape[1] - FS_HZ)
            ]
            if len(chosen) >= least and not (letter == "N" and strip.patient in BROAD):
                self._patients.append((strip, chosen))

    def __bool__(self) -> bool:
        return bool(self._patients)

    def tachycardia(self, rng: Generator, weights: Floats, fastest: float) -> Floats:
        """Beats of one patient at 120 to `fastest` a minute: the same beat repeated, or similar
        ones."""
        strip, chosen = self._patients[rng.integers(len(self._patients))]
        signal = weights[: strip.signal.shape[0]] @ strip.signal
        cycle = 60 * FS_HZ / rng.uniform(120, fastest)
        jitter = rng.choice([0.0, 0.02, 0.06])
        same = int(rng.choice(chosen)) if rng.random() < 0.6 else None
        early = int(rng.uniform(0.3, 0.5) * cycle)
        parts: list[Floats] = []
        total = 0
        while total < SPAN + FS_HZ:
            beat = int(rng.choice(chosen)) if same is None else same
            length = max(25, int(cycle * (1 + jitter * rng.standard_normal())))
            begin = int(strip.beats[beat]) - early
            piece = signal[begin : begin + length] * np.float32(1 + 0.05 * rng.standard_normal())
            parts.append(_join(parts[-1][-1] if parts else piece[0], piece))
            total += length
        x = np.concatenate(parts)[:SPAN]
        return np.asarray(x * _envelope(rng) if rng.random() < 0.25 else x, np.float32)


def _join(level: float, piece: Floats) -> Floats:
    """The piece, made to begin where the last one ended and to end at the same height: cycles
    without steps."""
    ramp = np.linspace(0, 1, len(piece), dtype=np.float32)
    fall = np.exp(-np.arange(len(piece), dtype=np.float32) / 8)
    tilted = piece - ramp * (piece[-1] - piece[0])
    return np.asarray(tilted + (level - tilted[0]) * fall, np.float32)


def _envelope(rng: Generator) -> Floats:
    """An amplitude that waxes and wanes, as in torsades and in fibrillation: (SPAN,) of 0.3 to
    1.7."""
    knots = rng.uniform(0.3, 1.7, int(rng.integers(4, 16)))
    return np.asarray(
        np.interp(np.linspace(0, len(knots) - 1, SPAN), np.arange(len(knots)), knots), np.float32
    )


def surrogate(x: Floats, rng: Generator) -> Floats:
    """A surrogate with the same spectrum and random phases."""
    spectrum = np.fft.rfft(x)
    turned = np.abs(spectrum) * np.exp(2j * np.pi * rng.random(len(spectrum)))
    return np.asarray(np.fft.irfft(turned, len(x)) * _envelope(rng), np.float32)


def waves(rng: Generator) -> Floats:
    """Fibrillatory waves: two oscillators of 3.3 to 7 Hz whose frequency and size wander, with a
    harmonic."""
    x = np.zeros(SPAN)
    base = rng.uniform(3.3, 7.0)
    for share in (1.0, rng.uniform(0.2, 0.8)):
        drift = dsp.lfilter([1], [1, -0.99], rng.standard_normal(SPAN)) * rng.uniform(0.02, 0.07)
        hz = base * rng.uniform(0.75, 1.25) * np.exp(np.clip(drift, -0.5, 0.5))
        phase = 2 * np.pi * (np.cumsum(hz) / FS_HZ + rng.random())
        x += (
            share
            * _envelope(rng)
            * (np.sin(phase) + rng.uniform(0, 0.4) * np.sin(2 * phase + 6 * rng.random()))
        )
    return np.asarray(x / x.std() * log_uniform(rng, 0.08, 0.6), np.float32)


def flutter(rng: Generator) -> Floats:
    """A regular, broad wave of 150 to 350 a minute, as ventricular flutter is defined: no part of
    it can be distinguished as QRS or T."""
    return _regular(rng, rng.uniform(150, 350) / 60)


def slow_wave(rng: Generator, slowest: float, fastest: float) -> Floats:
    """The same shape at fewer a minute: a broad ventricular rhythm, however much it looks like
    flutter."""
    return _regular(rng, rng.uniform(slowest, fastest) / 60)


def _regular(rng: Generator, hz: float) -> Floats:
    """A sine of a frequency that hardly wanders, up to two harmonics, its size steady or slowly
    changing."""
    drift = dsp.lfilter([1], [1, -0.99], rng.standard_normal(SPAN)) * rng.uniform(0.0, 0.007)
    angle = 2 * np.pi * (np.cumsum(hz * np.exp(drift)) / FS_HZ + rng.random())
    x = np.sin(angle)
    for harmonic, largest in ((2, 0.45), (3, 0.15)):
        if rng.random() < 0.6:
            x = x + rng.uniform(0, largest) * np.sin(harmonic * angle + 2 * np.pi * rng.random())
    swing = rng.uniform(0, 0.35) * np.sin(
        2 * np.pi * (rng.uniform(0.1, 0.7) * np.arange(SPAN) / FS_HZ + rng.random())
    )
    return np.asarray((1 + swing) * x * log_uniform(rng, 0.08, 1.5), np.float32)


def stillness(rng: Generator, length: int = SPAN) -> Floats:
    """No heart: the noise floor of an amplifier, perhaps pink, with slow drift, mains or P waves
    alone."""
    t = np.arange(length) / FS_HZ
    x = rng.standard_normal(length) * log_uniform(rng, 0.001, 0.03)
    if rng.random() < 0.5:
        x = dsp.lfilter([1], [1, -rng.uniform(0.3, 0.95)], x)
    if rng.random() < 0.6:
        x = x + np.sin(2 * np.pi * (rng.uniform(0.1, 0.8) * t + rng.random())) * log_uniform(
            rng, 0.005, 0.3
        )
    if rng.random() < 0.3:
        x = x + np.sin(
            2 * np.pi * (rng.choice([35.0, 40.0, 42.0]) * t + rng.random())
        ) * log_uniform(rng, 0.003, 0.04)
    if rng.random() < 0.3:
        x = x + p_waves(length, rng)
    return np.asarray(x, np.float32)


def splice(older: Floats, newer: Floats, at: int) -> Floats:
    """`older` up to sample `at`, `newer` from there, over a tenth of a second."""
    share = np.clip((np.arange(len(newer)) - at) / 12 + 0.5, 0, 1).astype(np.float32)
    return older * (1 - share) + newer * share
