"""Distillation and int8 on made-up tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from ingest.errors import BadInputError
from models import architectures
from models.architectures import Problem
from models.serving.benchmark import Timing
from models.serving.runtime import Network
from models.signal.windows import BEAT_SPEC
from models.training.experiments.distil import Distilled, divergence, table, teachers
from models.training.harness import TrainingPlan, train
from models.training.release.quantise import Form, is_worthwhile, quantise
from models.training.release.windowed_export import export

T = 64
SHAPES = {"classes": (3,), "samples": (1, T)}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def small(kind: str) -> Any:
    """A network of one layer."""
    nn = torch.nn
    return (
        nn.Sequential(nn.Flatten(), nn.Linear(T, 3))
        if kind == "classes"
        else nn.Conv1d(1, 1, 9, padding=4)
    )


class Coin:
    """Windows whose target says nothing."""

    def __init__(self, kind: str) -> None:
        self._shape = SHAPES[kind]

    def batch(self, rng: np.random.Generator, size: int) -> Any:
        x = rng.standard_normal((size, 1, T), dtype=np.float32)
        return (torch.from_numpy(x),), torch.from_numpy(
            rng.integers(0, 2, (size, *self._shape)).astype(np.float32)
        )

    def loss(self, net: Any, answer: Any, target: Any) -> Any:
        return torch.nn.functional.binary_cross_entropy_with_logits(answer, target)


@pytest.mark.parametrize("kind", SHAPES)
def test_nothing_is_as_near_to_the_teacher_as_the_teacher(kind: str) -> None:
    rng = np.random.default_rng(1)
    a, b = (
        torch.from_numpy(3 * rng.standard_normal((8, *SHAPES[kind]), dtype=np.float32))
        for _ in range(2)
    )
    assert float(divergence(a, a, kind)) == pytest.approx(0, abs=1e-6)  # type: ignore[arg-type]
    assert float(divergence(a, b, kind)) > 0.01  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", SHAPES)
def test_a_student_comes_nearer_to_its_teachers(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(2)
    taught_by = [small(kind) for _ in range(2)]
    with torch.no_grad():
        for teacher in taught_by:
            for p in teacher.parameters():
                p.mul_(5)
    plan = TrainingPlan(epochs=1, steps=150, batch=64, peak_rate=3e-2)
    x = torch.from_numpy(np.random.default_rng(9).standard_normal((64, 1, T), dtype=np.float32))
    with torch.no_grad():
        wanted = torch.stack([teacher(x) for teacher in taught_by]).mean(dim=0)
    far = {}
    for name, data in (
        ("alone", Coin(kind)),
        ("distilled", Distilled(Coin(kind), taught_by, kind)),
    ):  # type: ignore[arg-type]
        torch.manual_seed(3)
        student = train(small(kind), data, plan, tmp_path / f"{name}.pt")
        with torch.no_grad():
            far[name] = float(divergence(student(x), wanted, kind))  # type: ignore[arg-type]
    assert far["distilled"] < 0.5 * far["alone"]
    assert not any(p.requires_grad for teacher in taught_by for p in teacher.parameters())


def test_a_decoder_inside_the_loss_is_read() -> None:
    seen: list[float] = []

    def read(net: Any, answer: Any, target: Any) -> Any:
        seen.append(float(target.mean()))
        return answer[:, :1]

    teacher = small("classes")
    data = Distilled(Coin("classes"), [teacher], "classes", read)
    inputs, (hard, soft) = data.batch(np.random.default_rng(1), 4)
    assert soft.shape == (4, 1)
    assert float(data.loss(teacher, teacher(*inputs), (hard, soft))) >= 0
    assert seen == [float(hard.mean())] * 2  # teacher's and student's


def test_a_teacher_that_was_not_trained_is_asked_for(tmp_path: Path) -> None:
    class NoTask:
        problem = Problem("classes", ("a",), BEAT_SPEC)

    with pytest.raises(BadInputError) as caught:
        teachers(["plain_cnn"], NoTask(), "rhythm", 0, tmp_path)  # type: ignore[arg-type]
    assert "ecgwatch train rhythm --architecture plain_cnn --fold 0" in caught.value.remedy


def test_the_table_has_both_and_the_teacher() -> None:
    rows = table("small", {"F1": 0.9}, {}, [("large", {"F1": 0.95})]).splitlines()
    assert rows[0] == "| held-out fold | small, distilled | small, alone | large |"
    assert rows[-1] == "| F1 | 0.9 | - | 0.95 |"


def test_int8_is_an_artifact_that_answers_nearly_the_same(tmp_path: Path) -> None:
    torch.manual_seed(1)
    problem = Problem("samples", ("qrs",), BEAT_SPEC)
    export(architectures.load("unet").build(problem), problem, tmp_path, {"architecture": "unet"})
    windows = np.random.default_rng(1).standard_normal((64, BEAT_SPEC.length)).astype(np.float32)
    quantise(tmp_path, windows, tmp_path / "int8")
    whole, eight = Network(tmp_path).run(windows), Network(tmp_path / "int8").run(windows)
    assert (tmp_path / "int8" / "model.onnx").read_bytes() != (tmp_path / "model.onnx").read_bytes()
    assert np.corrcoef(whole.ravel(), eight.ravel())[0, 1] > 0.95
    assert np.abs(whole - eight).max() > 0


@pytest.mark.parametrize(
    ("figure", "cpu_ms", "kept"), [(99.85, 0.5, True), (99.0, 0.5, False), (99.85, 0.95, False)]
)
def test_int8_is_kept_where_it_is_quicker_and_as_good(
    figure: float, cpu_ms: float, kept: bool
) -> None:
    def form(trained: float, cpu: float) -> Form:
        return Form(
            trained,
            trained,
            100.0,
            [Timing("x", "ONNX Runtime", batch, 1.0, 2.0, cpu * batch) for batch in (1, 16)],
        )

    assert is_worthwhile(form(99.9, 1.0), form(figure, cpu_ms)) is kept
