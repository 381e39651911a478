"""T1, QRS segmentation, for any architecture that answers per sample: windows, loss and folds of
the deployed network's task."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from models.architectures import Problem
from models.signal.windows import BEAT_SPEC
from models.training.data.records import (
    Floats,
    Noise,
    Track,
    load_ludb,
    load_mitdb,
    load_noise,
    load_vfdb,
)
from models.training.harness import TrainingPlan
from models.training.tasks.base import Figures, Predict, task
from models.training.tasks.qrs.metrics import LEARNING, find, run, score_beats, total
from models.training.tasks.qrs.train import FOLDS, QrsBatches, folds

NOISY = {"0 dB": "nstdb/118e00", "-6 dB": "nstdb/118e_6"}


@task("qrs")
class Qrs:
    """QRS of MITDB, LUDB and VFDB; judged on MITDB's first channel, and on the noisy copies of 118
    if 118 is held out."""

    problem = Problem("samples", ("qrs",), BEAT_SPEC)
    plan = TrainingPlan(epochs=8, steps=400, batch=128, peak_rate=4e-3, warm_up=0.15)
    folds = FOLDS
    metric = "QRS F1, %"

    def __init__(self, data: Path, cache: Path) -> None:
        self._data = data

    @cached_property
    def _tracks(self) -> list[Track]:
        return load_mitdb(self._data) + load_vfdb(self._data) + load_ludb(self._data)

    @cached_property
    def _noises(self) -> list[Noise]:
        return load_noise(self._data)

    @cached_property
    def _fold_of(self) -> dict[str, int]:
        return folds(self._tracks)

    def batches(self, fold: int | None) -> QrsBatches:
        """See Task."""
        return QrsBatches(
            [t for t in self._tracks if fold is None or self._fold_of.get(t.patient) != fold],
            self._noises,
        )

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """See Task: beats as the stream decodes them, 150 ms, without flutter."""
        held_out = [
            t
            for t in self._tracks
            if self._fold_of.get(t.patient) == fold
            and t.channel == 0
            and t.name.startswith("mitdb")
        ]
        score = total(score_beats(track, find(track, logits(track, predict))) for track in held_out)
        figures = {
            self.metric: score.f1,
            "QRS Se, %": score.sensitivity,
            "QRS +P, %": score.precision,
        }
        if any(t.name == "mitdb/118" for t in held_out):
            for name, record in NOISY.items():
                (noisy,) = load_mitdb(self._data, [record], channels=[0], prefix="nstdb")
                later = np.array([[LEARNING, len(noisy.signal)]])
                figures[f"QRS F1, 118 at {name}, %"] = score_beats(
                    noisy, find(noisy, logits(noisy, predict)), later
                ).f1
        return figures


def logits(track: Track, predict: Predict) -> Floats:
    """The logits of a track's windows that decoding reads: (windows, 1, T)."""
    return run(track, lambda windows: predict(windows[:, 0]))
