"""SandwichPro with gated linear units: half of the channels gate the other half."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.inceptionformer.sandwich import GatedLinear, Sandwich
from models.training.problems import PIECE
from tests.contract.mechanisms.responses import spread


def test_a_closed_gate_lets_nothing_through() -> None:
    torch.manual_seed(1)
    mixer, x = GatedLinear(16).eval(), torch.randn(2, 16, 1, 40)
    assert (mixer(x) - x).abs().max() > 1e-3
    with torch.no_grad():
        mixer.widen.weight[16:] = 0
        mixer.widen.bias[16:] = -100
        mixer.narrow.bias.zero_()
    assert torch.allclose(mixer(x), x)


def test_it_mixes_channels_and_no_times() -> None:
    assert spread(GatedLinear(16), 16) == [1] * 16


def test_it_follows_every_sandwich() -> None:
    body = list(load("sandwichpro_glu").build(PIECE).body)
    after = [body[i + 1] for i, layer in enumerate(body) if isinstance(layer, Sandwich)]
    assert after
    assert all(isinstance(layer, GatedLinear) for layer in after)
