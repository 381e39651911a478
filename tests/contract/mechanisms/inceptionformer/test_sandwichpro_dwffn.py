"""SandwichPro with depthwise MLPs: a convolution of three samples inside the MLP."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.inceptionformer.sandwich import DepthwiseMlp, Sandwich
from models.training.problems import PIECE
from tests.contract.mechanisms.responses import spread


def test_it_sees_three_samples() -> None:
    assert spread(DepthwiseMlp(16), 16) == [3] * 16


def test_the_convolution_inside_is_depthwise() -> None:
    inside = DepthwiseMlp(16).inside
    assert inside.groups == inside.in_channels == 32


def test_it_follows_every_sandwich() -> None:
    body = list(load("sandwichpro_dwffn").build(PIECE).body)
    after = [body[i + 1] for i, layer in enumerate(body) if isinstance(layer, Sandwich)]
    assert after
    assert all(isinstance(layer, DepthwiseMlp) for layer in after)
