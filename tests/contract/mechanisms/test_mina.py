"""MINA: three attentions, and what leads each of them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.mina import BANDS, POSITIONS, SEGMENT, Mina


@pytest.fixture
def net() -> Mina:
    torch.manual_seed(1)
    return Mina(4).eval()


def test_each_level_sums_to_one(net: Mina) -> None:
    logits, alpha, beta, gamma = net.look(torch.randn(3, 1, 1250))
    assert logits.shape == (3, 4)
    assert alpha.shape == (3, len(BANDS), 1250 // SEGMENT, POSITIONS)
    for weights in (alpha, beta, gamma):
        assert torch.allclose(weights.sum(dim=-1), torch.ones(()), atol=1e-5)


def test_a_steep_wave_draws_the_attention_of_its_segment(net: Mina) -> None:
    with torch.no_grad():
        for channel in net.channels:  # attention that looks at steepness only, and likes it
            channel.beats.mix.weight[:, :-1] = 0
            channel.beats.mix.weight[:, -1] = 1
            channel.beats.score.weight[:] = 1
    flat = 0.05 * torch.randn(1, 1, 1250)
    steep = flat.clone()
    at = 10 * SEGMENT + 40
    steep[0, 0, at : at + 3] += torch.tensor([4.0, -4.0, 4.0])
    before, after = net.look(flat)[1][0, 0, 10], net.look(steep)[1][0, 0, 10]
    assert after.max() > 2 * before.max()
    assert int(after.argmax()) >= POSITIONS - 6  # the positions that see the end of the segment


def test_the_spread_of_a_segment_alone_moves_the_rhythm_attention(net: Mina) -> None:
    x = torch.randn(1, 1, 1250)
    spread = torch.ones(1, len(BANDS), 25, 1)
    other = spread.clone()
    other[:, :, 7] = 5
    first, second = net.look(x, spread), net.look(x, other)
    assert torch.equal(first[1], second[1])
    assert (first[2] - second[2]).abs().max() > 1e-3


def test_the_order_of_segments_matters(net: Mina) -> None:
    x = torch.randn(1, 1, 1250) * torch.linspace(0.2, 4, 1250)
    shuffled = x.reshape(1, 25, SEGMENT).flip(1).reshape(1, 1, 1250)
    net.bands = torch.nn.Sequential(Repeated())  # no filter reaches over the segments' edges
    assert (net(x) - net(shuffled)).abs().max() > 1e-4


class Repeated(torch.nn.Module):
    def forward(self, x):  # type: ignore[no-untyped-def]
        return x.repeat(1, len(BANDS), 1)


def test_the_filters_travel_with_the_network(net: Mina) -> None:
    t = torch.arange(1250) / 125
    slow, fast = (torch.sin(2 * torch.pi * hz * t)[None, None] for hz in (2.0, 20.0))
    power = [net.bands(x)[0, :, 100:-100].square().mean(dim=1) for x in (slow, fast)]
    assert power[0][1] > 10 * power[0][2]
    assert power[1][2] > 10 * power[1][1]
    assert "bands.kernels" in net.state_dict()
    assert all(not name.startswith("bands") for name, _ in net.named_parameters())
