"""Siamese few-shot: pairs of two patients, symmetric, unseen patients named by supports."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.training.harness import TrainingPlan, train
from models.training.steps.few_shot import (
    Pairs,
    PatientWindows,
    WithoutHead,
    contrastive,
    judged,
    nearest,
)
from tests.made_tasks import HZ, Tones


def people(count: int, seed: int, each: int = 12) -> PatientWindows:
    """Windows of people who have each an offset of their own beside the tone."""
    rng = np.random.default_rng(seed)
    time = np.arange(500) / 125
    x, y, who = [], [], []
    for person in range(count):
        own = rng.uniform(18, 30)
        for tone in range(3):
            for _ in range(each):
                wave = np.sin(2 * np.pi * (HZ[tone] * time + rng.random()))
                wave = wave + np.sin(2 * np.pi * (own * time + rng.random()))
                x.append(wave + 0.3 * rng.standard_normal(500))
                y.append(tone)
                who.append(person)
    return PatientWindows(
        torch.tensor(np.array(x, np.float32))[:, None], np.array(y), np.array(who)
    )


def test_the_loss_is_symmetric_and_pulls_and_pushes() -> None:
    a, b = torch.randn(8, 6), torch.randn(8, 6)
    alike = torch.tensor([1.0, 0.0] * 4)
    assert torch.equal(contrastive(a, b, alike), contrastive(b, a, alike))
    assert float(contrastive(a, a, torch.ones(8))) < 1e-6
    assert float(contrastive(a, a, torch.zeros(8))) == pytest.approx(1.0, abs=1e-3)
    assert float(contrastive(a, -a, torch.zeros(8))) == 0


def test_no_pair_is_of_one_patient() -> None:
    some = people(4, seed=1)
    a, b = Pairs(some).pick(np.random.default_rng(1), 200)
    assert not (some.patient[a] == some.patient[b]).any()
    assert (some.y[a] == some.y[b]).mean() == pytest.approx(0.5)


def test_the_nearest_class_is_named() -> None:
    supports = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    queries = torch.tensor([[5.0, 1.0], [0.2, 3.0]])
    assert nearest(queries, supports, np.array([4, 4, 7])).tolist() == [4, 7]


def test_patients_never_seen_are_named_better_than_by_random_weights(tmp_path: Path) -> None:
    known, unseen = people(5, seed=1), people(3, seed=2)
    torch.manual_seed(1)
    net, control = (architectures.load("pdnet").build(Tones.problem) for _ in range(2))
    plan = TrainingPlan(epochs=3, steps=20, batch=32, peak_rate=1e-2)
    train(WithoutHead(net), Pairs(known), plan, tmp_path / "pairs.pt")
    trained, random = (judged(n, known, unseen, shots=(5,), draws=5) for n in (net, control))
    assert trained["chance"] == pytest.approx(1 / 3)
    assert trained["balanced accuracy, 5 supports"] > 0.8
    assert trained["balanced accuracy, 5 supports"] > random["balanced accuracy, 5 supports"]
