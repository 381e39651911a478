"""MAMIL: key instances, masks, and bags that have no order."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")

from torch.nn import functional

from models.architectures.mamil import Bag, KeyPool, Mamil, angular_field, cut, find


def record(places: list[int], wide: int | None = None, length: int = 1250) -> torch.Tensor:
    """Narrow beats at these samples; the one at `wide` is broad."""
    x, time = torch.zeros(1, 1, length), torch.arange(length)
    for at in places:
        x[0, 0] += (1.6 if at == wide else 1.0) * torch.exp(
            -0.5 * ((time - at) / (7 if at == wide else 3)) ** 2
        )
    return x


PLACES = [100, 220, 340, 460, 580, 700, 820, 940, 1060, 1180]


def test_beats_are_found_where_they_are() -> None:
    at, height = find(record(PLACES))
    found = sorted(at[0][height[0] > 0].tolist())
    assert len(found) == len(PLACES)
    assert max(abs(a - b) for a, b in zip(found, PLACES, strict=True)) < 10
    beats, there = cut(record(PLACES), at, height)
    assert beats.shape == (1, 1250 // 31, 80)
    assert there.sum() == len(PLACES)
    assert beats[0, int(there.sum()) :].abs().max() == 0


def test_what_is_not_there_weighs_nothing_and_says_nothing() -> None:
    torch.manual_seed(1)
    pool = KeyPool(8, 3)
    there = torch.tensor([[1.0, 1.0, 0.0, 1.0, 0.0]])
    instances = torch.randn(1, 5, 8)
    other = instances.clone()
    other[0, [2, 4]] = 100
    first, second = pool(Bag(instances, there)), pool(Bag(other, there))
    assert first.weights[0, [2, 4]].abs().max() == 0
    assert torch.equal(first.logits, second.logits)


def test_a_bag_has_no_order() -> None:
    torch.manual_seed(1)
    pool = KeyPool(8, 3)
    instances, order = torch.randn(1, 6, 8), torch.tensor([3, 5, 0, 1, 4, 2])
    first, second = (
        pool(Bag(instances, torch.ones(1, 6))),
        pool(Bag(instances[:, order], torch.ones(1, 6))),
    )
    assert torch.allclose(first.logits, second.logits, atol=1e-6)
    assert order[second.key[0]] == first.key[0]


def test_the_key_counts_most_by_itself_and_its_likes_count_more() -> None:
    pool = KeyPool(4, 1)
    with torch.no_grad():
        pool.ask.weight.copy_(torch.eye(4))
        pool.score.weight.copy_(torch.tensor([[1.0, 0, 0, 0]]))
    instances = torch.tensor([[[0.0, 1, 0, 0], [5.0, 0, 0, 0], [4.0, 0, 0, 0], [0.0, 0, 1, 0]]])
    answer = pool(Bag(instances, torch.ones(1, 4)))
    assert answer.key.tolist() == [1]
    assert answer.weights[0, 2] > 10 * answer.weights[0, 0]


def test_the_image_is_the_cosine_of_sums_of_angles() -> None:
    x = torch.linspace(-1, 1, 64).repeat_interleave(4)[None, None]
    field = angular_field(x)
    angle = torch.arccos(torch.linspace(-1, 1, 64))
    assert torch.allclose(field[0, 0], torch.cos(angle[:, None] + angle[None]), atol=2e-3)


def test_after_training_the_one_ectopic_beat_is_the_key() -> None:
    torch.manual_seed(2)
    net = Mamil(2)
    net.dropout.p = 0.0
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3)
    generator = torch.Generator().manual_seed(1)
    for _ in range(40):
        wide = [PLACES[int(i)] for i in torch.randint(len(PLACES), (16,), generator=generator)]
        x = torch.cat([record(PLACES, w if i % 2 else None) for i, w in enumerate(wide)])
        loss = functional.cross_entropy(
            net(x + 0.02 * torch.randn(x.shape, generator=generator)), torch.arange(16) % 2
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    net.eval()
    right = 0
    for wide in PLACES:
        x = record(PLACES, wide)
        at, _ = find(x)
        key = int(net.pool_beats(net.signal_bag(x)).key)
        right += abs(int(at[0, key]) - wide) < 15
    assert right >= 9
