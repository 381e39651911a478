"""CPC: a context that knows nothing later, negatives that are never the positive."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

import math

from models.architectures.cpc import Cpc
from models.training.pretraining.cpc import AHEAD, NEGATIVES, CpcLearner, loss, negatives


@pytest.fixture
def net() -> Cpc:
    torch.manual_seed(1)
    return Cpc(4).eval()


def test_the_context_knows_nothing_of_what_comes_later(net: Cpc) -> None:
    x = torch.randn(1, 1, 1250)
    other = x.clone()
    other[..., 700:] = torch.randn(550)
    first, second = (net.context(net.encoder(y)) for y in (x, other))
    step = (700 - 10) // 8  # the last one that ends before sample 700
    assert torch.equal(first[:, : step + 1], second[:, : step + 1])
    assert (first[:, step + 2 :] - second[:, step + 2 :]).abs().max() > 1e-3


def test_the_true_step_is_never_among_the_others() -> None:
    torch.manual_seed(1)
    true = torch.arange(4, 40)
    others = negatives(true, 40)
    assert others.shape == (36, NEGATIVES)
    assert not bool((others == true[:, None]).any())
    assert others.min() == 0
    assert others.max() == 39
    assert len(set(others.flatten().tolist())) == 40


def test_the_true_step_stands_first_among_the_candidates(net: Cpc) -> None:
    learner = CpcLearner(net)
    steps = torch.eye(20)[None]  # each step unlike all others
    for ahead in AHEAD:
        scores = learner.scores(steps[:, ahead:], steps, ahead)  # predicted without a fault
        assert torch.equal(scores[..., 0], torch.ones(1, 20 - ahead))
        assert scores[..., 1:].abs().max() == 0


def told(signal: str, steps: int = 40) -> list[float]:
    """The loss over a short training on beats, or on the same samples in any order."""
    torch.manual_seed(1)
    learner = CpcLearner(Cpc(4)).train()
    optimiser = torch.optim.AdamW(learner.parameters(), lr=3e-3)
    time, values = torch.arange(500) / 125, []
    for _ in range(steps):
        hz = torch.rand(16, 1, 1) * 0.3 + 0.6
        phase = torch.rand(16, 1, 1) * 6.28
        x = torch.exp(3 * torch.cos(6.28 * hz * time + phase) - 3) * 3
        if signal == "shuffled":
            x = x[..., torch.randperm(500)]
        value = loss(learner(x))
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    return values


def test_the_loss_begins_at_chance_and_falls_unless_time_is_shuffled() -> None:
    chance = math.log(1 + NEGATIVES)
    values = told("beats")
    assert values[0] == pytest.approx(chance, abs=0.4)
    assert sum(values[-3:]) / 3 < chance - 0.4
    assert sum(told("shuffled")[-3:]) / 3 > chance - 0.15
