"""ShuffleNetV2: half of the channels pass, halves are shuffled."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.mobile.shufflenet_v2 import Keep, Shuffle


def test_the_shuffle_is_a_fixed_permutation() -> None:
    order = torch.arange(8.0).view(1, 8, 1, 1)
    assert Shuffle()(order).flatten().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


def test_half_of_the_channels_pass_untouched() -> None:
    torch.manual_seed(1)
    x = torch.randn(2, 16, 1, 40)
    assert torch.equal(Keep(16).eval()(x)[:, ::2], x[:, :8])


def test_two_blocks_read_what_one_let_pass() -> None:
    torch.manual_seed(1)
    two = torch.nn.Sequential(Keep(16), Keep(16)).eval()
    x = torch.randn(1, 16, 1, 40)
    other = x.clone()
    other[:, 4:8] += 1  # untouched by the first block, then in the half that the second convolves
    moved = (two(x) - two(other)).abs().amax(dim=(0, 2, 3))
    assert int((moved > 1e-6).sum()) > 4


def test_no_addition_joins_the_halves() -> None:
    x = torch.randn(2, 16, 1, 40)
    assert not (Keep(16).eval()(x)[:, 1::2] < 0).any()  # ends in ReLU, nothing is added to it
