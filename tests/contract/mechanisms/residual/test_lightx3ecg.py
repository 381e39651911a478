"""LightX3ECG: a backbone per lead, a sigmoid weight per lead."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from torch.nn import functional

from models.architectures.residual.lightx3ecg import CHOSEN, LightX3, dropped
from models.training.problems import PIECE
from models.training.release.windowed_export import export


def test_weights_lie_between_zero_and_one_and_differ_by_record() -> None:
    torch.manual_seed(1)
    net = LightX3(1, 4).eval()
    _, weights = net.weigh(net.rows(torch.randn(5, 1, 1250)))
    assert weights.shape == (5, 3)
    assert bool(((weights > 0) & (weights < 1)).all())
    assert (weights.sum(dim=1) - 1).abs().max() > 0.1  # no softmax
    assert weights.std(dim=0).min() > 1e-4


def test_leads_share_no_weights() -> None:
    net = LightX3(12, 5)
    each = [{id(p) for p in backbone.parameters()} for backbone in net.backbones]
    assert not each[0] & each[1] | each[1] & each[2]


def test_twelve_leads_are_read_as_three() -> None:
    x = torch.randn(2, 12, 250)
    assert torch.equal(LightX3(12, 5).rows(x), x[:, list(CHOSEN)])


def batch(n: int, chance: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows (n, 3, 250) whose frequency, the same in all, is what the record is."""
    y = torch.randint(2, (n,), generator=chance)
    hz, time = (4 + 6 * y)[:, None, None], torch.arange(250) / 125
    x = torch.sin(2 * torch.pi * (hz * time + torch.rand(n, 3, 1, generator=chance)))
    return x + 0.5 * torch.randn(n, 3, 250, generator=chance), y


def test_a_silent_lead_loses_weight_in_training() -> None:
    torch.manual_seed(3)
    net, chance = LightX3(1, 2).train(), torch.Generator().manual_seed(1)
    optimiser = torch.optim.AdamW(net.parameters(), lr=5e-3)
    for _ in range(40):
        x, y = batch(32, chance)
        loss = functional.cross_entropy(net.weigh(dropped(x))[0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    x, y = batch(64, chance)
    silent = x.clone()
    silent[:, 0] = 0
    net.eval()
    with torch.inference_mode():
        _, full = net.weigh(x)
        logits, without = net.weigh(silent)
    assert bool(logits.isfinite().all())
    assert float((logits.argmax(dim=1) == y).float().mean()) > 0.9
    assert float(without[:, 0].mean()) < 0.9 * float(full[:, 0].mean())


def test_training_silences_one_lead_of_some_records() -> None:
    torch.manual_seed(1)
    silent = (dropped(torch.ones(400, 3, 8)) == 0).all(dim=2)
    assert 0.4 < float(silent.any(dim=1).float().mean()) < 0.6
    assert int(silent.sum(dim=1).max()) == 1


def test_pruned_zeros_survive_export(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net = LightX3(1, 4).eval()
    weight = net.backbones[0][3].second[1][0].weight
    with torch.no_grad():
        weight[weight.abs() < weight.abs().median()] = 0
    export(net, PIECE, tmp_path, {})
    stored = onnx.load(str(tmp_path / "model.onnx")).graph.initializer
    same = [numpy_helper.to_array(one) for one in stored if list(one.dims) == list(weight.shape)]
    assert max(float(np.mean(array == 0)) for array in same) >= 0.48
