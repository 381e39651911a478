"""MVKT: features drawn to the teacher's of the same record, and away from other labels."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from torch.nn import functional

from models.architectures.mvkt import Mvkt
from models.architectures.mvms import AnatomicalViews, Mvms
from models.training.distillation.mvkt import (
    AnswersAndFeatures,
    BothShow,
    different,
    label_distillation,
    transfer,
)

LABELS = torch.tensor([[1.0, 0], [1, 0], [0, 1], [1, 1]])


def test_no_negative_has_the_labels_of_the_anchor() -> None:
    apart = different(LABELS)
    assert apart.tolist() == [
        [False, False, True, True],
        [False, False, True, True],
        [True, True, False, True],
        [True, True, True, False],
    ]
    alike = torch.ones(4, 2)  # all of one set of labels: nothing is pushed away
    torch.manual_seed(1)
    student, teacher = (functional.normalize(torch.randn(4, 8), dim=1) for _ in range(2))
    odds = torch.exp(student @ teacher.T / 0.07)
    true = odds.diagonal() / odds.mean()
    assert transfer(student, teacher, alike).item() == pytest.approx(
        float(-2 * (true / (true + 1)).log().mean()), rel=1e-4
    )


def test_less_transfer_loss_is_more_likeness_of_the_same_record_only() -> None:
    torch.manual_seed(1)
    teacher = functional.normalize(torch.randn(4, 16), dim=1)
    student = torch.randn(4, 16, requires_grad=True)
    likeness = functional.normalize(student.detach(), dim=1) @ teacher.T
    optimiser = torch.optim.Adam([student], lr=0.05)
    for _ in range(60):
        optimiser.zero_grad()
        transfer(functional.normalize(student, dim=1), teacher, LABELS).backward()
        optimiser.step()
    after = functional.normalize(student.detach(), dim=1) @ teacher.T
    assert (after.diagonal() > likeness.diagonal()).all()
    assert after.diagonal().min() > 0.5
    assert after[different(LABELS)].mean() < after.diagonal().mean() - 0.4


def test_the_teacher_does_not_change_and_the_student_sees_lead_i_only() -> None:
    torch.manual_seed(1)
    pair = BothShow(Mvkt(5), Mvms(AnatomicalViews(), 5)).train()
    before = {k: v.clone() for k, v in pair.teacher.state_dict().items()}
    x, labels = torch.randn(6, 12, 500), (torch.rand(6, 5) > 0.5).float()
    optimiser = torch.optim.AdamW([p for p in pair.parameters() if p.requires_grad], lr=1e-2)
    answer: AnswersAndFeatures = pair(x)
    moved = transfer(answer.student_features, answer.teacher_features, labels)
    (moved + label_distillation(answer.student, answer.teacher)).backward()
    optimiser.step()
    after = pair.teacher.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)
    assert all(p.grad is None for p in pair.teacher.parameters())
    assert pair.student.stem[0][0].weight.grad.abs().sum() > 0
    pair.eval()
    other = x.clone()
    other[:, 1:] += 1
    assert torch.equal(pair(x).student, pair(other).student)
    assert not torch.equal(pair(x).teacher, pair(other).teacher)


def test_equal_answers_have_nothing_to_distil() -> None:
    logits = torch.randn(4, 5)
    assert label_distillation(logits, logits).item() == pytest.approx(0, abs=1e-6)
    assert label_distillation(logits + 1, logits) > 0.05
