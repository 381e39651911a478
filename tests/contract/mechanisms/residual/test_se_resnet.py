"""SE-ResNet: channel gates, and class thresholds that travel with the network."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from pathlib import Path

from models.architectures.layers.gates import SqueezeExcite
from models.architectures.residual.se_resnet import SeResNet
from models.serving.runtime import Network
from models.training.problems import PIECE
from models.training.release.windowed_export import export


def test_each_block_has_a_gate_that_is_the_same_at_all_times() -> None:
    torch.manual_seed(1)
    net = SeResNet(1, 4).eval()
    gates = [module for module in net.modules() if isinstance(module, SqueezeExcite)]
    assert len(gates) == len(net.body) == 8
    x = torch.randn(3, 16, 1, 50)
    weights = gates[0].weights(x)
    assert weights.shape == (3, 16, 1, 1)
    assert bool(((weights > 0) & (weights < 1)).all())


def test_thresholds_are_stored_and_exported(tmp_path: Path) -> None:
    torch.manual_seed(1)
    net, x = SeResNet(1, 4).eval(), torch.randn(4, 1, 1250)
    before = net(x)
    net.thresholds.set(torch.tensor([0.5, 0.9, 0.2, 0.5]))
    again = SeResNet(1, 4).eval()
    again.load_state_dict(net.state_dict())
    shift = torch.logit(torch.tensor([0.5, 0.9, 0.2, 0.5]))
    assert torch.allclose(again(x), before - shift, atol=1e-6)
    export(again, PIECE, tmp_path, {})
    exported = torch.from_numpy(Network(tmp_path).run(x[:, 0].numpy()))
    assert torch.allclose(exported, before - shift, atol=1e-4)


def test_thresholds_are_never_trained() -> None:
    assert all("threshold" not in name for name, _ in SeResNet(1, 4).named_parameters())


def test_twelve_leads_go_in_together() -> None:
    torch.manual_seed(1)
    net = SeResNet(12, 5).eval()
    x = torch.randn(1, 12, 1250)
    for lead in (0, 11):
        other = x.clone()
        other[:, lead] += 1
        assert (net(x) - net(other)).abs().max() > 1e-6
