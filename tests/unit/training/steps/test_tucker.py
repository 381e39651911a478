"""Tucker distillation: cores of one shape, no loss for the teacher itself."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.training.distillation.tucker import SCHEME, BothCores
from models.training.harness import train
from models.training.steps.tucker import RANKS, TuckerBatches, core, distance, factors
from tests.made_tasks import Tones


def test_factors_are_orthonormal_and_of_the_rank() -> None:
    channels, time = factors(torch.randn(6, 24, 40))
    assert (channels.shape, time.shape) == ((24, RANKS[0]), (40, RANKS[1]))
    for one in (channels, time):
        assert torch.allclose(one.T @ one, torch.eye(one.shape[1]), atol=1e-4)


def test_full_ranks_lose_nothing() -> None:
    maps = torch.randn(5, 6, 7)
    channels, time = factors(maps, (6, 7))
    whole = torch.einsum("bct,cr,ts->brs", maps, channels, time)
    assert torch.allclose(torch.einsum("brs,cr,ts->bct", whole, channels, time), maps, atol=1e-4)


def test_cores_of_different_maps_have_one_shape() -> None:
    assert core(torch.randn(6, 48, 20)).shape == core(torch.randn(6, 96, 40)).shape == (6, *RANKS)


def test_the_teacher_has_no_distance_to_itself() -> None:
    maps = torch.randn(6, 24, 40)
    assert float(distance(core(maps), core(maps))) == 0
    assert float(distance(core(5 * maps), core(maps))) < 1e-6  # whatever the scale
    assert float(distance(core(torch.randn(6, 24, 40)), core(maps))) > 0.1


def test_a_student_comes_nearer_and_the_teacher_stays(tmp_path: Path) -> None:
    torch.manual_seed(1)
    task = Tones(epochs=3, steps=15)
    teacher, student = (architectures.load(n).build(task.problem) for n in ("se_resnet", "pdnet"))
    before = {k: v.clone() for k, v in teacher.state_dict().items()}
    batches = TuckerBatches(task.batches(0), teacher, student)
    (x,), (_, wanted) = batches.batch(np.random.default_rng(5), 32)

    def far() -> float:
        student.eval()
        student(x)
        with torch.no_grad():
            return float(distance(core(batches._of_student.map), wanted))

    first = far()
    train(student, batches, task.plan, tmp_path / "student.pt")
    assert far() < 0.9 * first
    assert all(p.grad is None for p in teacher.parameters())
    assert all(torch.equal(v, before[k]) for k, v in teacher.state_dict().items())


def test_as_a_scheme_the_cores_count_only_if_taught() -> None:
    torch.manual_seed(1)
    data = Tones().batches(0)
    pair = BothCores(SCHEME.student(), SCHEME.teacher()).train()
    inputs, target = data.batch(np.random.default_rng(1), 8)
    answer = pair(*inputs)
    taught, alone = (SCHEME.loss(data, arm)(pair, answer, target) for arm in (True, False))
    assert float((taught - alone).detach()) > 0.1
    assert torch.equal(alone, data.loss(pair, answer.student, target))
    taught.backward()
    assert all(p.grad is None for p in pair.teacher.parameters())
