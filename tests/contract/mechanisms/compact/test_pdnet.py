"""PDNet: pointwise first, then depthwise."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.compact.pdnet import KERNEL, PdBlock
from tests.contract.mechanisms.responses import numbers, spread


def test_channels_are_mixed_before_time() -> None:
    block = PdBlock(16, 24)
    assert block.pointwise[0][0].kernel_size == (1, 1)
    assert block.depthwise[0].groups == block.depthwise[0].in_channels == 24


def test_the_depthwise_layer_sees_nine_samples() -> None:
    assert spread(PdBlock(16, 24).depthwise, 24) == [KERNEL] * 24


def test_it_is_a_fraction_of_a_plain_convolution() -> None:
    plain = torch.nn.Conv2d(16, 24, (1, KERNEL))
    assert numbers(PdBlock(16, 24)) < 0.25 * numbers(plain)
