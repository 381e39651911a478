"""Pretraining, distillation and the leaderboard, from end to end on made-up records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from ecgwatch.commands.networks.train import DISTILLATION, PRETRAINING, TASKS, ZOO_TASKS
from ecgwatch.modelling import tables
from ecgwatch.modelling.deploying import deploy
from ingest.clock import ManualClock
from ingest.messages import Finding
from models import architectures
from models.serving import catalogue
from models.serving.runtime import Model
from models.training import command, distil, leaderboard, pretrain, problems, zoo
from models.training.data import twelve_leads, unlabelled
from models.training.data.cinc2017 import Recordings
from models.training.data.twelve_leads import TwelveLeads
from models.training.distillation import mvkt
from models.training.harness import TrainingPlan
from models.training.place import Place
from models.training.pretraining import base as objectives
from models.training.recipe import follow
from models.training.tasks import base
from models.training.tasks.beat_class import sequences
from models.training.tasks.diagnosis.windowed import Diagnosis, DiagnosisByLeadI, auc
from models.training.tasks.rhythm import windowed
from models.training.windowed import Windowed
from stream_processor.pipeline.ward import Ward
from tests.contract.test_added_tasks import together
from tests.contract.test_ward import PATIENTS

FS = 125


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def recordings(count: int = 60) -> Recordings:
    """Records of 20 s whose class is the frequency of a wave."""
    rng, time = np.random.default_rng(1), np.arange(20 * FS) / FS
    labels = np.arange(count) % 4
    hz = np.array([2.0, 5.0, 9.0, 15.0])[labels]
    waves = np.sin(2 * np.pi * (hz[:, None] * time + rng.random((count, 1))))
    samples = (waves + 0.1 * rng.standard_normal(waves.shape)).astype(np.float16)
    bounds = np.arange(count + 1) * len(time)
    return Recordings(np.arange(count).astype(str), labels, bounds, samples.reshape(-1))


def twelve(count: int = 50) -> TwelveLeads:
    """Records whose superclasses are frequencies, one lead each."""
    rng, time = np.random.default_rng(1), np.arange(1250) / FS
    labels = (rng.random((count, 5)) > 0.5).astype(np.float32)
    waves = np.sin(2 * np.pi * np.array([2.0, 4, 7, 11, 16])[:, None] * time)
    mixed = np.repeat((labels @ waves)[:, None], 12, axis=1)
    windows = (mixed + 0.1 * rng.standard_normal((count, 12, 1250))).astype(np.float32)
    return TwelveLeads(np.arange(count), windows, labels, np.arange(count) % 5)


@pytest.fixture
def rhythm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> base.Task:
    """The task of ten seconds on made-up records."""
    noise = [np.random.default_rng(2).standard_normal(40 * FS).astype(np.float32)]
    monkeypatch.setattr(windowed.cinc2017, "load", lambda data, cache: recordings())
    monkeypatch.setattr(windowed, "load_noise", lambda folder: noise)
    return windowed.RhythmOfTenSeconds(tmp_path, tmp_path)


def test_the_commands_names_are_those_that_are_registered() -> None:
    assert set(PRETRAINING) == set(objectives.known())
    assert {f"distil-{name}" for name in distil.SCHEMES} == set(DISTILLATION)
    assert set(ZOO_TASKS) <= set(base.known())
    assert set(TASKS) == set(command.SHIPPED)
    for name in PRETRAINING:
        assert objectives.known()[name].arguments["variants"]


def test_the_recipe_of_a_system_changes_the_tasks_plan() -> None:
    plan = TrainingPlan(epochs=1, steps=2, batch=3, peak_rate=0.5)
    attending = zoo.adapted(plan, architectures.load("st_mem"))
    assert (attending.peak_rate, attending.weight_decay, attending.batch) == (1e-3, 0.05, 3)
    assert zoo.adapted(plan, architectures.load("plain_cnn")) == plan


@pytest.mark.parametrize(
    ("name", "variant"), [("clocs", "cmsc"), ("cpc", "usual"), ("st_mem", "one-lead")]
)
def test_a_pretraining_is_probed_beside_its_random_control(
    name: str, variant: str, rhythm: base.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = recordings()
    source = unlabelled.Unlabelled([own.signal(k) for k in range(20)], long=2)
    monkeypatch.setattr(unlabelled, "load", lambda data, cache, fold: source)
    place, one = Place(tmp_path, tmp_path), {"epochs": 1, "steps": 2, "batch": 8}
    training = replace(pretrain.load(name, variant, place, one), task=rhythm, windows=96)
    (told,) = follow(training, [0])
    assert {figure.partition(":")[0] for figure in told} == {"pretrained", "random weights"}
    assert all(np.isfinite(v) for v in told.values())
    folder = tmp_path / f"{name}-{variant}"
    assert json.loads((folder / "fold0.json").read_text()) == told
    weights = torch.load(folder / "system-fold0.pt", weights_only=True)
    objective = objectives.load(name)(tmp_path, tmp_path, 0, variant)
    fresh = architectures.load(objective.architecture).build(
        problems.first(architectures.load(objective.architecture))
    )
    fresh.load_state_dict(weights)


@pytest.mark.parametrize(
    ("name", "variant"), [("clocs", "cmlc"), ("clocs", "cmsmlc"), ("st_mem", "twelve-leads")]
)
def test_twelve_leads_teach_too(
    name: str, variant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(twelve_leads, "load", lambda data, cache: twelve())
    objective = objectives.load(name)(tmp_path, tmp_path, 0, variant)
    architecture = architectures.load(objective.architecture)
    learner = objective.learner(architecture.build(problems.first(architecture)))
    batches = objective.batches()
    inputs, target = batches.batch(np.random.default_rng(1), 6)
    value = batches.loss(learner, learner(*inputs), target)
    value.backward()
    assert torch.isfinite(value)


def test_windows_without_labels_are_of_the_patients_they_say() -> None:
    own = recordings()
    source = unlabelled.Unlabelled(
        [np.full(1250 + 100 * k, k + 1.0, np.float32) for k in range(8)], 2
    )
    windows, patients = source.draw(np.random.default_rng(1), 4, 2)
    assert windows.shape == (8, 1250)
    assert len(set(patients.tolist())) == 4
    assert patients.tolist() == np.repeat(patients[::2], 2).tolist()
    assert len(own) == 60


def test_distillation_compares_students_that_differ_in_one_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(twelve_leads, "load", lambda data, cache: twelve())
    scheme = replace(mvkt.SCHEME, plan=TrainingPlan(epochs=1, steps=2, batch=16, peak_rate=3e-3))
    tasks = Diagnosis(tmp_path, tmp_path), DiagnosisByLeadI(tmp_path, tmp_path)
    training = distil.Distillation("distil-mvkt", scheme, *tasks, [1, 2], tmp_path)
    (figures,) = follow(training, [0])
    told = json.loads((tmp_path / "fold0.json").read_text())
    metric = told.pop("metric")
    assert [len(told[arm]) for arm in ("teacher", "with", "without")] == [1, 2, 2]
    assert told["with"] != told["without"]
    assert figures[f"{metric}, with"] == pytest.approx(np.mean(told["with"]))
    assert "seed by seed" in capsys.readouterr().out


def test_auc_counts_pairs_and_ties_by_half() -> None:
    truth = np.array([1, 0, 1, 0], np.float32)
    assert auc(truth, np.array([0.9, 0.1, 0.8, 0.2], np.float32)) == 1
    assert auc(truth, np.array([0.1, 0.9, 0.2, 0.8], np.float32)) == 0
    assert auc(truth, np.array([0.5, 0.5, 0.5, 0.5], np.float32)) == 0.5
    assert auc(truth, np.array([0.9, 0.9, 0.9, 0.1], np.float32)) == 0.75


def test_rr_ratios_tell_an_early_beat() -> None:
    at = np.cumsum([100.0] * 6 + [60, 140] + [100.0] * 6)
    ratios = sequences.rr_ratios(at)
    assert ratios.shape == (14, 2)
    assert ratios[6].tolist() == pytest.approx([-0.4, 0.4], abs=0.03)
    assert ratios[0, 0] == ratios[-1, 1] == 0


def test_the_board_goes_on_and_keeps_what_failed(
    rhythm: base.Task, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leaderboard.base, "load", lambda name: lambda data, cache: rhythm)
    monkeypatch.setattr(leaderboard, "LEAST_STEPS", 2)
    rhythm.plan = replace(rhythm.plan, batch=8)
    wanted = leaderboard.entries(["mvkt", "clocs"], [1])

    def fails(entry: leaderboard.Entry, *rest: object) -> dict[str, object]:
        raise ValueError("no")

    real = leaderboard.train_one
    monkeypatch.setattr(
        leaderboard, "train_one", lambda e, *rest: (fails if e.name == "clocs" else real)(e, *rest)
    )
    leaderboard.run(wanted, 0.0, tmp_path, tmp_path, again=False)
    board = leaderboard.collect(tmp_path, rounds=2)
    rows = {row["name"]: row for row in board["rows"]}
    assert rows["clocs"]["error"] == "ValueError: no"
    assert rows["mvkt"]["steps"] == 2
    assert rows["mvkt"]["ms"] > 0
    assert rows["mvkt"]["cpu_minutes"] >= 0
    assert 0 < rows["ecgcl (deployed)"]["figures"]["N A O mean F1, records"] < 1
    waiting = {row["name"] for row in board["untrained"]}
    assert waiting | set(rows) >= set(architectures.zoo())
    monkeypatch.setattr(leaderboard, "train_one", real)
    stamp = (tmp_path / "rows" / "mvkt-rhythm_10s-seed1.json").stat().st_mtime_ns
    leaderboard.run(wanted, 0.0, tmp_path, tmp_path, again=True)
    assert (tmp_path / "rows" / "mvkt-rhythm_10s-seed1.json").stat().st_mtime_ns == stamp
    assert "figures" in json.loads((tmp_path / "rows" / "clocs-rhythm_10s-seed1.json").read_text())


def test_a_system_is_trained_compared_and_deployed(rhythm: base.Task, tmp_path: Path) -> None:
    plan = TrainingPlan(epochs=1, steps=2, batch=8, peak_rate=5e-3)
    mvkt = Windowed(architectures.load("mvkt"), "rhythm_10s", rhythm, plan, tmp_path / "runs")
    (found,) = follow(mvkt, [0])
    trained, place = tmp_path / "runs" / "fold0", tmp_path / "model"
    side_by_side = tables.figures([catalogue.find("ecgcl"), catalogue.find(str(trained))]).text()
    (row,) = (line for line in side_by_side.splitlines() if "N A O mean F1, records" in line)
    assert f"{found['N A O mean F1, records']:.4g}" in row  # beside the shipped network's
    assert "0.8" in row
    card = catalogue.find(str(trained)).card
    assert "mvkt, rhythm_10s" in card
    assert "without fold 0, judged on it" in card
    assert "| N A O mean F1, records | " in card
    deploy(trained, place)
    ward = Ward(Model(place), ManualClock())
    events = [event for batch in together() for event in ward.push(batch)]
    findings = [event for event in events if isinstance(event, Finding)]
    assert {f.patient_id for f in findings} == set(PATIENTS)
    assert {(f.task, f.model) for f in findings} == {("mvkt-rhythm-10s", Model(place).spec.version)}
    assert {f.label for f in findings} <= set(rhythm.problem.outputs)
