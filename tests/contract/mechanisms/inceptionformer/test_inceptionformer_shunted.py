"""Shunted attention: heads at two scales of keys, and a local term of the values."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.mixers import Shunted
from models.architectures.layers.attention import watched


def test_half_the_heads_see_keys_a_fourth_as_long_half_see_keys_half_as_long() -> None:
    mixer = Shunted(64, 4, 80)
    with watched(mixer) as seen:
        assert mixer(torch.randn(2, 80, 64)).shape == (2, 80, 64)
    assert [tuple(one.weights.shape) for one in seen] == [(2, 2, 80, 20), (2, 2, 80, 40)]


def test_a_convolution_of_the_values_is_added() -> None:
    torch.manual_seed(1)
    mixer, x = Shunted(64, 4, 80).eval(), torch.randn(1, 80, 64)
    before = mixer(x)
    with torch.no_grad():
        for local in mixer.local:
            local.weight.zero_()
            local.bias.zero_()
    assert (mixer(x) - before).abs().max() > 1e-3
