"""MVMS-net: views weighed for each record, coordinate attention that varies along time, splits of a
Res2 block, distillation.
"""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from models.architectures.layers.gates import CoordinateAttention
from models.architectures.mvms import ANATOMY, AnatomicalViews, LeadViews, Mvms, Res2, student
from models.training.distillation.mvms import BothAnswer, softened


@pytest.fixture
def net() -> Mvms:
    torch.manual_seed(1)
    return Mvms(AnatomicalViews(), 5).eval()


def test_every_lead_is_in_one_view() -> None:
    assert sorted(lead for view in ANATOMY for lead in view) == list(range(12))


def test_each_record_has_its_own_weights_of_the_views(net: Mvms) -> None:
    _, weights = net.look(torch.randn(3, 12, 1000) * torch.tensor([0.2, 1.0, 5.0])[:, None, None])
    assert weights.shape == (3, len(ANATOMY), 1)
    assert bool(((weights > 0) & (weights < 1)).all())
    assert (weights[0] - weights[2]).abs().max() > 1e-4


def test_a_view_that_weighs_nothing_has_no_say(net: Mvms) -> None:
    x = torch.randn(1, 12, 1000)
    other = x.clone()
    other[:, 3] += torch.randn(1000)  # aVR: a view by itself
    features, weights = net.look(x)
    changed, same = net.look(other)
    assert (net.fuse(features, weights) - net.fuse(changed, same)).abs().max() > 1e-5
    weights, same = weights.clone(), weights.clone()
    weights[:, 0] = same[:, 0] = 0
    assert torch.allclose(net.fuse(features, weights), net.fuse(changed, same), atol=1e-6)


def test_coordinate_attention_varies_along_time() -> None:
    torch.manual_seed(1)
    layer = CoordinateAttention(16).eval()
    channel, time = layer.weights(torch.randn(2, 16, 1, 50))
    assert channel.shape == (2, 16, 1, 1)
    assert time.shape == (2, 16, 1, 50)
    assert time.std(dim=3).min() > 1e-4


def test_a_split_of_a_block_is_convolved_by_itself() -> None:
    torch.manual_seed(1)
    block = Res2(16, 32).eval()
    assert len(block.splits) == 3
    x = torch.randn(1, 8, 1, 40)
    first = block.splits[0](x)
    assert first.shape == (1, 8, 1, 20)
    assert sum(p.numel() for p in block.splits.parameters() if p.dim() == 4) == 3 * 8 * 8 * 15


def test_views_of_one_lead_are_bands_of_it() -> None:
    time = torch.arange(1250) / 125
    slow, fast = (torch.sin(2 * torch.pi * hz * time)[None, None] for hz in (2.0, 25.0))
    power = [
        [view[0, 0, 200:-200].square().mean() for view in LeadViews()(x)] for x in (slow, fast)
    ]
    assert power[0][2] > 20 * power[0][3]
    assert power[1][3] > 20 * power[1][2]


def test_the_student_has_one_view_and_its_teacher_does_not_learn() -> None:
    torch.manual_seed(1)
    pair = BothAnswer(student(1, 4), Mvms(LeadViews(), 4)).train()
    before = {k: v.clone() for k, v in pair.teacher.state_dict().items()}
    answer = pair(torch.randn(6, 1, 500))
    softened(answer.student, answer.teacher).backward()
    assert len(pair.student.each) == 1
    assert all(p.grad is None for p in pair.teacher.parameters())
    assert all(torch.equal(before[k], v) for k, v in pair.teacher.state_dict().items())
    assert pair.student.head.weight.grad.abs().sum() > 0


def test_what_the_teacher_says_is_softened() -> None:
    said, told = torch.tensor([[0.0, 0.0]]), torch.tensor([[4.0, 0.0]])
    teacher = torch.tensor([2.0, 0.0]).softmax(dim=0)
    expected = 4 * float((teacher * (teacher / 0.5).log()).sum())
    assert softened(said, told).item() == pytest.approx(expected, rel=1e-5)
    assert softened(told, told).item() == pytest.approx(0, abs=1e-6)
    one_by_one = softened(said, told, exclusive=False)
    assert one_by_one > softened(said, said, exclusive=False)
