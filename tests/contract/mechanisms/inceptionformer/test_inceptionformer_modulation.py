"""Convolutional modulation: kernels of four lengths make what multiplies the values."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.inceptionformer.gated_mixers import ConvModulation
from models.architectures.layers.attention import AttentionWeights
from tests.contract.mechanisms.responses import spread


def test_a_quarter_of_the_channels_has_each_kernel() -> None:
    assert spread(ConvModulation(16, 1, 40).along_time, 16) == [3] * 4 + [5] * 4 + [7] * 4 + [9] * 4


def test_the_answer_is_linear_in_the_values() -> None:
    torch.manual_seed(1)
    mixer, x = ConvModulation(16, 1, 40).eval(), torch.randn(1, 40, 16)
    answer = mixer(x) - mixer.out.bias
    with torch.no_grad():
        mixer.value.weight *= 2
        mixer.value.bias *= 2
    assert torch.allclose(mixer(x) - mixer.out.bias, 2 * answer, atol=1e-5)


def test_each_group_mixes_one_channel_of_every_kernel() -> None:
    torch.manual_seed(1)
    mixer = ConvModulation(16, 1, 40).eval()
    assert mixer.widen.groups == 4
    seen = []
    mixer.widen.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    order = torch.arange(16.0).view(1, 16, 1, 1).expand(1, 16, 1, 40)
    mixer.along_time, mixer.context = torch.nn.Identity(), torch.nn.Identity()
    mixer.modulator(order)
    assert seen[0][0, :4, 0, 0].tolist() == [0, 4, 8, 12]


def test_there_is_no_attention() -> None:
    assert not any(
        isinstance(part, AttentionWeights) for part in ConvModulation(16, 1, 40).modules()
    )
