"""MobileNetV2: widen, convolve, narrow without an activation."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.mobile.inverted import EXPANSION, Inverted, InvertedNet


def test_the_bottleneck_is_linear() -> None:
    torch.manual_seed(1)
    narrow = Inverted(16, 16, 1, EXPANSION).eval().narrow
    a, b = torch.randn(1, 96, 1, 20), torch.randn(1, 96, 1, 20)
    assert torch.allclose(narrow(a + b) + narrow(0 * a), narrow(a) + narrow(b), atol=1e-5)
    assert float(narrow(a).detach().min()) < 0


def test_the_middle_is_six_times_as_wide_and_depthwise() -> None:
    block = Inverted(16, 24, 2, EXPANSION)
    assert block.along_time[0][0].groups == block.along_time[0][0].in_channels == 96


def test_the_shortcut_joins_the_narrow_ends() -> None:
    net = InvertedNet(1, 4)
    blocks = [layer for layer in net.body if isinstance(layer, Inverted)]
    assert [block.residual for block in blocks] == [True, False, True, False, True, False, True]
