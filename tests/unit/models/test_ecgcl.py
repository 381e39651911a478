"""The deployed architecture: shapes, isolation of tasks, pruning, training that resumes. Needs
torch (extra `train`)."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed (extra `train`)")

from models.architectures.ecgcl import DENSE, WIDTHS, Backbone, Column, Segmenter, SequenceDecoder
from models.signal.windows import BEAT_SPEC
from models.training.cost import macs, parameters
from models.training.harness import TrainingPlan, train
from models.training.release.prune import layers, prune


def windows(count: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(
        np.random.default_rng(seed).standard_normal((count, 1, BEAT_SPEC.length)).astype(np.float32)
    )


def test_a_mask_per_sample_and_four_steps_per_second_and_column() -> None:
    net = Backbone(Segmenter(), [Column(), Column(widths=(8, 16, 24))]).eval()
    mask, steps = net(windows(3))
    assert mask.shape == (3, 1, BEAT_SPEC.length)
    assert steps.shape == (3, 4, 48 + 24)
    assert parameters(net) < 100_000
    assert macs(net, windows(1)) < 3.2e6


def test_an_added_column_changes_no_bit_of_what_was_there() -> None:
    segmenter, first = Segmenter().eval(), Column().eval()
    before, after = (
        Backbone(segmenter, [first]).eval(),
        Backbone(segmenter, [first, Column().eval()]).eval(),
    )
    with torch.inference_mode():
        (mask, steps), (mask_too, steps_too) = before(windows(4)), after(windows(4))
    assert torch.equal(mask, mask_too)
    assert torch.equal(steps, steps_too[:, :, :48])


class Nonsense:
    """Batches that teach a column anything at all."""

    def batch(
        self, rng: np.random.Generator, size: int
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        return (windows(size, int(rng.integers(1 << 30))),), torch.zeros(size)

    def loss(
        self, net: torch.nn.Module, answer: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        return answer[1].square().mean()


def test_training_a_column_leaves_the_trunk_and_its_statistics_alone(tmp_path: Path) -> None:
    net = Backbone(Segmenter(), [Column()])
    net.segmenter.requires_grad_(False)
    net.segmenter.train = lambda mode=True: net.segmenter  # as the tasks do: frozen statistics too
    net.segmenter.eval()
    for module in net.segmenter.modules():
        module.training = False
    before, column = (
        copy.deepcopy(net.segmenter.state_dict()),
        copy.deepcopy(net.columns.state_dict()),
    )
    train(
        net,
        Nonsense(),
        TrainingPlan(epochs=1, steps=3, batch=4, peak_rate=1e-2, weight_decay=0.1),
        tmp_path / "column.pt",
    )
    assert all(
        torch.equal(value, before[name]) for name, value in net.segmenter.state_dict().items()
    )
    assert any(
        not torch.equal(value, column[name]) for name, value in net.columns.state_dict().items()
    )


def test_an_interrupted_training_goes_the_same_way(tmp_path: Path) -> None:
    def trained(folder: Path, epochs_first: int) -> dict[str, torch.Tensor]:
        torch.manual_seed(5)
        plan = TrainingPlan(epochs=3, steps=2, batch=4, peak_rate=1e-3)
        if epochs_first:
            stopped = Stopping(epochs_first * plan.steps)
            with pytest.raises(KeyboardInterrupt):
                train(Backbone(Segmenter(), [Column()]), stopped, plan, folder / "net.pt")
        torch.manual_seed(5)
        net = Backbone(Segmenter(), [Column()])
        return train(net, Nonsense(), plan, folder / "net.pt").state_dict()

    whole, resumed = trained(tmp_path / "a", 0), trained(tmp_path / "b", 2)
    assert all(torch.equal(value, whole[name]) for name, value in resumed.items())


class Stopping(Nonsense):
    """Interrupted after some batches."""

    def __init__(self, batches: int) -> None:
        self._left = batches

    def batch(
        self, rng: np.random.Generator, size: int
    ) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        if not self._left:
            raise KeyboardInterrupt
        self._left -= 1
        return super().batch(rng, size)


def test_pruning_keeps_the_channels_that_matter() -> None:
    """A dense network in which half of the channels of every stream are dead gives what its pruned
    form gives."""
    torch.manual_seed(1)
    dense = Segmenter(DENSE).eval()
    alive: dict[str, torch.Tensor] = {}
    with torch.no_grad():
        for layer in layers(dense):
            count = layer.module.norm.weight.numel()
            kept = alive.setdefault(layer.writes, torch.randperm(count)[: count // 2])
            dead = torch.ones(count, dtype=torch.bool)
            dead[kept] = False
            layer.module.norm.weight[dead] = 0
            layer.module.norm.bias[dead] = 0
    small = prune(dense, WIDTHS).eval()
    with torch.inference_mode():
        assert torch.allclose(dense(windows(2)), small(windows(2)), atol=1e-4)
    assert macs(dense, windows(1)) > 3 * macs(small, windows(1))


def test_steps_that_do_not_exist_do_not_count() -> None:
    decoder = SequenceDecoder(6, 4, 3).eval()
    steps, known = torch.randn(2, 8, 6), torch.ones(2, 8, 1)
    known[:, :4] = 0
    other = steps.clone()
    other[:, :4] = 99.0
    with torch.inference_mode():
        assert torch.equal(decoder(steps, known), decoder(other, known))
