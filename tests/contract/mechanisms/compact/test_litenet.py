"""LiteNet: a squeeze, then three lengths of kernel in one layer."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.compact.litenet import LiteBlock, MixedKernels
from tests.contract.mechanisms.responses import numbers


def test_one_layer_has_kernels_of_one_three_and_five() -> None:
    layer = MixedKernels(8, 16).eval()
    rest, x = layer(torch.zeros(1, 8, 1, 41)), torch.zeros(1, 8, 1, 41)
    x[0, :, 0, 20] = 1
    moved = ((layer(x) - rest).abs() > 1e-9).sum(dim=3)[0, :, 0].tolist()
    assert moved == [1] * 4 + [3] * 8 + [5] * 4


def test_the_squeeze_halves_the_channels() -> None:
    assert LiteBlock(16, 24).squeeze[0][0].out_channels == 12


def test_it_is_a_fraction_of_a_plain_convolution() -> None:
    plain = torch.nn.Conv2d(16, 24, (1, 5))
    assert numbers(LiteBlock(16, 24)) < 0.65 * numbers(plain)
