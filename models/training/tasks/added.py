"""A user's own task: records with one label each, learned by a small column and a sequence decoder
beside the frozen trunk.

As T3, the rhythm task (tasks/rhythm), with other records, classes and sizes. Every fifth record of
each class is held out for the figures, every eighth of the rest fits the temperature.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.architectures.ecgcl import WIDTHS, Column, SequenceDecoder, Trunk
from models.signal.conditioning import FS_HZ
from models.signal.windows import InputSpec
from models.training.data.cinc2017 import Recordings, folds
from models.training.data.rhythm_windows import Varied
from models.training.harness import TrainingPlan, train
from models.training.sequence import (
    Context,
    SequenceBatches,
    SequenceLearner,
    record_logits,
    temperature,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

COLUMN = (8, 16, 24)
HIDDEN = 24
STEPS, BATCH = 40, 32  # per epoch
SPLIT_SEED = 5


class RecordSplit(NamedTuple):
    """Indices of records."""

    train: Ints
    validation: Ints
    held_out: Ints


@dataclass(frozen=True)
class Figures:
    """Figures on the held-out records."""

    classes: list[str]
    records: list[int]  # of each class
    sensitivity: list[float]
    precision: list[float]
    f1: list[float]
    accuracy: float
    chance: float  # accuracy of always saying the most frequent class
    temperature: float


def context(seconds: int) -> Context:
    """Answers from 9 s on, every 5 s, for 30 s of context; sooner and more often for less."""
    return Context(seconds, min(9, seconds), max(1, min(5, seconds // 6)))


def split(labels: Ints) -> RecordSplit:
    """Split records, every class evenly; equal labels in equal order give an equal split."""
    held_out = folds(labels, 5, SPLIT_SEED) == 0
    rest = np.flatnonzero(~held_out)
    eighth = folds(labels[rest], 8, SPLIT_SEED + 1) == 0
    return RecordSplit(rest[~eighth], rest[eighth], np.flatnonzero(held_out))


def learn(
    trunk: Trunk,
    recordings: Recordings,
    classes: list[str],
    of: Context,
    epochs: int,
    noises: Sequence[Floats],
    checkpoint: Path,
) -> tuple[SequenceLearner, Figures]:
    """Train, calibrate and judge; `recordings.labels` count in `classes`."""
    parts = split(recordings.labels)
    plan = TrainingPlan(
        epochs=epochs, steps=STEPS, batch=BATCH, peak_rate=4e-3, weight_decay=0.02, warm_up=0.15
    )
    torch.manual_seed(plan.seed)
    column = Column(WIDTHS, COLUMN)
    net = SequenceLearner(trunk, column, SequenceDecoder(COLUMN[-1], HIDDEN, len(classes)))
    piece = InputSpec(
        before=0,
        hop=of.seconds * FS_HZ,
        after=0,
        offset=0,
        scale=of.seconds * FS_HZ,
        least=of.least * FS_HZ,
    )
    data = SequenceBatches(
        recordings,
        parts.train,
        Varied(noises, 0, piece),
        of,
        _weights(recordings.labels[parts.train], len(classes)),
    )
    train(net, data, plan, checkpoint)
    net.decoder.temperature.fill_(
        temperature(
            _logits(net, recordings, parts.validation, of), recordings.labels[parts.validation]
        )
    )
    return net, _judge(
        _logits(net, recordings, parts.held_out, of),
        recordings.labels[parts.held_out],
        classes,
        net,
    )


def _weights(labels: Ints, classes: int) -> list[float]:
    """Class weights: rare classes count more, by the square root of the ratio of frequencies."""
    counts = np.bincount(labels, minlength=classes)
    weights = np.sqrt(counts.sum() / (classes * counts))
    return [float(w) for w in weights / (weights * counts).sum() * counts.sum()]


def _logits(net: SequenceLearner, recordings: Recordings, members: Ints, of: Context) -> Floats:
    return np.stack([record_logits(net, recordings.signal(int(r)), of) for r in members])


def _judge(logits: Floats, truth: Ints, classes: list[str], net: SequenceLearner) -> Figures:
    predicted, ks = logits.argmax(axis=1), range(len(classes))
    hits = np.array([np.sum((truth == k) & (predicted == k)) for k in ks])
    true, answered = (
        np.bincount(truth, minlength=len(classes)),
        np.bincount(predicted, minlength=len(classes)),
    )

    def shares(of: npt.NDArray[Any]) -> list[float]:
        return [round(float(value), 4) for value in hits / np.maximum(of, 1)]

    accuracy, chance = float(np.mean(predicted == truth)), float(true.max() / len(truth))
    calibrated = float(net.decoder.temperature)
    return Figures(
        classes,
        true.tolist(),
        shares(true),
        shares(answered),
        shares((true + answered) / 2),
        round(accuracy, 4),
        round(chance, 4),
        calibrated,
    )
