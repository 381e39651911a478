"""Sparse tokens: a few tokens gather from all, and give back to all."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.mixers import SparseTokens
from models.architectures.layers.attention import watched


def test_all_tokens_meet_through_a_fifth_as_many() -> None:
    mixer = SparseTokens(64, 4, 40)
    with watched(mixer) as seen:
        assert mixer(torch.randn(2, 40, 64)).shape == (2, 40, 64)
    assert mixer.semantic(torch.randn(2, 40, 64)).shape == (2, 8, 64)
    assert [tuple(one.weights.shape) for one in seen] == [(2, 4, 8, 40), (2, 4, 40, 8)]


def test_no_matrix_of_all_against_all() -> None:
    mixer = SparseTokens(64, 4, 80)
    with watched(mixer) as seen:
        mixer(torch.randn(1, 80, 64))
    assert all(one.weights.shape[-2:] != (80, 80) for one in seen)
