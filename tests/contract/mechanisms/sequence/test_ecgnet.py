"""ECGNet: kernels side by side as channels, and an LSTM beside them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.sequence.ecgnet import EACH, KERNELS, EcgNet, NothingRead


def test_branches_meet_as_channels() -> None:
    net = EcgNet(4).eval()
    assert net.parallel(torch.zeros(2, 1, 1, 1250)).shape == (2, EACH * len(KERNELS), 1, 625)


def test_branches_see_four_lengths() -> None:
    lengths = [branch[0].kernel_size[1] for branch in EcgNet(4).parallel.branches]
    assert lengths == [15, 17, 19, 21]


def test_the_recurrent_branch_reads_the_signal_itself() -> None:
    torch.manual_seed(1)
    net, x = EcgNet(4).eval(), torch.randn(2, 1, 1250)
    before = net(x)
    assert net.reader(x).shape == (2, 24)
    net.reader = NothingRead()
    assert (net(x) - before).abs().max() > 1e-4


def test_the_recurrent_branch_knows_order() -> None:
    torch.manual_seed(1)
    net, x = EcgNet(4).eval(), torch.randn(2, 1, 1248)
    assert (net.reader(x) - net.reader(x.flip(2))).abs().max() > 1e-5


def test_there_are_six_residual_blocks() -> None:
    assert sum(hasattr(layer, "shortcut") for layer in EcgNet(4).blocks) == 6
