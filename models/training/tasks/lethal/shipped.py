"""Lethal rhythms (T4) by the shipped network: a column on the frozen trunk, a decoder of the last
four seconds."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from typing import NamedTuple

import torch

from models.training.data import cinc2017
from models.training.data.lethal_data import LethalStrip, strips, wearable
from models.training.data.lethal_examples import LethalExamples
from models.training.data.records import Noise, load_mitdb, load_noise, load_vfdb
from models.training.place import Place
from models.training.recipe import label
from models.training.release.folder import export_when_complete
from models.training.tasks.base import Figures
from models.training.tasks.lethal.calibration import calibrate, temperatures, tempered
from models.training.tasks.lethal.metrics import seconds
from models.training.tasks.lethal.network import Lethal, answers, load_trunk, save
from models.training.tasks.lethal.report import read_seconds, report, write_seconds
from models.training.tasks.lethal.train import PLAN, learn
from models.training.tasks.lethal.windowed import figures as figures_of
from models.training.tasks.qrs.train import FOLDS, folds


class _Records(NamedTuple):
    strips: list[LethalStrip]  # of MITDB and VFDB
    fold_of: dict[str, int]  # by patient
    wearables: list[LethalStrip]  # of CinC 2017, none of them lethal
    noises: list[Noise]


class ShippedLethal:
    """A Training (models/training/recipe.py). Networks of another seed than 1 carry it in their
    names, and are for their figures only."""

    name = "ecgcl lethal"

    def __init__(self, place: Place, seed: int) -> None:
        self._place, self._seed = place, seed

    @cached_property
    def _records(self) -> _Records:
        data = self._place.data
        tracks = load_mitdb(data) + load_vfdb(data)
        wearables = wearable(cinc2017.load(data / "cinc2017", self._place.cinc2017))
        return _Records(strips(tracks, data), folds(tracks), wearables, load_noise(data))

    def learn(self, fold: int | None) -> Lethal:
        """See Training."""
        trunk, r = load_trunk(self._place.trunk(fold)), self._records
        own = [s for s in r.strips if fold is None or r.fold_of[s.patient] != fold]
        return learn(
            self._named(fold),
            trunk,
            LethalExamples(own, r.wearables, r.noises),
            self._place.shipped,
            replace(PLAN, seed=self._seed),
        )

    def judge(self, learned: Lethal, fold: int | None) -> Figures:
        """See Training; the answers stay in lethal-FOLD.npz, for calibration."""
        if fold is None:
            return {}
        r = self._records
        tested = [s for s in r.strips if r.fold_of[s.patient] == fold]
        answered = [seconds(s, answers(learned, s.signal[0]), fold) for s in tested]
        write_seconds(answered, self._place.shipped / f"lethal-{self._named(fold)}.npz")
        return figures_of(answered)

    def export(self, learned: Lethal, fold: int | None, figures: Figures) -> str:
        """See Training."""
        save(learned, self._place.shipped / f"lethal-{self._named(fold)}.pt")
        if self._seed != 1:
            return "for its figures"
        report_and_calibrate(self._place)
        return export_when_complete(self._place, fold)

    def _named(self, fold: int | None) -> str:
        return label(fold) if self._seed == 1 else f"{label(fold)}-seed{self._seed}"


def report_and_calibrate(place: Place) -> None:
    """Write lethal.md from the folds that were judged; calibrate each fold's network on the others'
    patients, the final one on all."""
    runs = place.shipped
    answered = {k: runs / f"lethal-fold{k}.npz" for k in range(FOLDS)}
    found = {k: read_seconds(path) for k, path in answered.items() if path.exists()}
    if not found:
        return
    divisors = temperatures(found)
    results = [tempered(s, divisors[k]) for k in found for s in found[k]]
    (runs / "lethal.md").write_text(report(results, divisors))
    last = calibrate([s for some in found.values() for s in some])
    by_fold: list[tuple[int | None, float]] = [*divisors.items(), (None, last)]
    for fold, temperature in by_fold:
        training = runs / f"lethal-{label(fold)}-training.pt"
        if training.exists():
            net = Lethal(load_trunk(place.trunk(fold)))
            net.load_state_dict(torch.load(training, weights_only=True)["net"])
            decoder = runs / f"lethal-{label(fold)}-decoder.pt"
            net.decoder.load_state_dict(torch.load(decoder, weights_only=True)["net"])
            save(net, runs / f"lethal-{label(fold)}.pt", temperature)
