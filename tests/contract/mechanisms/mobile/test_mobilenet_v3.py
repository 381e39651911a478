"""MobileNetV3: gates that can be shut and open in full, and h-swish."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.mobile.inverted import HardGate, Inverted
from models.training.problems import PIECE


def test_the_gate_reaches_zero_and_one() -> None:
    gate = HardGate(4, 4, torch.nn.Hardsigmoid())
    with torch.no_grad():
        gate.excite.weight.zero_()
        gate.excite.bias.copy_(torch.tensor([-9.0, 0.0, 9.0, 1.5]))
    assert gate.weights(torch.randn(1, 4, 1, 9)).flatten().tolist() == [0.0, 0.5, 1.0, 0.75]


def test_every_block_is_gated_before_it_is_narrowed() -> None:
    net = load("mobilenet_v3").build(PIECE)
    blocks = [layer for layer in net.body if isinstance(layer, Inverted)]
    assert len(blocks) == 7
    for block in blocks:
        assert isinstance(block.gate, HardGate)
        assert block.gate.excite.out_channels == block.narrow[0].in_channels


def test_its_activation_is_h_swish() -> None:
    kinds = {type(module).__name__ for module in load("mobilenet_v3").build(PIECE).modules()}
    assert "Hardswish" in kinds
    assert "ReLU6" not in kinds
