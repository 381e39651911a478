"""Ablation of T1, QRS: the recipe without one part at a time, on short equal schedules, judged on a
fold's patients in noise.

Noise of the tests is what training never draws from: electrode motion of NSTDB (118e_6 minus 118)
after minute 17, from the sixth minute of every held-out record on, for as long as it lasts (12
minutes), at NSTDB's definition of the signal-to-noise ratio. Figures are below those of the
deployed network, which is trained far longer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import wfdb
from torch import nn

from models import architectures
from models.architectures.ecgcl import DENSE
from models.signal.conditioning import FS_HZ, condition
from models.training.data import augment, beat_windows
from models.training.data.records import (
    NOISE_FOR_TRAINING_MIN,
    Noise,
    Track,
    load_ludb,
    load_mitdb,
    load_noise,
    load_vfdb,
)
from models.training.experiments.distil import Distilled
from models.training.harness import Batches, TrainingPlan, train
from models.training.tasks.qrs.metrics import find, score_beats, total
from models.training.tasks.qrs.train import QrsBatches, folds, trained
from models.training.tasks.qrs.windowed import Qrs, logits
from models.training.windowed import predictor

FOLD = 0
PLAN = TrainingPlan(epochs=3, steps=100, batch=128, peak_rate=4e-3, warm_up=0.15)
SNRS = {"0 dB": 0.0, "-6 dB": -6.0}
NOISY_FROM = 5 * 60 * FS_HZ
NOISE = ("noise", "white", "mains", "wander", "pop")  # of augment.CHANCE
SHAPES = ("inversion", "gain")
Figures = dict[str, float]


class Recipe(NamedTuple):
    """One row: an architecture, and the parts that its training lacks or adds."""

    label: str  # of its checkpoints
    name: str
    architecture: str = "ecgcl"
    without: tuple[str, ...] = ()
    stretched: float = beat_windows.STRETCHED
    taught: bool = False


RECIPES = (
    Recipe("full", "full recipe"),
    Recipe("quiet", "without noise (recorded, white, mains, wander, pops)", without=NOISE),
    Recipe(
        "shapes", "without inversion, gain steps, stretch in time", without=SHAPES, stretched=0.0
    ),
    Recipe("single", "one resolution, equal cost (single_resolution)", "single_resolution"),
    Recipe("unet", "U-net (unet)", "unet"),
    Recipe("taught", "full recipe, distilled from the dense network", taught=True),
)


@contextmanager
def drawn_by(recipe: Recipe) -> Iterator[None]:
    """Batches are drawn as the recipe says."""
    chance, stretched = dict(augment.CHANCE), beat_windows.STRETCHED
    augment.CHANCE.update(dict.fromkeys(recipe.without, 0.0))
    beat_windows.STRETCHED = recipe.stretched
    try:
        yield
    finally:
        augment.CHANCE.update(chance)
        beat_windows.STRETCHED = stretched


class Held(NamedTuple):
    """Data of the fold: training data, and test data under each condition."""

    batches: Batches
    judged: dict[str, list[Track]]


def load(folder: Path, fold: int = FOLD) -> Held:
    """Everything from the unpacked sets."""
    tracks = load_mitdb(folder) + load_vfdb(folder) + load_ludb(folder)
    fold_of = folds(tracks)
    batches = QrsBatches([t for t in tracks if fold_of.get(t.patient) != fold], load_noise(folder))
    clean = [
        t
        for t in tracks
        if fold_of.get(t.patient) == fold and t.channel == 0 and t.name.startswith("mitdb")
    ]
    motion = unheard(folder)
    return Held(
        batches,
        {
            "clean": clean,
            **{name: [noisy(t, motion, snr) for t in clean] for name, snr in SNRS.items()},
        },
    )


def unheard(folder: Path) -> Noise:
    """Electrode motion that training does not use, in one piece."""
    worst, clean = (
        wfdb.rdrecord(str(folder / name), physical=False).d_signal.astype(np.int64)
        for name in ("nstdb/118e_6", "mitdb/118")
    )
    counts = []
    for minute in range(NOISE_FOR_TRAINING_MIN, 28, 4):  # it is on for two minutes in four
        section = (worst - clean)[(minute * 60 + 1) * 360 : ((minute + 2) * 60 - 1) * 360]
        counts += [
            section[:, channel] - round(float(section[:360, channel].mean())) for channel in (0, 1)
        ]
    signals = [
        condition(np.clip(part, -32768, 32767).astype(np.int16), 360, 200.0) for part in counts
    ]
    return Noise("em", np.concatenate(signals), float(np.std(np.concatenate(counts) / 200.0)))


def noisy(track: Track, noise: Noise, snr_db: float) -> Track:
    """The track from NOISY_FROM on, with all of the noise; beats and flutter are those of that
    stretch."""
    n = min(len(noise.signal), len(track.signal) - NOISY_FROM)
    rms = track.height_mv / np.sqrt(8) / 10 ** (snr_db / 20)
    part = slice(NOISY_FROM, NOISY_FROM + n)
    inside = (track.beats >= NOISY_FROM) & (track.beats < NOISY_FROM + n)
    return Track(
        f"{track.name}{snr_db:+g}dB",
        track.patient,
        track.channel,
        (track.signal[part] + noise.signal[:n] * np.float32(rms / noise.rms_mv)).astype(np.float32),
        track.targets[:, part],
        track.beats[inside] - NOISY_FROM,
        "".join(np.array(list(track.classes))[inside]),
        track.flutter - NOISY_FROM,
        track.height_mv,
    )


def learn(recipe: Recipe, held: Held, seed: int, runs: Path, teacher: Path) -> nn.Module:
    """A network taught by the recipe; continues from its checkpoint."""
    torch.manual_seed(seed)
    net = architectures.load(recipe.architecture).build(Qrs.problem)
    batches = (
        Distilled(held.batches, [trained(teacher, DENSE)], Qrs.problem.kind)
        if recipe.taught
        else held.batches
    )
    with drawn_by(recipe):
        return train(net, batches, replace(PLAN, seed=seed), runs / f"{recipe.label}-{seed}.pt")


def judge(net: nn.Module, held: Held) -> Figures:
    """QRS F1, %, under each condition, through windows and decoder of the stream."""
    predict = predictor(net)
    return {
        f"F1 {condition}": total(
            score_beats(track, find(track, logits(track, predict))) for track in tracks
        ).f1
        for condition, tracks in held.judged.items()
    }
