"""InceptionFormer: kernels of four lengths, attention from the third stage, published size."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.network import BASE, InceptionFormer, OnTokens
from models.architectures.inceptionformer.parts import ConvBlock
from models.architectures.layers.attention import SelfAttention
from models.architectures.layers.heads import MixerLayer
from tests.contract.mechanisms.responses import moved_tokens, numbers, spread


def test_a_quarter_of_the_channels_has_each_kernel() -> None:
    assert spread(ConvBlock(16).along_time, 16) == [3] * 4 + [7] * 4 + [11] * 4 + [19] * 4


def test_the_stem_sees_four_kernels() -> None:
    net = InceptionFormer(1, 1250, 4)
    assert [branch.kernel_size[1] for branch in net.stem.branches] == [3, 7, 11, 19]


def test_blocks_are_of_the_published_size() -> None:
    assert [numbers(ConvBlock(c)) for c in (64, 128, 256)] == [17_536, 67_840, 266_752]
    attention = [numbers(MixerLayer(c, SelfAttention(c, c // 32))) for c in (256, 512)]
    assert attention == [527_104, 2_102_784]


def test_the_base_size_has_the_published_number_of_parameters() -> None:
    assert round(numbers(InceptionFormer(12, 1000, 9, BASE)) / 1e6, 3) == 12.451


def test_the_third_stage_alternates_and_the_fourth_attends() -> None:
    net = InceptionFormer(12, 1000, 9, BASE)
    attends = [[isinstance(layer, OnTokens) for layer in stage] for stage in net.stages]
    assert attends == [[False] * 2, [False] * 4, [False, True] * 4, [True] * 4]


def test_attention_reaches_every_token() -> None:
    torch.manual_seed(1)
    assert moved_tokens(SelfAttention(32, 4), 40, 32, at=3) == set(range(40))


@pytest.mark.parametrize("length", [320, 500, 1250, 3750])
def test_every_stage_divides_into_windows(length: int) -> None:
    net = InceptionFormer(1, length, 4)
    assert net.features(torch.zeros(2, 1, length)).shape[3] % 10 == 0
