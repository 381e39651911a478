"""Beat classes (T2) by the shipped network: heads on the beats that the first task finds, after the
vote of their morphologies.

The beats of each patient are found by a network that never saw it, so that this training needs the
first task of all folds and the final one. Temperatures need the networks of all folds.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path

import numpy as np

from models.training.data.beat_leads import twelve_leads
from models.training.place import Place
from models.training.recipe import label
from models.training.release.folder import export_when_complete
from models.training.tasks.base import Figures
from models.training.tasks.beat_class.beats import collect, detectors_of, load, save
from models.training.tasks.beat_class.examples import Known, known
from models.training.tasks.beat_class.report import PACED, ReportVerdict, by_fold, report
from models.training.tasks.beat_class.train import FOLDS, Fold, fit, judges, temperatures
from models.training.tasks.beat_class.windowed import figures_of


class ShippedBeats:
    """A Training (models/training/recipe.py). The report of the final network compares the seeds
    from 1 on; what ships is of seed 1."""

    name = "ecgcl beat_class"

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed
        self._runs = place.runs / "beat_class"

    @cached_property
    def _held(self) -> list[Known]:
        return known(load(self._found()))

    def _found(self) -> Path:
        """The beats that the first task finds, found now if they were not before: minutes."""
        path = self._runs / "beats.npz"
        if not path.exists():
            for fold in (*range(FOLDS), None):
                self._place.trunk(fold)  # or it says how to train it
            data, runs = self._place.data, self._place.shipped
            found = [*collect(data, runs, self._place.cinc2017)]
            save([*found, *twelve_leads(data, detectors_of(runs)(0))], path)
        return path

    @cached_property
    def _temperatures(self) -> list[float]:
        """Temperatures of each fold's network, then of the final one."""
        of_folds = temperatures(self._held, 1, self._runs)
        return [*of_folds, float(np.mean(of_folds))]

    def learn(self, fold: int | None) -> Fold:
        """See Training."""
        return self._of_seed(fold, self._seed)

    def judge(self, learned: Fold, fold: int | None) -> Figures:
        """See Training."""
        if fold is None:
            return {}
        results = [v for v in learned.verdicts(1.0) if v.track.patient not in PACED]
        return figures_of(results)

    def export(self, learned: Fold, fold: int | None, figures: Figures) -> str:
        """See Training."""
        if self._seed == 1:
            place = f"folds/{fold}" if fold is not None else "."
            index = FOLDS if fold is None else fold
            artifact = self._place.shipped / "beat_class"
            learned.export(self._temperatures[index], artifact / place)
        if fold is None:
            self._report()
        return export_when_complete(self._place, fold)

    def _report(self) -> None:
        """Write cross_validation.md, and the figures of seed 1 for the model's specification."""
        by_seed = {seed: self._verdicts(seed) for seed in range(1, self._seed + 1)}
        text, folder = report(by_seed), self._place.shipped / "beat_class"
        (folder / "cross_validation.md").write_text(text + "\n")
        (folder / "figures.json").write_text(json.dumps(by_fold(by_seed[1]), indent=1))
        print(text, flush=True)

    def _verdicts(self, seed: int) -> list[ReportVerdict]:
        nets = [self._of_seed(fold, seed) for fold in range(FOLDS)]
        pairs = zip(nets, self._temperatures, strict=False)
        return [v for net, temperature in pairs for v in net.verdicts(temperature)]

    def _of_seed(self, fold: int | None, seed: int) -> Fold:
        own = [k for k in self._held if fold is None or k.track.fold != fold]
        net, prior = fit(own, label(fold), seed, self._runs)
        return Fold(net, prior, judges(self._held, fold))
