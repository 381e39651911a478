"""Synthesise rhythms that are rare in the available records from the records' own beats; training
of the beat class draws them anew each time.

A track is a list of beats (when, which shape, which classes); a scenario moves beats in time and
changes or replaces some. Premature atrial beats, alone, in patterns and in runs; ventricular beats
of other patients at the places where such beats come; atrial fibrillation, sinus arrhythmia and
changes of rate, in which a short interval is no sign of prematurity. Beats of few patients thus
appear among those of many, and prematurity alone does not give a class away.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.beats.morphology import BEFORE, SHAPE, STRIDE, Doubles, Floats, R
from models.signal.conditioning import FS_HZ
from models.training.tasks.beat_class.beats import BIT, EXTRA, UNKNOWN, AnnotatedBeats

Generator = np.random.Generator
N, S, V = BIT["N"], BIT["S"], BIT["V"]
CHANCE = {
    "stretch": 0.6,
    "fibrillation": 0.12,
    "arrhythmia": 0.2,
    "atrial": 0.45,
    "ventricular": 0.35,
}
STRETCH = 0.2  # log of the largest factor of time
P_END = R - 5  # samples of a shape before it are not part of the QRS
LEAST_RR = 0.3 * FS_HZ
PLACE = np.arange(SHAPE) * STRIDE - BEFORE  # samples from the R peak
TAPER = np.clip((P_END - np.arange(SHAPE)) / 3, 0, 1)  # 1 in the P part, 0 from the QRS on


def ventricular_bank(tracks: Sequence[AnnotatedBeats]) -> list[Floats]:
    """Return, for each track with V beats, their shapes (n, SHAPE), divided by the height of its N
    beats."""
    bank = []
    for track in tracks:
        chosen = track.shape[track.allowed == V]
        if len(chosen) and (track.allowed == N).sum() > 10:
            bank.append(chosen / height(track))
    return bank


def height(track: AnnotatedBeats) -> float:
    """Median peak to peak of the beats that may be N, mV."""
    usual = track.shape[(track.allowed & N) > 0]
    return max(0.05, float(np.median(np.ptp(usual, axis=1)))) if len(usual) else 1.0


def scenario(track: AnnotatedBeats, bank: Sequence[Floats], rng: Generator) -> AnnotatedBeats:
    """The track changed by a scenario, or as it is; a track that is not mostly N is at most
    stretched in time."""
    if len(track.at) < 5:
        return track
    shape, allowed = track.shape.copy(), track.allowed.copy()
    rr = np.diff(track.at)
    usual = float(np.mean(allowed == N)) > 0.6
    if usual and rng.random() < CHANCE["fibrillation"]:
        fibrillate(rr, shape, allowed, rng)
    elif usual:
        if rng.random() < CHANCE["arrhythmia"]:
            rr *= vary(len(rr), rng)
        if rng.random() < CHANCE["atrial"]:
            add_atrial(rr, shape, allowed, rng)
    if usual and bank and rng.random() < CHANCE["ventricular"]:
        add_ventricular(rr, shape, allowed, bank[int(rng.integers(len(bank)))] * height(track), rng)
    if rng.random() < CHANCE["stretch"]:
        factor = float(np.exp(rng.uniform(-STRETCH, STRETCH)))
        rr, shape = rr * factor, stretched(shape, factor)
    at = track.at[0] + np.concatenate([[0.0], np.cumsum(rr)])
    return replace(
        track,
        name=f"{track.name}+scenario",
        at=at,
        shape=shape,
        allowed=allowed,
        missed_at=np.zeros(0),
        missed="",
    )


def stretched(shape: Floats, factor: float) -> Floats:
    """Shapes (n, SHAPE) slower by a factor around the R peak."""
    place = np.clip((np.arange(SHAPE) - R) / factor + R, 0, SHAPE - 1.001)
    low = place.astype(np.intp)
    part = (place - low).astype(np.float32)
    return shape[:, low] * (1 - part) + shape[:, low + 1] * part


def fibrillate(rr: Doubles, shape: Floats, allowed: npt.NDArray[np.uint8], rng: Generator) -> None:
    """Simulate fibrillation from some beat on, for a while or to the end: irregular intervals and f
    waves instead of P; S beats become unknown."""
    n = len(rr)
    begin = int(rng.integers(0, n // 2)) if rng.random() < 0.5 else 0
    end = n if rng.random() < 0.7 else int(rng.integers(begin + 1, n + 1))
    usual = float(np.median(rr)) * rng.uniform(0.6, 1.1)
    drawn = usual * np.exp(rng.normal(0, rng.uniform(0.12, 0.3), end - begin))
    rr[begin:end] = np.maximum(drawn, LEAST_RR * rng.uniform(0.9, 1.3))
    some = slice(begin + 1, end + 1)
    size = float(np.median(np.ptp(shape, axis=1))) * rng.uniform(0.0, 0.12)
    phase = rng.uniform(0, 2 * np.pi, (end - begin, 1)) + PLACE * (
        2 * np.pi * rng.uniform(4.5, 8) / FS_HZ
    )
    flat = shape[some, P_END : P_END + 1]
    shape[some] += (
        TAPER * rng.uniform(0.7, 1.0) * (flat - shape[some]) + size * np.sin(phase)
    ).astype(np.float32)
    allowed[some][allowed[some] == S] = UNKNOWN


def vary(n: int, rng: Generator) -> Doubles:
    """Factors of n intervals: breathing, and slow or fairly quick changes of rate."""
    size, period = rng.uniform(0.02, 0.15), rng.uniform(3.0, 8.0)
    breath = size * np.sin(2 * np.pi * np.arange(n) / period + np.cumsum(rng.normal(0, 0.3, n)))
    drift = rng.uniform(0.0, 0.3) * np.sin(
        2 * np.pi * (np.arange(n) / rng.uniform(30, 300) + rng.random())
    )
    return np.asarray(np.exp(breath + drift + rng.normal(0, rng.uniform(0.0, 0.03), n)))


def _events(allowed: npt.NDArray[np.uint8], rng: Generator, runs: float) -> list[tuple[int, int]]:
    """Places of ectopic beats, as (first beat, number): alone, in patterns, in runs; each among N
    beats."""
    found, i, n = list[tuple[int, int]](), 3, len(allowed)
    mean = float(np.exp(rng.uniform(np.log(4), np.log(80))))
    while i < n - 2:
        if rng.random() < 0.15:  # a pattern: every second to fourth beat
            step = int(rng.integers(2, 5))
            many = int(rng.integers(2, 9))
            found += [(i + step * j, 1) for j in range(many)]
            i += step * many
        elif rng.random() < runs:
            length = int(np.exp(rng.uniform(np.log(2), np.log(60))))
            found.append((i, length))
            i += length
        else:
            found.append((i, 1))
        i += 2 + int(rng.exponential(mean))
    return [(a, k) for a, k in found if a + k < n - 1 and (allowed[a - 1 : a + k + 1] == N).all()]


def add_atrial(rr: Doubles, shape: Floats, allowed: npt.NDArray[np.uint8], rng: Generator) -> None:
    """Premature atrial beats: early, with another P wave, or one that lies in the T wave before it."""
    usual = np.ptp(shape, axis=1).mean()
    pause = rng.uniform(0.95, 1.3)
    early, spread = rng.uniform(0.55, 0.9), rng.uniform(0.02, 0.08)
    factor = rng.uniform(-1.0, 1.0)  # of the sinus P wave
    for first, many in _events(allowed, rng, rng.choice([0.1, 0.5])):
        local = float(np.median(rr[max(0, first - 9) : first - 1]))
        length = local * np.clip(rng.normal(early, spread), 0.5, 0.93)
        for i in range(first, first + many):
            rr[i - 1] = max(length * (1 + rng.normal(0, 0.02)), LEAST_RR)
            before = shape[i - 1].copy()
            flat = shape[i, P_END]
            shape[i] += (TAPER * (factor - 1) * (shape[i] - flat)).astype(np.float32)
            overlap = PLACE + rr[i - 1]  # this beat's samples, counted from the R peak before
            tail = np.interp(overlap, PLACE, before - before[-1], right=0.0)
            ours = np.clip((overlap - 0.12 * FS_HZ) / 4, 0, 1) * TAPER
            shape[i] += (ours * tail).astype(np.float32)
            if rng.random() < 0.15:
                shape[i] *= np.float32(rng.uniform(0.8, 1.2))
            allowed[i] = S
        rr[first + many - 1] = max(local * pause * (1 + rng.normal(0, 0.03)), LEAST_RR)
    shape += (rng.normal(0, 0.01, shape.shape) * usual).astype(np.float32)


def add_ventricular(
    rr: Doubles, shape: Floats, allowed: npt.NDArray[np.uint8], forms: Floats, rng: Generator
) -> None:
    """Add ventricular beats of one or a few morphologies: mostly premature, mostly with a
    compensatory pause; sometimes runs."""
    size = float(np.exp(rng.normal(0, 0.3))) * rng.choice([-1, 1])
    early, spread = rng.uniform(0.5, 0.9), rng.uniform(0.02, 0.1)
    makes_up = rng.random() < 0.7
    alike = bool(rng.random() < 0.6)  # one form
    anchor = int(rng.integers(len(forms)))
    for first, many in _events(allowed, rng, rng.choice([0.05, 0.4])):
        local = float(np.median(rr[max(0, first - 9) : first - 1]))
        for i in range(first, first + many):
            length = local * np.clip(rng.normal(early, spread), 0.35, 1.05)
            rr[i - 1] = max(length, LEAST_RR * 0.9)
            form = anchor + int(rng.integers(-5, 6)) if alike else int(rng.integers(len(forms)))
            shape[i] = forms[min(max(form, 0), len(forms) - 1)] * np.float32(
                size * np.exp(rng.normal(0, 0.05))
            )
            allowed[i] = V
        rest = 2 * local - rr[first - 1] if makes_up and many == 1 else local
        rr[first + many - 1] = max(rest * (1 + rng.normal(0, 0.03)), LEAST_RR)


def unlabelled(allowed: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Mark beats as unknown, so that they are not learned from."""
    return np.asarray((allowed == UNKNOWN) | (allowed >= EXTRA))


def repeated(track: AnnotatedBeats, times: int) -> AnnotatedBeats:
    """Repeat a short track's beats, so that the context has time to fill."""
    if len(track.at) < 2:
        return track
    rr = np.diff(track.at)
    all_rr = np.concatenate([*[np.append(rr, np.median(rr))] * (times - 1), rr])
    at = track.at[0] + np.concatenate([[0.0], np.cumsum(all_rr)])
    return replace(
        track, at=at, shape=np.tile(track.shape, (times, 1)), allowed=np.tile(track.allowed, times)
    )
