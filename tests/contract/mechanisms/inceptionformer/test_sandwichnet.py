"""SandwichNet: kernels of four lengths between two pointwise convolutions."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.sandwich import Sandwich, SandwichNet
from tests.contract.mechanisms.responses import spread


def test_the_filling_has_four_kernels_at_twice_the_width() -> None:
    assert spread(Sandwich(16).filling, 32) == [3] * 8 + [7] * 8 + [11] * 8 + [19] * 8


def test_the_slices_are_pointwise() -> None:
    block = Sandwich(16)
    assert block.widen.kernel_size == block.narrow.kernel_size == (1, 1)
    assert (block.widen.out_channels, block.narrow.in_channels) == (32, 32)


def test_every_block_is_a_sandwich() -> None:
    net = SandwichNet(1, 4)
    assert sum(isinstance(layer, Sandwich) for layer in net.body) == 6
