"""CLOCS: positives by patient, not by window; every pair of views counts."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from itertools import combinations

from torch.nn import functional

from models.architectures.clocs import Clocs
from models.training.pretraining.clocs import ClocsLearner, loss, pair_loss

PATIENTS = torch.tensor([1, 1, 2, 2])


def embeddings(directions: list[int]) -> torch.Tensor:
    """One unit vector per segment."""
    return torch.eye(8)[directions]


def test_the_loss_falls_when_a_patients_segments_agree() -> None:
    by_patient, apart = embeddings([0, 0, 1, 1]), embeddings([0, 1, 2, 3])
    across = embeddings([0, 1, 1, 0])  # each agrees with the other patient
    assert pair_loss(by_patient, by_patient, PATIENTS) < pair_loss(apart, apart, PATIENTS)
    assert pair_loss(apart, apart, PATIENTS) < pair_loss(across, across, PATIENTS)


def test_who_the_patients_are_changes_the_loss() -> None:
    torch.manual_seed(1)
    a, b = torch.randn(4, 8), torch.randn(4, 8)
    other = torch.tensor([1, 2, 1, 2])
    assert pair_loss(a, b, PATIENTS) != pytest.approx(float(pair_loss(a, b, other)), abs=1e-3)
    # without two segments of any patient it is what tells instances apart, and no more
    alone = pair_loss(a, b, torch.arange(4))
    similar = functional.normalize(a, dim=1) @ functional.normalize(b, dim=1).T / 0.1
    instances = [functional.cross_entropy(s, torch.arange(4)) for s in (similar, similar.T)]
    assert float(alone) == pytest.approx(float(sum(instances) / 2), rel=1e-5)


def test_the_loss_of_three_views_is_the_mean_of_its_pairs() -> None:
    torch.manual_seed(1)
    views = torch.randn(4, 3, 8)
    pairs = [pair_loss(views[:, i], views[:, j], PATIENTS) for i, j in combinations(range(3), 2)]
    assert float(loss(views, PATIENTS)) == pytest.approx(float(sum(pairs) / 3), rel=1e-6)
    views.requires_grad_()
    loss(views, PATIENTS).backward()
    assert views.grad.abs().sum(dim=(0, 2)).min() > 0  # none of the views is left out


def test_leads_and_segments_share_one_encoder() -> None:
    torch.manual_seed(1)
    learner = ClocsLearner(Clocs(1250, 4)).eval()
    x = torch.randn(2, 3, 625)
    answer = learner(x)
    assert answer.shape == (2, 3, 64)
    assert torch.allclose(answer[:, 1], learner(x[:, 1:2])[:, 0], atol=1e-5)


def test_training_draws_patients_apart() -> None:
    torch.manual_seed(1)
    learner = ClocsLearner(Clocs(1250, 4)).train()
    time, patients = torch.arange(625) / 125, torch.arange(8).repeat_interleave(2)
    hz = 1.0 + patients * 1.3

    def segments() -> torch.Tensor:
        phase = torch.rand(16, 2, 1) * 6.28
        return torch.sin(6.28 * hz[:, None, None] * time + phase) + 0.3 * torch.randn(16, 2, 625)

    optimiser = torch.optim.AdamW(learner.parameters(), lr=2e-3)
    values = []
    for _ in range(16):
        value = loss(learner(segments()), patients)
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        values.append(value.item())
    assert sum(values[-3:]) < 0.75 * sum(values[:3])
