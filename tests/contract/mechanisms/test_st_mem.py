"""ST-MEM: a loss of hidden patches only, a decoder of one lead at a time, any leads."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.st_mem import StMem, patches
from models.training.pretraining.st_mem import StMemLearner, loss


@pytest.fixture
def system() -> StMem:
    torch.manual_seed(1)
    return StMem(500, 12, 4).eval()


def first_five(b: int, r: int) -> torch.Tensor:
    """The first five of twenty patches are seen."""
    return torch.arange(5).expand(b, r, 5)


def test_visible_patches_are_no_part_of_the_loss(system: StMem) -> None:
    learner = StMemLearner(system)
    cut = patches(torch.randn(2, 3, 500))
    filled = learner.fill(cut, first_five(2, 3))
    wanted = cut.clone().requires_grad_()
    loss(filled, wanted).backward()
    assert wanted.grad[:, :, :5].abs().max() == 0
    assert wanted.grad[:, :, 5:].abs().max() > 0


def test_three_quarters_of_each_lead_are_hidden(system: StMem) -> None:
    torch.manual_seed(2)
    filled = StMemLearner(system)(torch.randn(4, 3, 500))
    assert filled.patches.shape == (4, 3, 20, 25)
    assert torch.equal(filled.hidden.sum(dim=2), torch.full((4, 3), 15.0))
    assert len({tuple(row) for row in filled.hidden.flatten(0, 1).tolist()}) > 6  # each its own


def test_a_lead_knows_of_others_through_the_encoder_only(system: StMem) -> None:
    learner = StMemLearner(system).eval()
    cut = patches(torch.randn(1, 2, 500))
    other = cut.clone()
    other[:, 1] = torch.randn(20, 25)

    def of_first_lead(x: torch.Tensor) -> torch.Tensor:
        return learner.fill(x, first_five(1, 2)).patches[:, 0]

    assert (of_first_lead(cut) - of_first_lead(other)).abs().max() > 1e-4
    learner.layers = torch.nn.Sequential()  # an encoder that does nothing
    assert torch.equal(of_first_lead(cut), of_first_lead(other))


def test_any_leads_run_with_the_same_weights(system: StMem) -> None:
    x = torch.randn(2, 12, 500)
    for leads in ([0], [1, 7], list(range(12))):
        features = system.features(x[:, leads], torch.tensor(leads))
        assert features.shape == (2, 64)
    one = system.features(x[:, :1], torch.tensor([0]))
    assert (one - system.features(x[:, :1], torch.tensor([6]))).abs().max() > 1e-4


def test_positions_are_shared_by_the_leads(system: StMem) -> None:
    same = torch.randn(1, 1, 500).expand(1, 2, 500)
    tokens = system.embedding(patches(same), torch.tensor([3, 3]))
    assert torch.equal(tokens[:, 0], tokens[:, 1])
    assert system.embedding.time.shape == (1, 20, 64)


def test_separators_stand_at_both_ends_of_each_lead(system: StMem) -> None:
    leads = torch.tensor([0, 5])
    tokens = system.embedding(patches(torch.randn(1, 2, 500)), leads)
    row = system.embedding.bounded(tokens, leads)
    assert row.shape == (1, 2 * 22, 64)
    ends = system.embedding.separator
    expected = [ends[k] + system.embedding.lead[lead] for lead in (0, 5) for k in (0, 1)]
    for at, token in zip((0, 21, 22, 43), expected, strict=True):
        assert torch.equal(row[0, at], token)
    assert torch.equal(row[0, 1:21], tokens[0, 0])
