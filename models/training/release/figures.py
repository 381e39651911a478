"""Collect the cross-validation figures of the shipped network's tasks, fold by fold, from the files
of their trainings, for `models list`."""

from __future__ import annotations

import json
from pathlib import Path

from models.training.data.lethal_data import VF
from models.training.tasks.lethal.calibration import temperatures, tempered
from models.training.tasks.lethal.metrics import NEGATIVES, Seconds, fibrillation, windows_rate
from models.training.tasks.lethal.report import THRESHOLD, read_seconds
from models.training.tasks.qrs.train import FOLDS

# of the rhythm task, in order of the fifth of CinC 2017 that each left out
FIFTHS = ("final", "fold1", "fold2")


def figures(runs: Path) -> dict[str, list[float]]:
    """One value per fold by name, under the names that each task gives its figures. `runs` is the folder of checkpoints; raises FileNotFoundError
    if a task was not judged."""
    results: dict[str, list[float]] = json.loads((runs / "beat_class" / "figures.json").read_text())
    rhythm = [json.loads((runs / f"rhythm-{name}.json").read_text()) for name in FIFTHS]
    results |= {
        f"N A O mean F1, {what}": [fifth[what] for fifth in rhythm] for what in ("records", "10 s")
    }
    lethal = {fold: read_seconds(runs / f"lethal-fold{fold}.npz") for fold in range(FOLDS)}
    for fold, divisor in temperatures(lethal).items():
        for name, rate in _fibrillation([tempered(s, divisor) for s in lethal[fold]]).items():
            results.setdefault(name, []).append(rate)
    return {name: [round(value, 4) for value in values] for name, values in results.items()}


def _fibrillation(answered: list[Seconds]) -> dict[str, float]:
    ask = {"VF or VFL Se, %": True, "VF or VFL Sp, %": False}
    return {
        n: windows_rate(answered, {VF}, fibrillation, THRESHOLD, NEGATIVES["all"], p).percent
        for n, p in ask.items()
    }
