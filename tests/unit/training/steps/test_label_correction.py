"""Label correction on tones: a fifth of the labels is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.training.harness import TrainingPlan
from models.training.steps.label_correction import corrected, flipped, learn, precision, prototypes
from models.training.steps.windows import WindowPool, drawn
from tests.made_tasks import Tones

FLIP = 0.2


def test_a_share_of_the_labels_becomes_another_class() -> None:
    labels = torch.randint(3, (4000,), generator=torch.Generator().manual_seed(1))
    wrong = flipped(labels, FLIP, 3, seed=2)
    assert float((wrong != labels).float().mean()) == pytest.approx(FLIP, abs=0.02)
    assert set(wrong.unique().tolist()) == {0, 1, 2}
    assert torch.equal(wrong, flipped(labels, FLIP, 3, seed=2))


def test_prototypes_are_dense_and_unlike_each_other() -> None:
    generator = torch.Generator().manual_seed(1)
    heaps = torch.eye(16)[[0] * 40 + [1] * 40] + 0.05 * torch.randn(80, 16, generator=generator)
    stray = torch.randn(5, 16, generator=generator)
    unit = torch.nn.functional.normalize(torch.cat([heaps, stray]), dim=1)
    found = prototypes(unit, 2)
    assert sorted(found.argmax(dim=1).tolist()) == [0, 1]
    assert float(found[0] @ found[1]) < 0.95


def test_windows_get_the_class_of_the_prototypes_they_are_like() -> None:
    generator = torch.Generator().manual_seed(1)
    truth = torch.arange(3).repeat_interleave(60)
    features = torch.eye(8)[truth] + 0.2 * torch.randn(180, 8, generator=generator)
    labels = flipped(truth, FLIP, 3, seed=3)
    after = corrected(features, labels, 3, generator)
    assert float((after == truth).float().mean()) > 0.95


def test_rare_classes_get_no_windows_of_the_frequent_one() -> None:
    """Of the labels of a class of 3 % most are wrong once a fifth of all is."""
    generator = torch.Generator().manual_seed(1)
    truth = torch.tensor([0] * 1200 + [1] * 600 + [2] * 60)
    features = torch.eye(8)[truth] + 0.45 * torch.randn(1860, 8, generator=generator)
    labels = flipped(truth, FLIP, 3, seed=3)
    assert float((truth == 2)[labels == 2].float().mean()) < 0.3
    after = corrected(features, labels, 3, generator)
    assert precision(labels, after, truth) > 0.6
    assert float((after == truth).float().mean()) > float((labels == truth).float().mean()) + 0.1


def test_corrections_are_right_far_more_often_than_by_chance(tmp_path: Path) -> None:
    true = drawn(Tones().batches(0), 384, seed=1)
    pool = WindowPool(true.x, flipped(true.y, FLIP, 3, seed=1))
    torch.manual_seed(1)
    net = architectures.load("pdnet").build(Tones.problem)
    plan = TrainingPlan(epochs=4, steps=20, batch=32, peak_rate=1e-2)
    after = learn(net, pool, 3, plan, tmp_path, rounds=2)
    assert int((after != pool.y).sum()) > 20
    assert precision(pool.y, after, true.y) > 3 * FLIP
    assert float((after == true.y).float().mean()) > float((pool.y == true.y).float().mean())


def test_prototypes_come_from_the_pool_alone() -> None:
    class Peeking(Tones):
        def batches(self, fold: int | None) -> Any:
            assert fold == 2, "the pool of a fold asks for that fold's training windows"
            return super().batches(fold)

    assert len(drawn(Peeking().batches(2), 70, seed=1).x) == 70
