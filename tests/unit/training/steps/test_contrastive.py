"""Supervised contrastive pretraining: true labels after each transform, positives that share a
label.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from models import architectures
from models.training.harness import TrainingPlan, train
from models.training.steps.contrastive import Probe, Projected, Views, contrastive, jaccard
from models.training.steps.transforms import joined, partners, smoothed
from models.training.steps.windows import embed
from tests.made_tasks import Tones


def beats(noise: float) -> Any:
    """Ten QRS-like peaks of height 3 in 10 s, and where they are."""
    at = torch.arange(60, 1250, 120)
    x = noise * torch.randn(1, 1, 1250, generator=torch.Generator().manual_seed(1))
    for peak in at.tolist():
        x[..., peak - 3 : peak + 4] += 3 * torch.tensor([0.2, 0.5, 0.9, 1.0, 0.9, 0.5, 0.2])
    return x, at


def test_smoothing_spares_r_peaks_and_not_the_noise_between() -> None:
    clean, at = beats(0.0)
    assert (smoothed(clean)[0, 0, at] / clean[0, 0, at] - 1).abs().max() < 0.05
    x, at = beats(0.1)
    y = smoothed(x)
    assert (y[0, 0, at] / x[0, 0, at] - 1).abs().max() < 0.05
    between = torch.stack([x[0, 0, p + 40 : p + 80] for p in at[:-1]])
    after = torch.stack([y[0, 0, p + 40 : p + 80] for p in at[:-1]])
    assert float(after.std()) < 0.75 * float(between.std())


def test_records_are_joined_with_one_of_the_same_labels() -> None:
    sets = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 1, 1], [0, 0, 1]]).float()
    generator = torch.Generator().manual_seed(1)
    for _ in range(20):
        found = partners(sets, generator)
        assert torch.equal(sets[found], sets)
        assert found[:4].tolist() == [2, 3, 0, 1]
        assert int(found[4]) == 4
    x = torch.arange(5.0)[:, None, None] + torch.randn(5, 1, 100, generator=generator) * 0.01
    y = joined(x, sets, generator)
    assert torch.equal(y[:, :, :20], x[:, :, :20])
    assert not torch.equal(y[0, :, 85:], x[0, :, 85:])
    assert torch.allclose(y[4], x[4], atol=1e-4)  # alone with its labels: joined with itself


def test_records_without_a_common_label_are_never_positives() -> None:
    sets = torch.tensor([[1, 0, 0], [0, 1, 1], [1, 1, 0]]).float()
    found = jaccard(sets)
    assert found[0, 1] == 0
    assert found[0, 2] == pytest.approx(1 / 2)
    assert found[1, 2] == pytest.approx(1 / 3)


def test_the_loss_falls_when_positives_meet_and_rises_when_others_do() -> None:
    sets = torch.eye(2)[[0, 0, 1, 1]]
    apart = torch.eye(4)
    together = torch.eye(4)[[0, 0, 1, 1]]
    crossed = torch.eye(4)[[0, 1, 0, 1]]
    values = [float(contrastive(z, sets)) for z in (together, apart, crossed)]
    assert values[0] < values[1] < values[2]


def test_pretraining_draws_classes_apart_and_leaves_the_head(tmp_path: Path) -> None:
    task = Tones()
    torch.manual_seed(1)
    net = architectures.load("pdnet").build(task.problem)
    head = [p.clone() for p in net.head.parameters()]
    width = embed(net.eval(), torch.zeros(1, 1, 500)).shape[1]
    plan = TrainingPlan(epochs=2, steps=20, batch=32, peak_rate=5e-3)
    (x,), y = task.batches(0).batch(np.random.default_rng(7), 64)
    sets = torch.nn.functional.one_hot(y, 3).float()

    def value() -> float:
        with torch.no_grad():
            return float(contrastive(embed(net.eval(), x), sets))

    before = value()
    train(Projected(net, width), Views(task.batches(0), 3), plan, tmp_path / "pre.pt")
    assert value() < before - 0.3
    assert all(torch.equal(a, b) for a, b in zip(head, net.head.parameters(), strict=True))


def test_a_probe_trains_the_head_alone(tmp_path: Path) -> None:
    task = Tones(epochs=1, steps=10)
    torch.manual_seed(1)
    net = architectures.load("pdnet").build(task.problem)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    train(Probe(net), task.batches(0), task.plan, tmp_path / "probe.pt")
    moved = {k for k, v in net.state_dict().items() if not torch.equal(v, before[k])}
    assert moved == {"head.weight", "head.bias"}
