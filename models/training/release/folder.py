"""A model folder of the shipped network's tasks, once all of them are trained."""

from __future__ import annotations

from pathlib import Path

from models.training.place import Place
from models.training.recipe import label
from models.training.release.export import write_final, write_fold
from models.training.release.figures import figures


def export_when_complete(place: Place, fold: int | None) -> str:
    """Write RUNS/ecgcl/model/FOLD, for `models deploy` and `models compare`, if every task that
    it needs is trained; return where it is, or what is missing."""
    runs, name = place.shipped, label(fold)
    missing = [task for task, path in needed(runs, fold).items() if not path.exists()]
    if missing:
        return f"trained; a model folder also needs {', '.join(missing)}"
    folder = runs / "model" / name
    spec = (
        write_final(runs, folder, _reached(runs))
        if fold is None
        else write_fold(runs, name, folder)
    )
    return f"version {spec.version}: {folder}"


def needed(runs: Path, fold: int | None) -> dict[str, Path]:
    """The trained files that a model folder needs, by task. The rhythm task is trained on CinC 2017
    alone, so that the folders of MITDB's folds have none."""
    name = label(fold)
    beats = runs / "beat_class" / ("." if fold is None else f"folds/{fold}")
    files = {
        "qrs": runs / f"qrs-{name}.pt",
        "beat_class": beats / "spec.json",
        "lethal": runs / f"lethal-{name}.pt",
    }
    return files | ({"rhythm": runs / "rhythm-all-done.pt"} if fold is None else {})


def _reached(runs: Path) -> dict[str, list[float]]:
    try:
        return figures(runs)
    except FileNotFoundError:  # not all folds are trained: no figures then
        return {}
