"""Coordinate gates in place of attention: a weight of each channel, and of each channel and time."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.inceptionformer.gated_mixers import Coordinate
from models.training.problems import PIECE


def test_one_gate_varies_along_time_and_one_does_not() -> None:
    torch.manual_seed(1)
    channel, time = Coordinate(16, 1, 40).eval().gate.weights(torch.randn(3, 16, 1, 40))
    assert (channel.shape, time.shape) == ((3, 16, 1, 1), (3, 16, 1, 40))
    assert time.std(dim=3).min() > 1e-5
    assert all(bool(((w > 0) & (w < 1)).all()) for w in (channel, time))


def test_it_stands_where_attention_stood() -> None:
    net = load("inceptionformer_ca").build(PIECE)
    assert [type(mixer) for mixer in net.mixers()] == [Coordinate] * 2
