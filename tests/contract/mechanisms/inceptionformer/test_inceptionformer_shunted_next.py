"""InceptionNeXt blocks: five eighths of the channels pass untouched."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures import load
from models.architectures.inceptionformer.mixers import Shunted
from models.architectures.inceptionformer.network import InceptionFormer
from models.architectures.inceptionformer.parts import InceptionNext
from models.training.problems import PIECE
from tests.contract.mechanisms.responses import spread


class AlongTime(torch.nn.Module):  # type: ignore[name-defined,misc]
    def __init__(self) -> None:
        super().__init__()
        self.block = InceptionNext(16)

    def forward(self, x):  # type: ignore[no-untyped-def]
        return self.block.along_time(x)


def test_an_eighth_of_the_channels_has_each_kernel() -> None:
    assert spread(AlongTime(), 16) == [3] * 2 + [11] * 2 + [19] * 2 + [1] * 10


def test_the_rest_passes_as_it_is() -> None:
    x = torch.randn(2, 16, 1, 50)
    assert torch.equal(InceptionNext(16).along_time(x)[:, 6:], x[:, 6:])


def test_the_network_stacks_both() -> None:
    net = load("inceptionformer_shunted_next").build(PIECE)
    assert isinstance(net, InceptionFormer)
    assert {type(mixer) for mixer in net.mixers()} == {Shunted}
    assert all(isinstance(block, InceptionNext) for stage in net.stages[:2] for block in stage)
