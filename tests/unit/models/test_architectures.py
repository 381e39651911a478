"""The registry of architectures: a new one is one file, and a list of them needs no torch."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ingest.errors import BadInputError
from models import architectures
from models.architectures import Problem
from models.registry import declared
from models.signal.windows import BEAT_SPEC

NO_TORCH = "torch is not installed: pip install 'ecgwatch[train]'"
ONE_FILE = '''
"""A line per sample."""

from torch import nn

from models.architectures import Problem, architecture


@architecture("line", kinds=("samples", "classes"), source="none")
def build(problem: Problem) -> nn.Module:
    """One convolution."""
    layers = [nn.Conv1d(1, len(problem.outputs), 9, padding=4)]
    if problem.kind == "classes":
        layers += [nn.AdaptiveAvgPool1d(1), nn.Flatten()]
    return nn.Sequential(*layers)
'''


@pytest.fixture
def one_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "line.py").write_text(ONE_FILE)
    monkeypatch.setattr(architectures, "__path__", [*architectures.__path__, str(tmp_path)])
    monkeypatch.setattr(architectures, "_loaded", {})
    monkeypatch.delitem(sys.modules, "models.architectures.line", raising=False)


def test_the_first_networks_are_registered_with_what_they_are() -> None:
    found = architectures.known()
    assert {"unet", "recurrent", "plain_cnn"} <= set(found)
    for name, one in found.items():
        assert set(one.arguments["kinds"]) <= {"samples", "classes", "beats"}, name
        assert one.arguments["source"], name
        assert one.summary, name


def test_a_list_does_not_import_torch() -> None:
    code = "import sys; from models import architectures; assert architectures.known(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=240)


def test_an_unknown_name_is_refused_with_those_there_are() -> None:
    with pytest.raises(BadInputError) as caught:
        architectures.load("perceptron")
    assert "plain_cnn" in caught.value.remedy


def test_two_files_cannot_have_one_name(tmp_path: Path) -> None:
    for file in ("a", "b"):
        (tmp_path / f"{file}.py").write_text(ONE_FILE)
    with pytest.raises(BadInputError, match="both register 'line'"):
        declared("somewhere", [str(tmp_path)], "architecture")


def test_what_is_registered_must_be_readable_without_running_it(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(ONE_FILE.replace('"none"', "SOURCE"))
    with pytest.raises(BadInputError, match="not a literal"):
        declared("somewhere", [str(tmp_path)], "architecture")


@pytest.mark.usefixtures("one_more")
def test_one_file_is_listed() -> None:
    assert architectures.known()["line"].summary == "One convolution."


@pytest.mark.parametrize(
    "name", [name for name in architectures.known() if name not in architectures.zoo()]
)
def test_every_architecture_keeps_the_interface_and_exports(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from models.serving.runtime import Network
    from models.training import problems
    from models.training.release.windowed_export import export

    torch.set_num_threads(1)
    torch.manual_seed(1)
    for problem in problems.every(architectures.load(name)):
        net = architectures.load(name).build(problem)
        spec = export(net, problem, tmp_path, {"architecture": name})
        x = np.random.default_rng(1).standard_normal((3, problem.spec.length)).astype(np.float32)
        k = len(problem.outputs)
        assert Network(tmp_path).run(x).shape == (
            (3, k, problem.spec.length) if problem.kind == "samples" else (3, k)
        )
        assert spec["parameters"] > 0
        assert spec["macs_per_window"] > spec["parameters"] / 100


class Noise:
    """A task of random windows: enough for a network to be trained, judged and exported."""

    folds = 2
    metric = "mean"

    def __init__(self, problem: Problem) -> None:
        from models.training.harness import TrainingPlan

        self.problem = problem
        self.plan = TrainingPlan(epochs=1, steps=2, batch=4, peak_rate=1e-3)

    def batches(self, fold: int | None) -> Noise:
        return self

    def batch(self, rng, size):  # type: ignore[no-untyped-def]
        import torch

        shape = (
            size,
            len(self.problem.outputs),
            *([self.problem.spec.length] if self.problem.kind == "samples" else []),
        )
        x = rng.standard_normal((size, 1, self.problem.spec.length), dtype=np.float32)
        return (torch.from_numpy(x),), torch.from_numpy(
            rng.standard_normal(shape, dtype=np.float32)
        )

    def loss(self, net, answer, target):  # type: ignore[no-untyped-def]
        return (answer - target).square().mean()

    def evaluate(self, predict, fold):  # type: ignore[no-untyped-def]
        return {"mean": float(predict(np.ones((2, self.problem.spec.length), np.float32)).mean())}


@pytest.mark.usefixtures("one_more")
@pytest.mark.parametrize("kind", ["samples", "classes"])
def test_one_file_is_trained_judged_and_exported_by_the_harness(kind: str, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from models.serving.runtime import Network
    from models.training.recipe import follow
    from models.training.windowed import Windowed

    task = Noise(Problem(kind, ("a", "b", "c"), BEAT_SPEC))  # type: ignore[arg-type]
    training = Windowed(architectures.load("line"), "noise", task, task.plan, tmp_path)
    (figures,) = follow(training, [1])
    assert (tmp_path / "fold1.pt").exists()
    artifact = Network(tmp_path / "fold1")
    assert artifact.meta["figures"] == {"mean": [pytest.approx(figures["mean"], abs=1e-4)]}
    assert artifact.meta["architecture"] == "line"


def test_an_architecture_refuses_what_it_cannot_answer(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason=NO_TORCH)
    from models.training.windowed import learn

    task = Noise(Problem("samples", ("qrs",), BEAT_SPEC))
    with pytest.raises(BadInputError, match="plain_cnn answers per classes"):
        learn(architectures.load("plain_cnn"), task, 0, task.plan, tmp_path)


def test_cost_counts_every_kind_of_layer() -> None:
    torch = pytest.importorskip("torch", reason=NO_TORCH)
    from models.training.cost import macs

    class Last(torch.nn.Module):  # type: ignore[name-defined,misc]
        def __init__(self) -> None:
            super().__init__()
            self.rnn = torch.nn.LSTM(16, 32, batch_first=True, bidirectional=True)

        def forward(self, x):  # type: ignore[no-untyped-def]
            return self.rnn(x)[0]

    assert macs(torch.nn.Conv1d(3, 5, 7, padding=3), torch.zeros(1, 3, 100)) == 3 * 5 * 7 * 100
    assert macs(Last(), torch.zeros(1, 100, 16)) == 100 * 2 * 4 * 32 * (16 + 32)
    attention = torch.nn.TransformerEncoderLayer(32, 4, 64, batch_first=True)
    assert (
        macs(attention, torch.zeros(1, 100, 32))
        == 100 * (4 * 32 * 32 + 2 * 32 * 64) + 2 * 100 * 100 * 32
    )
