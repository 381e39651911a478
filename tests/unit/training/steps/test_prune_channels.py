"""Structured pruning: channels are gone, and those that were silent are not missed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'ecgwatch[train]'")
pytest.importorskip("onnx", reason="onnx is not installed: pip install 'ecgwatch[train]'")

from ingest.errors import BadInputError
from models import architectures
from models.serving.runtime import Network
from models.training.cost import macs, parameters
from models.training.problems import first
from models.training.release.windowed_export import export
from models.training.steps.channel_streams import streams
from models.training.steps.prune_channels import Slimming, cut, norms, prune
from tests.made_tasks import Tones

SOME = [
    "se_resnet",
    "mobilenet_v2",
    "lightx3ecg",
    "pdnet",
    "sandwichnet",
    "inceptionformer",
    "ecgnet",
    "mpgt",
]


def made(name: str) -> Any:
    architecture = architectures.load(name)
    torch.manual_seed(1)
    problem = first(architecture)
    return architecture.build(problem).eval(), problem


@pytest.mark.parametrize("name", SOME)
def test_half_of_the_channels_gone_is_a_smaller_network_and_file(name: str, tmp_path: Path) -> None:
    net, problem = made(name)
    small = prune(net, 0.5)
    assert parameters(small) < 0.95 * parameters(net)
    x = torch.zeros(1, *problem.shape)
    assert macs(small, x) < macs(net, x)
    sizes = []
    for number, one in enumerate((net, small)):
        export(one, problem, tmp_path / str(number), {})
        sizes.append((tmp_path / str(number) / "model.onnx").stat().st_size)
    assert sizes[1] < 0.97 * sizes[0]
    assert Network(tmp_path / "1").run(np.zeros((2, problem.spec.length), np.float32)).shape == (
        2,
        4,
    )


@pytest.mark.parametrize("name", ["se_resnet", "mobilenet_v2", "lightx3ecg"])
def test_channels_that_say_nothing_are_not_missed(name: str) -> None:
    net, problem = made(name)
    silent = {}
    with torch.no_grad():
        for number, stream in enumerate(streams(net)):
            some = torch.arange(stream.channels) % 4 != number % 4
            for norm in norms(net, stream):
                norm.running_mean.normal_()
                norm.weight.uniform_(0.5, 1.5)
                norm.weight[~some] = norm.bias[~some] = 0
            silent[tuple(stream.writers)] = some
    x = torch.randn(2, *problem.shape)
    before, small = net(x), net
    for stream in streams(net):
        if norms(net, stream):
            cut(small, stream, silent[tuple(stream.writers)].nonzero().flatten())
    assert torch.allclose(small(x), before, atol=1e-4)


def test_streams_that_meet_in_a_sum_are_one() -> None:
    net, _ = made("se_resnet")
    widest = max(streams(net), key=lambda s: (s.channels, len(s.writers)))
    assert widest.channels == 48
    assert len(widest.writers) == 3 + 2  # two blocks, a shortcut, and what the gates multiply by


def test_the_penalty_shrinks_scales() -> None:
    net, _ = made("pdnet")
    batches = Slimming(Tones().batches(0), net)
    (x,), y = batches.batch(np.random.default_rng(1), 4)
    answer = net(x)
    far = batches.loss(net, answer, y.clamp(max=3)) - Tones().batches(0).loss(net, answer, y)
    assert float(far.detach()) > 0


def test_a_network_that_cannot_be_followed_is_refused() -> None:
    class Counting(torch.nn.Module):  # type: ignore[name-defined,misc]
        def forward(self, x):  # type: ignore[no-untyped-def]
            return x if x.sum() > 0 else -x

    with pytest.raises(BadInputError, match="depends on its input"):
        prune(Counting(), 0.5)
