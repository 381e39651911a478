"""Channel gates in place of attention: one weight per channel for the whole window."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.inceptionformer.gated_mixers import ChannelGate
from models.training.problems import PIECE


def test_the_gate_is_the_same_at_all_times() -> None:
    torch.manual_seed(1)
    mixer = ChannelGate(16, 1, 40).eval()
    weights = mixer.gate.weights(torch.randn(3, 16, 1, 40))
    assert weights.shape == (3, 16, 1, 1)
    assert bool(((weights > 0) & (weights < 1)).all())
    assert weights.std(dim=0).max() > 1e-4


def test_it_stands_where_attention_stood() -> None:
    net = load("inceptionformer_se").build(PIECE)
    assert [type(mixer) for mixer in net.mixers()] == [ChannelGate] * 2
