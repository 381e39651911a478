"""Isolated weights: an old task is what it was, bit by bit, whatever is learned after it; and who
owns how many weights."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs the extra `train`")
from torch import nn

from models.training.experiments.masks import FREE, Reuse, WeightStore, largest, shared_layers


class Small(nn.Module):
    """A backbone with every kind of layer that the paper's has, and a decoder."""

    def __init__(self, outputs: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(1, 6, (1, 5), padding=(0, 2), bias=False),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, (1, 3), (1, 2), (0, 1), bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.ConvTranspose2d(8, 6, (1, 2), (1, 2), bias=False),
        )
        self.decoder = nn.Linear(6, outputs)

    def forward(self, x):
        return self.decoder(self.backbone(x).mean(dim=(2, 3)))


torch.set_num_threads(1)  # two cores, shared with the other test process


def fresh(seed: int, outputs: int = 2) -> Small:
    torch.manual_seed(seed)
    return Small(outputs)


def train(net: Small, seed: int, steps: int = 15) -> None:
    """With momentum, decay and a high rate: whatever can drift does."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=0.05, weight_decay=0.1)
    rng = torch.Generator().manual_seed(seed)
    net.train()
    for _ in range(steps):
        x = torch.randn(16, 1, 1, 32, generator=rng) * (1 + seed)
        y = torch.randint(net.decoder.out_features, (16,), generator=rng)
        optimiser.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        optimiser.step()
    net.eval()


def learn(
    store: WeightStore, task: int, reuse: Reuse = Reuse.ALL, share: float = 0.5, outputs: int = 2
) -> Small:
    net = fresh(task, outputs)
    store.open(net, task, reuse)
    train(net, task)
    store.prune(net, share)
    train(net, task + 100)
    store.close(net, task)
    return net


def answers(store: WeightStore, task: int, outputs: int = 2) -> np.ndarray:
    net = fresh(99, outputs).eval()
    store.apply(net, task)
    with torch.no_grad():
        return net(torch.randn(8, 1, 1, 32, generator=torch.Generator().manual_seed(5))).numpy()


@pytest.mark.parametrize("reuse", list(Reuse))
def test_old_weights_and_answers_are_bit_identical_after_two_more_tasks(reuse):
    store = WeightStore(fresh(0))
    learn(store, 1)
    owned = {name: owner == 1 for name, owner in store.owner.items()}
    kept = {name: store.values[name][owned[name]].clone() for name in owned}
    before = answers(store, 1)
    learn(store, 2, reuse, outputs=3)
    second = answers(store, 2, outputs=3)
    learn(store, 3, reuse)
    assert answers(store, 1).tobytes() == before.tobytes()
    assert answers(store, 2, outputs=3).tobytes() == second.tobytes()
    for name, mine in owned.items():
        assert store.values[name][mine].numpy().tobytes() == kept[name].numpy().tobytes()
        assert (store.owner[name][mine] == 1).all()


def test_a_closed_network_is_what_the_store_gives_back():
    store = WeightStore(fresh(0))
    learn(store, 1)
    net = learn(store, 2, Reuse.LEARNED)
    with torch.no_grad():
        mine = net(torch.randn(8, 1, 1, 32, generator=torch.Generator().manual_seed(5))).numpy()
    assert answers(store, 2).tobytes() == mine.tobytes()


def test_frozen_weights_get_no_gradient_and_cannot_be_stepped():
    store = WeightStore(fresh(0))
    learn(store, 1)
    net = fresh(2)
    store.open(net, 2, Reuse.ALL)
    net(torch.randn(4, 1, 1, 32)).sum().backward()
    for name, layer in shared_layers(net).items():
        frozen = store.owner[name] != FREE
        gradient = layer.parametrizations.weight.original.grad
        assert (gradient[frozen] == 0).all()
        assert (gradient[~frozen] != 0).any()
        assert torch.equal(layer.weight[frozen], store.values[name][frozen])
    assert not any("old" in name for name, _ in net.named_parameters())


def test_pruned_weights_stay_zero_while_the_others_recover():
    store = WeightStore(fresh(0))
    net = fresh(1)
    store.open(net, 1, Reuse.NONE)
    train(net, 1)
    store.prune(net, 0.75)
    gone = {name: layer.weight == 0 for name, layer in shared_layers(net).items()}
    before = {name: layer.weight.detach().clone() for name, layer in shared_layers(net).items()}
    train(net, 2)
    for name, layer in shared_layers(net).items():
        assert gone[name].float().mean() == pytest.approx(0.75, abs=0.02)
        assert (layer.weight[gone[name]] == 0).all()
        assert not torch.equal(layer.weight, before[name])


def test_the_largest_weights_are_kept():
    weight = torch.tensor([[0.1, -5.0, 2.0], [-3.0, 0.0, 9.0]])
    free = torch.tensor([[True, True, True], [True, True, False]])
    assert largest(weight, free, 0.6).tolist() == [[False, True, False], [True, False, False]]
    assert largest(weight, free, 0.0).tolist() == free.tolist()
    assert int(largest(weight, free, 0.999).sum()) == 1
    assert not largest(weight, torch.zeros(2, 3, dtype=torch.bool), 0.5).any()
    with pytest.raises(ValueError, match="cannot be pruned"):
        largest(weight, free, 1.0)


def test_who_owns_how_many():
    store = WeightStore(fresh(0))
    everything = sum(value.numel() for value in store.values.values())  # 30 + 144 + 96
    learn(store, 1, share=0.5)
    learn(store, 2, Reuse.ALL, share=0.5)
    learn(store, 3, Reuse.NONE, share=0.5)
    first, second, third = (store.count(task) for task in (1, 2, 3))
    assert everything == 270
    assert (first.own, first.reused) == (135, 0)
    assert second.own == pytest.approx(68, abs=2)
    assert second.reused == first.own
    assert third.reused == 0
    assert first.own + second.own + third.own + first.free == everything
    # BatchNorm with its statistics, decoder
    assert first.private == sum(4 * channels for channels in (6, 8)) + 6 * 2 + 2
    assert second.total == second.own + second.reused + second.private


def test_a_learned_mask_leaves_weights_out():
    store = WeightStore(fresh(0))
    learn(store, 1)
    net = fresh(2)
    store.open(net, 2, Reuse.LEARNED)
    train(net, 2, steps=60)
    store.prune(net, 0.5)
    store.close(net, 2)
    assert 0 < store.count(2).reused < store.count(1).own


def test_a_task_without_reuse_does_not_see_old_weights():
    alone, after = WeightStore(fresh(0)), WeightStore(fresh(0))
    learn(after, 1)
    learn(after, 2, Reuse.NONE)
    for name in after.owner:
        assert (after.effective(name, 2)[after.owner[name] == 1] == 0).all()
    assert all((value == 0).all() for value in alone.values.values())


def test_batchnorm_and_decoder_belong_to_each_task():
    store = WeightStore(fresh(0))
    learn(store, 1)
    learn(store, 2, outputs=5)
    assert store.private[1]["decoder.weight"].shape == (2, 6)
    assert store.private[2]["decoder.weight"].shape == (5, 6)
    assert not torch.equal(
        store.private[1]["backbone.1.running_var"], store.private[2]["backbone.1.running_var"]
    )


def test_a_task_number_is_used_once():
    store = WeightStore(fresh(0))
    learn(store, 1)
    for number in (FREE, 1):
        with pytest.raises(ValueError, match="numbers start at 1"):
            store.open(fresh(2), number, Reuse.ALL)
    with pytest.raises(KeyError):
        store.apply(fresh(2), 2)


def test_the_store_can_be_saved(tmp_path):
    store = WeightStore(fresh(0))
    learn(store, 1)
    learn(store, 2, Reuse.LEARNED)
    torch.save(store.state_dict(), tmp_path / "store.pt")
    again = WeightStore(fresh(7))
    again.load_state_dict(torch.load(tmp_path / "store.pt", weights_only=True))
    for task in (1, 2):
        assert answers(again, task).tobytes() == answers(store, task).tobytes()
        assert again.count(task) == store.count(task)
    other = fresh(0)
    other.backbone[0] = nn.Conv2d(1, 6, (1, 7), bias=False)
    with pytest.raises(ValueError, match="another backbone"):
        WeightStore(other).load_state_dict(store.state_dict())
