"""Multi-module RCNN: one recurrent kernel, three modules, a transformer that fuses them."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.sequence.multi_module_rcnn import (
    LAGS,
    POOL,
    MultiModule,
    RecurrentConv,
    likeness,
)


def test_steps_share_their_weights() -> None:
    layer = RecurrentConv(4, 8, (1, 7))
    weights = [p for p in layer.parameters() if p.dim() == 4]
    assert [tuple(p.shape) for p in weights] == [(8, 4, 1, 7), (8, 8, 1, 7)]
    assert len(layer.norms) == 4


def test_each_step_widens_the_view_by_the_same_kernel() -> None:
    torch.manual_seed(1)
    layer = RecurrentConv(1, 1, (1, 7)).eval()
    with torch.no_grad():
        for p in (layer.read.weight, layer.again.weight):
            p.fill_(1.0)
    x = torch.zeros(1, 1, 1, 81)
    x[..., 40] = 1
    moved = layer(x)[0, 0, 0].nonzero().flatten()
    assert int(moved.max() - moved.min()) + 1 == 7 + 3 * 6


@pytest.mark.parametrize("module", [0, 1, 2])
def test_each_module_moves_the_answer(module: int) -> None:
    torch.manual_seed(1)
    net = MultiModule(4).eval()
    tokens = net.tokens(torch.randn(2, 1, 1250))
    assert tokens.shape == (2, 3, 64)
    without = tokens.clone()
    without[:, module] = 0
    assert (net.classify(tokens) - net.classify(without)).abs().max() > 1e-4


@pytest.mark.parametrize("rr_s", [0.6, 1.0])
def test_the_third_module_sees_the_interval_of_beats(rr_s: float) -> None:
    x = torch.zeros(1, 1, 1250)
    for beat in range(int(10 / rr_s)):
        x[..., int(beat * rr_s * 125) : int(beat * rr_s * 125) + 5] = 3
    lag = LAGS[int(likeness(x)[0].argmax())]
    assert abs(lag * POOL / 125 - rr_s) <= 0.04
