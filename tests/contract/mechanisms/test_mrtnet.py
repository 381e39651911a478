"""MRTNet: windows that overlap at several scales, tokens of each, mean and maximum together."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.layers import conv
from models.architectures.mrtnet import SAMPLES, MrtNet, count, windows


@pytest.fixture
def net() -> MrtNet:
    torch.manual_seed(1)
    return MrtNet(1250, 4).eval()


def test_windows_share_half_of_themselves_with_the_next() -> None:
    x = torch.arange(1250.0)[None, None]
    cut = windows(x, 1)[0]
    assert torch.equal(cut[0, SAMPLES // 2 : 2 * (SAMPLES // 2)], cut[1, : SAMPLES // 2])
    longer = windows(x, 2)[0]
    assert longer[0, 1] == 2.5  # the mean of samples 2 and 3
    assert longer[1, 0] - longer[0, 0] == 2 * (SAMPLES // 2)


def test_each_scale_has_its_number_of_tokens(net: MrtNet) -> None:
    tokens = [t.shape[1:] for t in net.tokens(torch.randn(2, 1, 1250))]
    assert tokens == [(19, 32), (9, 32), (1, 32)]
    assert [count(1250, s) for s in net.scales] == [19, 9, 1]


def test_the_last_scale_sees_all_of_the_window_at_once(net: MrtNet) -> None:
    x = torch.randn(1, 1, 1250)
    other = x.clone()
    other[..., :30] += 1
    first, second = net.tokens(x), net.tokens(other)
    assert (first[2] - second[2]).abs().max() > 1e-4
    assert torch.equal(first[0][:, 1:], second[0][:, 1:])  # the second window begins at sample 62


def test_mean_and_maximum_both_count(net: MrtNet, monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(1, 1, 1250)
    before = net(x)
    monkeypatch.setattr(
        "models.architectures.mrtnet.mean_and_peak",
        lambda y: torch.cat([y.mean(dim=(2, 3))] * 2, dim=1),
    )
    assert (net(x) - before).abs().max() > 1e-3
    assert torch.equal(
        conv.mean_and_peak(torch.tensor([[[[1.0, 3.0]]]])), torch.tensor([[2.0, 3.0]])
    )
