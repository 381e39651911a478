"""T3, rhythm, for any architecture that answers per window: 30 s of signal in one piece, on the
folds of the deployed network's task."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem
from models.signal.windows import PIECE_SPEC, RHYTHM_SPEC, InputSpec
from models.training.data import cinc2017
from models.training.data.cinc2017 import CLASSES, Recordings
from models.training.data.rhythm_windows import Varied, load_noise
from models.training.harness import TrainingPlan
from models.training.sequence import SMOOTHING
from models.training.tasks.base import Figures, Predict, task
from models.training.tasks.rhythm.scores import (
    challenge_score,
    f1,
    piece_probabilities,
    record_probabilities,
)
from models.training.tasks.rhythm.train import CLASS_WEIGHTS, PLAN, split

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class WholeWindows:
    """One window per record, varied, and its class."""

    def __init__(
        self, recordings: Recordings, members: Ints, noises: Sequence[Floats], spec: InputSpec
    ) -> None:
        self._recordings, self._members = recordings, members
        self._varied = Varied(noises, 0, spec)
        self._weights = torch.tensor(CLASS_WEIGHTS)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, spec.length), classes (B,)."""
        self._varied.use(rng)
        chosen = rng.choice(self._members, size, replace=False)
        x = self._varied.batch([self._recordings.signal(int(r)) for r in chosen])
        return (torch.from_numpy(x[:, None]),), torch.from_numpy(self._recordings.labels[chosen])

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Weighted cross-entropy with smoothed labels."""
        return functional.cross_entropy(answer, target, self._weights, label_smoothing=SMOOTHING)


@task("rhythm")
class WindowedRhythm:
    """N A O ~ of CinC 2017, whole records and 10-s pieces of them."""

    problem = Problem("classes", CLASSES, RHYTHM_SPEC)
    plan: TrainingPlan = PLAN
    folds = cinc2017.FOLDS
    metric = "N A O mean F1, records"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data, self._cache = data, cache

    @cached_property
    def _recordings(self) -> Recordings:
        return cinc2017.load(self._data / "cinc2017", self._cache / "cinc2017.npz")

    def batches(self, fold: int | None) -> WholeWindows:
        """See Task; a tenth of the records stays aside for calibration, as in the deployed
        network's task."""
        # no record is in fold -1
        members = split(self._recordings.labels, -1 if fold is None else fold).train
        return WholeWindows(
            self._recordings, members, load_noise(self._data / "nstdb"), self.problem.spec
        )

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task: a record's probabilities are averaged over its windows, as the stream cuts
        them."""
        held_out, spec = split(self._recordings.labels, fold).test, self.problem.spec
        whole = record_probabilities(predict, self._recordings, held_out, spec).argmax(axis=1)
        truth, pieces = piece_probabilities(predict, self._recordings, held_out, 10, spec)
        labels = self._recordings.labels[held_out]
        of_class = zip(CLASSES, f1(labels, whole), strict=True)
        return {
            self.metric: challenge_score(labels, whole),
            "N A O mean F1, 10 s": challenge_score(truth, pieces.argmax(axis=1)),
            **{f"F1 {c}, records": float(value) for c, value in of_class},
        }


@task("rhythm_10s")
class RhythmOfTenSeconds(WindowedRhythm):
    """N A O ~ of CinC 2017 by windows of 10 s: the task on which the systems of the zoo are
    compared."""

    problem = Problem("classes", CLASSES, PIECE_SPEC)
    plan = TrainingPlan(epochs=20, steps=170, batch=128, peak_rate=5e-3, weight_decay=0.01)
