"""QRS segmentation (T1) by the shipped network: dense, pruned, trained on."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path

from models.architectures.ecgcl import Segmenter
from models.training.data.records import Noise, Track, load_ludb, load_mitdb, load_noise, load_vfdb
from models.training.harness import train
from models.training.place import Place
from models.training.recipe import label
from models.training.release.folder import export_when_complete
from models.training.tasks.base import Figures
from models.training.tasks.qrs.train import PRUNED_PLAN, QrsBatches, folds, learn, learn_dense
from models.training.tasks.qrs.windowed import Qrs
from models.training.windowed import predictor


class ShippedQrs:
    """A Training (models/training/recipe.py)."""

    name = "ecgcl qrs"

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed

    @cached_property
    def _tracks(self) -> list[Track]:
        data = self._place.data
        return load_mitdb(data) + load_vfdb(data) + load_ludb(data)

    @cached_property
    def _noises(self) -> list[Noise]:
        return load_noise(self._place.data)

    def learn(self, fold: int | None) -> Segmenter:
        """See Training."""
        return learn(*self._given(fold))

    def learn_unpruned(self, fold: int | None) -> Segmenter:
        """The dense network on the same batches, for the table of what pruning costs."""
        name, tracks, noises, runs, seed = self._given(fold)
        dense = learn_dense(name, tracks, noises, runs, seed)
        plan = replace(PRUNED_PLAN, seed=seed)
        train(dense, QrsBatches(tracks, noises), plan, runs / f"{name}-unpruned.pt")
        return dense.eval()

    def _given(self, fold: int | None) -> tuple[str, list[Track], list[Noise], Path, int]:
        """Name, data, folder and seed of a fold's training."""
        fold_of = folds(self._tracks)
        own = [t for t in self._tracks if fold is None or fold_of.get(t.patient) != fold]
        name = label(fold) if self._seed == 1 else f"{label(fold)}-seed{self._seed}"
        return f"qrs-{name}", own, self._noises, self._place.shipped, self._seed

    def judge(self, learned: Segmenter, fold: int | None) -> Figures:
        """See Training; as any architecture is judged on this task."""
        task = Qrs(self._place.data, self._place.cache)
        return {} if fold is None else task.evaluate(predictor(learned), fold)

    def export(self, learned: Segmenter, fold: int | None, figures: Figures) -> str:
        """See Training."""
        return export_when_complete(self._place, fold)
