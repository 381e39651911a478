"""SE-ECGNet: rows stay apart in three branches, and meet only afterwards."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.layers.gates import SqueezeExcite
from models.architectures.se_ecgnet import KERNELS, SeEcgNet


@pytest.fixture
def net() -> SeEcgNet:
    torch.manual_seed(1)
    return SeEcgNet(12, 5).eval()


def test_a_row_depends_on_that_row_only_until_rows_are_joined(net: SeEcgNet) -> None:
    x = torch.randn(1, 12, 1000)
    other = x.clone()
    other[:, 7] += 1  # V2, the fourth of the eight rows
    for before, after in zip(net.by_row(x), net.by_row(other), strict=True):
        changed = (before - after).abs().amax(dim=(0, 1, 3))
        assert changed[3] > 1e-3
        assert changed[[0, 1, 2, 4, 5, 6, 7]].max() == 0
    assert (net(x) - net(other)).abs().max() > 1e-5


def test_the_four_leads_that_follow_from_others_are_not_read(net: SeEcgNet) -> None:
    x = torch.randn(1, 12, 1000)
    other = x.clone()
    other[:, 2:6] += 1
    assert torch.equal(net(x), net(other))


def test_branches_see_stretches_of_different_length(net: SeEcgNet) -> None:
    reach = []
    for branch in net.branches:
        for module in branch.modules():
            if isinstance(module, SqueezeExcite):
                module.forward = lambda x: x  # type: ignore[method-assign] # a gate sees all of the window: it is not what is asked about
        x = torch.randn(1, 12, 1, 200, requires_grad=True)
        branch(x)[0, :, 0, 50].sum().backward()
        seen = x.grad[0, :, 0].abs().sum(dim=0).nonzero().flatten()
        reach.append(int(seen[-1] - seen[0]) + 1)
    assert len(KERNELS) == 3
    assert reach[0] < reach[1] < reach[2]


def test_gates_are_between_0_and_1_and_the_same_at_all_times(net: SeEcgNet) -> None:
    gate = next(m for m in net.modules() if isinstance(m, SqueezeExcite))
    x = torch.randn(2, 12, 8, 40)
    weights = gate.weights(x)
    assert weights.shape == (2, 12, 8, 1)
    assert bool(((weights > 0) & (weights < 1)).all())
    assert torch.allclose(gate(x), x * weights)


def test_one_lead_is_four_different_rows() -> None:
    rows = SeEcgNet(1, 4).rows(torch.randn(1, 1, 500))
    assert rows.shape == (1, 4, 500)
    assert rows[0, 1].min() >= 0
    assert (
        min(float((rows[0, i] - rows[0, j]).abs().max()) for i in range(4) for j in range(i)) > 0.1
    )
