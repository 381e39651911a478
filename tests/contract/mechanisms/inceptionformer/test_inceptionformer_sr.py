"""Spatial reduction shortens keys and values, not queries."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.mixers import SpatialReduction
from models.architectures.layers.attention import watched


def test_keys_are_half_as_many_as_queries() -> None:
    mixer = SpatialReduction(64, 4, 80)
    with watched(mixer) as seen:
        assert mixer(torch.randn(2, 80, 64)).shape == (2, 80, 64)
    assert [tuple(one.weights.shape) for one in seen] == [(2, 4, 80, 40)]
