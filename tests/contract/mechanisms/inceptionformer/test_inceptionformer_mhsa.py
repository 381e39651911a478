"""Attention in every block: the first stage already sees the whole window."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.network import InceptionFormer, OnTokens
from models.architectures.inceptionformer.variants import ONLY_ATTENTION


def far_moved(net: InceptionFormer) -> bool:
    """Whether the first stage's output at one end of the window depends on the other end."""
    x = torch.randn(1, 1, 1250)
    other = x.clone()
    other[..., :40] += 2
    ends = [net.stages[0](net.stem(part.unsqueeze(2)))[..., -10:] for part in (x, other)]
    return bool((ends[0] - ends[1]).abs().max() > 1e-6)


def test_no_block_convolves() -> None:
    net = InceptionFormer(1, 1250, 4, ONLY_ATTENTION)
    assert all(isinstance(layer, OnTokens) for stage in net.stages for layer in stage)


def test_the_first_stage_sees_the_whole_window() -> None:
    torch.manual_seed(1)
    assert far_moved(InceptionFormer(1, 1250, 4, ONLY_ATTENTION).eval())
    assert not far_moved(InceptionFormer(1, 1250, 4).eval())
