"""The binarised network learns what its teacher says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.training.harness import train
from models.training.steps.soft_labels import SoftLabels
from tests.made_tasks import Tones


def made(name: str) -> Any:
    torch.manual_seed(1)
    return architectures.load(name).build(Tones.problem)


def test_no_gradient_reaches_the_teacher() -> None:
    teacher, student = made("binarised_teacher"), made("binarised_cnn")
    batches = SoftLabels(Tones().batches(0), teacher)
    inputs, target = batches.batch(np.random.default_rng(1), 8)
    batches.loss(student, student(*inputs), target).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert student.body[0].weights.real.grad.abs().sum() > 0
    assert torch.allclose(target[1].sum(dim=1), torch.ones(8), atol=1e-5)


def test_the_reference_counts_if_asked() -> None:
    teacher, student = made("pdnet"), made("pdnet").eval()
    data = Tones().batches(0)
    values = []
    for hard in (0.0, 1.0):
        batches = SoftLabels(data, teacher, hard)
        inputs, target = batches.batch(np.random.default_rng(1), 8)
        values.append((batches.loss(student, student(*inputs), target), inputs, target))
    (soft, *_), (reference, inputs, target) = values
    assert torch.allclose(reference, data.loss(student, student(*inputs), target[0]))
    assert not torch.equal(soft, reference)


def test_a_student_comes_to_say_what_its_teacher_says(tmp_path: Path) -> None:
    task = Tones(epochs=3, steps=15)
    teacher = train(made("pdnet"), task.batches(0), task.plan, tmp_path / "teacher.pt")
    student = made("litenet")
    train(student, SoftLabels(task.batches(0), teacher), task.plan, tmp_path / "student.pt")
    (x,), _ = task.batches(0).batch(np.random.default_rng(9), 100)
    with torch.inference_mode():
        agree = (teacher(x).argmax(dim=1) == student(x).argmax(dim=1)).float().mean()
    assert float(agree) > 0.8
