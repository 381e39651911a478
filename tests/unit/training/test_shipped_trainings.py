"""The shipped network's tasks follow the recipe of any architecture: trained on made-up records,
judged under the same names, and written as a model folder once all are there."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("wfdb", reason="wfdb is not installed: pip install 'ecgwatch[train]'")

from ingest.errors import BadInputError
from models.serving import catalogue
from models.serving.runtime import Model
from models.training import command
from models.training.harness import TrainingPlan
from models.training.place import Place
from models.training.recipe import follow
from models.training.tasks.beat_class import train as beat_class
from models.training.tasks.beat_class.beats import save
from models.training.tasks.beat_class.shipped import ShippedBeats
from models.training.tasks.beat_class.windowed import BeatClass
from models.training.tasks.lethal import shipped as lethal
from models.training.tasks.lethal import train as lethal_train
from models.training.tasks.lethal import windowed as lethal_windowed
from models.training.tasks.lethal.shipped import ShippedLethal
from models.training.tasks.qrs import shipped as qrs
from models.training.tasks.qrs import train as qrs_train
from models.training.tasks.qrs import windowed as qrs_windowed
from models.training.tasks.qrs.shipped import ShippedQrs
from tests.unit.training.test_beat_class_training import track
from tests.unit.training.test_windowed_tasks import mitdb, noise, vfdb, wearables

FEW = {"epochs": 1, "steps": 2, "batch": 8}


def shortened(monkeypatch: pytest.MonkeyPatch, module: ModuleType, *names: str) -> None:
    for name in names:
        plan: TrainingPlan = getattr(module, name)
        monkeypatch.setattr(module, name, replace(plan, **FEW))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Made-up records, one of MITDB and one of VFDB per fold, and trainings of a few steps."""
    torch.set_num_threads(1)
    tracks = [t for name in ("mitdb/1", "mitdb/2", "mitdb/3") for t in mitdb(name)]
    rhythms = [vfdb(tmp_path, name) for name in ("vfdb/1", "vfdb/2", "vfdb/3")]
    for module in (qrs, qrs_windowed, lethal, lethal_windowed):
        monkeypatch.setattr(module, "load_mitdb", lambda data: tracks)
        monkeypatch.setattr(module, "load_vfdb", lambda data: rhythms)
        monkeypatch.setattr(module, "load_noise", lambda data: [noise()])
    for module in (qrs, qrs_windowed):
        monkeypatch.setattr(module, "load_ludb", lambda data: [])
    monkeypatch.setattr(lethal.cinc2017, "load", lambda data, cache: wearables())
    shortened(monkeypatch, qrs_train, "DENSE_PLAN", "PRUNED_PLAN")
    shortened(monkeypatch, qrs, "PRUNED_PLAN")
    shortened(monkeypatch, lethal, "PLAN")
    shortened(monkeypatch, lethal_train, "SETTLING")
    monkeypatch.setattr(lethal_train.learn, "__defaults__", (lethal_train.PLAN, 100))
    monkeypatch.setattr(lethal_train, "REGULARS", 100)
    shortened(monkeypatch, beat_class, "PLAN")
    held = Place(tmp_path, tmp_path / "runs")
    held.runs.mkdir()
    (held.runs / "beat_class").mkdir()
    beats = [replace(track(f"mitdb/{k}"), fold=k) for k in range(3)]
    save(beats, held.runs / "beat_class" / "beats.npz")
    return held


def test_all_tasks_without_a_fold_make_a_model_folder(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    (found,) = follow(ShippedQrs(place, 1), [0])
    assert qrs_windowed.Qrs.metric in found
    assert "also needs beat_class, lethal" in capsys.readouterr().out
    (found,) = follow(ShippedLethal(place, 1), [0])
    assert lethal_windowed.WindowedLethal.metric in found
    assert (place.shipped / "lethal.md").exists()
    (found,) = follow(ShippedBeats(place, 1), [0])
    assert BeatClass.metric in found
    folder = place.shipped / "model" / "fold0"
    assert f"version {Model(folder).spec.version}: {folder}" in capsys.readouterr().out
    assert catalogue.find(str(folder)).tasks == ("qrs", "beat_class", "lethal")


def test_the_dense_network_learns_from_the_same_batches(place: Place) -> None:
    training = ShippedQrs(place, 1)
    training.learn(0)
    dense = training.learn_unpruned(0)
    small = sum(p.numel() for p in training.learn(0).parameters())
    assert sum(p.numel() for p in dense.parameters()) > 3 * small
    assert (place.shipped / "qrs-fold0-unpruned.pt").exists()


def test_a_later_task_asks_for_the_first(place: Place) -> None:
    with pytest.raises(BadInputError) as caught:
        follow(ShippedLethal(place, 1), [1])
    assert f"ecgwatch train qrs --fold 1 --runs {place.runs}" in caught.value.remedy


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (["qrs"], "ecgcl qrs"),
        (["rhythm"], "ecgcl rhythm"),
        (["rhythm_10s", "--architecture", "mina"], "mina rhythm_10s"),
        (["qrs", "--architecture", "unet"], "unet qrs"),
        (["clocs", "--variant", "cmlc"], "clocs-cmlc"),
        (["distil-mvkt"], "distil-mvkt"),
    ],
)
def test_the_command_finds_who_learns_what(given: list[str], name: str, tmp_path: Path) -> None:
    found = command.training(asked([*given, "--data", str(tmp_path), "--runs", str(tmp_path)]))
    assert found.name == name


def test_a_task_of_the_zoo_asks_for_an_architecture(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="for the architectures of the zoo"):
        command.training(asked(["rhythm_10s"]))


def test_without_a_fold_a_pretraining_is_judged_on_the_first() -> None:
    assert command.folds(asked(["clocs"])) == [0]
    assert command.folds(asked(["qrs"])) == [None]
    assert command.folds(asked(["qrs", "--fold", "2", "--fold", "1"])) == [2, 1]


def asked(given: list[str]) -> argparse.Namespace:
    return command.arguments().parse_args(given)
