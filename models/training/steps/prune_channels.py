"""Structured pruning of any architecture: whole channels are removed, which leaves a smaller file
(network slimming, Liu et al. 2017, DOI 10.1109/ICCV.2017.298).

    python -m models.training.steps.prune_channels se_resnet rhythm --fold 0 --keep 0.5

A trained network is trained on for a few epochs under a penalty on its BatchNorm scales; then of
every stream of channels (models/training/steps/channel_streams.py) those with the smallest scales
go, physically: weights of the layers that write them, of the norms and depthwise convolutions on
the way, of the layers that read them. A few more epochs restore the accuracy.

Difference here: the same share goes from every stream, in steps of four channels, instead of one
threshold for the whole network.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from ingest.errors import EcgwatchError
from models.training.cost import parameters
from models.training.harness import Batches, train
from models.training.recipe import label
from models.training.steps.channel_streams import ChannelStream, Norm, streams
from models.training.steps.setting import finish, parser, setting

PENALTY = 1e-4
MEND = 5  # epochs before and after
MULTIPLE = 4  # of channels that are kept


def norms(net: nn.Module, stream: ChannelStream) -> list[Norm]:
    """The BatchNorms on a stream."""
    return [module for name in stream.norms if isinstance(module := net.get_submodule(name), Norm)]


def importance(net: nn.Module, stream: ChannelStream) -> Tensor:
    """Return the importance of each channel: the sum of its norms' scales, or of its writers'
    weights if it has no norm: (C,).
    """
    found = [norm.weight.detach().abs() for norm in norms(net, stream)]
    if not found:
        found = [
            net.get_submodule(name).weight.detach().flatten(1).abs().sum(dim=1)
            for name in stream.writers
        ]
    return torch.stack(found).sum(dim=0)


def prune(net: nn.Module, keep: float) -> nn.Module:
    """A copy that keeps a share of the channels of every stream, at least four.

    Raises BadInputError if the network cannot be traced.
    """
    small = copy.deepcopy(net)
    for stream in streams(small):
        count = max(MULTIPLE, round(stream.channels * keep / MULTIPLE) * MULTIPLE)
        if count < stream.channels:
            cut(small, stream, importance(small, stream).topk(count).indices.sort().values)
    return small


def cut(net: nn.Module, stream: ChannelStream, kept: Tensor) -> None:
    """Leave only these channels (n,) of a stream."""
    for name in dict.fromkeys(stream.writers):
        _outputs(net.get_submodule(name), kept)
    for name in dict.fromkeys(stream.norms):
        module = net.get_submodule(name)
        _outputs(module, kept)
        if isinstance(module, Norm):
            module.num_features = len(kept)
            for part in ("running_mean", "running_var"):
                setattr(module, part, getattr(module, part)[kept].clone())
        else:
            module.groups = module.in_channels = len(kept)
    for name in dict.fromkeys(stream.readers):
        module = net.get_submodule(name)
        module.weight = nn.Parameter(module.weight.detach()[:, kept].clone())
        setattr(
            module, "in_features" if isinstance(module, nn.Linear) else "in_channels", len(kept)
        )


def _outputs(module: nn.Module, kept: Tensor) -> None:
    for part in ("weight", "bias"):
        if getattr(module, part, None) is not None:
            setattr(module, part, nn.Parameter(getattr(module, part).detach()[kept].clone()))
    for size in ("out_channels", "out_features"):
        if hasattr(module, size):
            setattr(module, size, len(kept))


class Slimming:
    """A task's batches with a penalty on the scales of all norms that pruning ranks."""

    def __init__(self, data: Batches, net: nn.Module) -> None:
        self._data = data
        self._scales = [norm.weight for stream in streams(net) for norm in norms(net, stream)]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """The task's."""
        return self._data.batch(rng, size)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """The task's, and the sum of the scales."""
        penalty = sum((scale.abs().sum() for scale in self._scales), torch.zeros(()))
        return self._data.loss(net, answer, target) + PENALTY * penalty


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    asked = parser(__doc__)
    asked.add_argument("--keep", type=float, default=0.5, help="share of the channels that stay")
    options = asked.parse_args(arguments)
    given = setting("prune_channels", options)
    net, name = given.trained(given.architecture.name), label(given.fold)
    batches = given.task.batches(given.fold)
    plan = replace(given.plan, epochs=options.epochs or MEND, peak_rate=given.plan.peak_rate / 4)
    train(net, Slimming(batches, net), plan, given.folder / f"{name}-slim.pt")
    small = prune(net, options.keep)
    train(small, batches, plan, given.folder / f"{name}.pt")
    print(f"{parameters(net)} parameters before, {parameters(small)} after", flush=True)
    finish(given, small, keep=options.keep, parameters_before=parameters(net))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
