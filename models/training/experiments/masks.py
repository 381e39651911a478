"""Continual learning by parameter isolation, weight by weight, as ECG-CL does it (Gao et al. 2023,
arXiv 2304.04646).

One backbone holds the weights of all tasks; each weight belongs to one task or to none. A task
trains the free weights, keeps the largest of them, frees the rest and trains again (PackNet:
Mallya and Lazebnik 2018, DOI 10.1109/CVPR.2018.00810). A mask per task says which weights of
earlier tasks it reads; it is given (all or none) or learned with the task (Piggyback: Mallya et al.
2018, DOI 10.1007/978-3-030-01225-0_5). Everything but the convolutions of the backbone (BatchNorm
and its statistics, the decoder) is separate for each task.

Differences here: free weights start a task from fresh random values, not from zero, or a task that
reads no old weights could not start; the scores of a learned mask start at 0.03 and are cut at 0.
Old weights are buffers while a new task is trained: no gradient, weight decay or momentum can reach
them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

FREE = 0  # owner of a weight that no task has kept; tasks are numbered from 1
# of a learned mask; in a training of 240 batches scores move by about as much (from 0.1 only 29 of
# 50,936 went out)
FIRST_SCORE = 0.03
PREFIX = "backbone."


class Reuse(Enum):
    """The weights of earlier tasks that a task reads."""

    ALL = "all"
    NONE = "none"
    LEARNED = "learned"


@dataclass(frozen=True)
class Count:
    """Weights that a task's execution needs: its own, those it reads of earlier tasks, and its
    BatchNorm and decoder."""

    own: int
    reused: int
    private: int
    free: int  # weights of the backbone that no task owns yet

    @property
    def total(self) -> int:
        """Weights different from zero in the task's execution."""
        return self.own + self.reused + self.private


class _Above(torch.autograd.Function):
    """1 where a score is above 0, else 0; the gradient passes straight through."""

    @staticmethod
    def forward(ctx: Any, score: Tensor) -> Tensor:
        return (score > 0).to(score.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class Effective(nn.Module):
    """The weights that a layer uses while a task is trained: the task's own, and the older ones
    that it reads.

    Used as a parametrization of the layer's weight; `old` is zero for weights that the task does
    not read.
    """

    old: Tensor
    own: Tensor

    def __init__(self, old: Tensor, own: Tensor, learned: bool) -> None:
        super().__init__()
        self.register_buffer("old", old)
        self.register_buffer("own", own)
        self.score = nn.Parameter(torch.full_like(old, FIRST_SCORE)) if learned else None

    def forward(self, weight: Tensor) -> Tensor:
        old = self.old if self.score is None else self.old * _Above.apply(self.score)
        return torch.where(self.own, weight, old)

    def fix(self) -> None:
        """Freeze the learned mask."""
        if self.score is not None:
            self.old = self.old * (self.score.detach() > 0)
            self.score = None


class WeightStore:
    """The weights of all tasks, with their owners. A net has a `backbone` and a `decoder`; all nets
    have the same backbone.

    store.open(net, 1, Reuse.ALL)    # net: fresh; its backbone now computes with effective weights
    ...train...
    store.prune(net, 0.5)
    ...train...
    store.close(net, 1)
    store.apply(net, 1)              # any net with the same shapes, at any later time
    """

    def __init__(self, net: nn.Module) -> None:
        self.values = {
            name: torch.zeros_like(layer.weight.detach())
            for name, layer in shared_layers(net).items()
        }
        self.owner = {
            name: torch.zeros(value.shape, dtype=torch.uint8) for name, value in self.values.items()
        }
        # by task: True for older weights that the task reads
        self.reads: dict[int, dict[str, Tensor]] = {}
        # by task: all of its net's state that is not shared
        self.private: dict[int, dict[str, Tensor]] = {}

    def open(self, net: nn.Module, task: int, reuse: Reuse) -> None:
        """Prepare a fresh net for training the task: free weights from the net, older ones from
        here."""
        if task == FREE or task in self.reads:
            raise ValueError(f"task {task} cannot be learned: numbers start at 1 and are used once")
        for name, layer in shared_layers(net).items():
            old = (
                torch.zeros_like(self.values[name])
                if reuse is Reuse.NONE
                else self.values[name].clone()
            )
            effective = Effective(old, self.owner[name] == FREE, reuse is Reuse.LEARNED)
            parametrize.register_parametrization(layer, "weight", effective)

    def prune(self, net: nn.Module, share: float) -> None:
        """Free this share of each layer's trained weights, the smallest ones, and freeze the mask
        of reused ones."""
        for layer in shared_layers(net).values():
            effective = _effective(layer)
            effective.fix()
            effective.own = largest(
                layer.parametrizations.weight.original.detach(), effective.own, share
            )

    def close(self, net: nn.Module, task: int) -> None:
        """Store the task's weights; the net is left as a plain one that computes the task.

        Its weights may lie in memory otherwise than those that `apply` loads, and then answers
        differ in the last bit: to compare answers bit by bit, compare two networks that were made
        alike and loaded by `apply`.
        """
        self.reads[task] = {}
        for name, layer in shared_layers(net).items():
            effective = _effective(layer)
            effective.fix()
            self.reads[task][name] = (effective.old != 0) & ~effective.own
            self.values[name] = torch.where(effective.own, layer.weight.detach(), self.values[name])
            self.owner[name] = torch.where(
                effective.own, torch.full_like(self.owner[name], task), self.owner[name]
            )
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
        self.private[task] = {
            k: v.detach().clone()
            for k, v in net.state_dict().items()
            if k not in self._shared_keys()
        }

    def apply(self, net: nn.Module, task: int) -> None:
        """Load the task into a plain net: its effective weights, its BatchNorm and its decoder.
        KeyError: no such task."""
        weights = {f"{name}.weight": self.effective(name, task) for name in self.values}
        net.load_state_dict(
            {f"{PREFIX}{key}": value for key, value in weights.items()} | self.private[task]
        )

    def effective(self, name: str, task: int) -> Tensor:
        """The weight of a layer as the task uses it."""
        used = (self.owner[name] == task) | self.reads[task][name]
        return torch.where(used, self.values[name], torch.zeros_like(self.values[name]))

    def count(self, task: int) -> Count:
        """Count the weights that the task needs."""
        return Count(
            own=sum(int((owner == task).sum()) for owner in self.owner.values()),
            reused=sum(int(reads.sum()) for reads in self.reads[task].values()),
            private=sum(
                v.numel()
                for k, v in self.private[task].items()
                if not k.endswith("num_batches_tracked")
            ),
            free=sum(int((owner == FREE).sum()) for owner in self.owner.values()),
        )

    def state_dict(self) -> dict[str, Any]:
        """Everything, for torch.save."""
        return {
            "values": self.values,
            "owner": self.owner,
            "reads": self.reads,
            "private": self.private,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore the result of state_dict. Raises ValueError if it is of another backbone."""
        shapes = {name: value.shape for name, value in self.values.items()}
        if {name: value.shape for name, value in state["values"].items()} != shapes:
            raise ValueError("these weights belong to another backbone")
        self.values, self.owner, self.reads, self.private = (
            state["values"],
            state["owner"],
            state["reads"],
            state["private"],
        )

    def _shared_keys(self) -> set[str]:
        return {f"{PREFIX}{name}.weight" for name in self.values}


def shared_layers(net: nn.Module) -> dict[str, nn.Module]:
    """The layers whose weights tasks share: the convolutions of the backbone, by name within it."""
    kinds = (nn.Conv2d, nn.ConvTranspose2d)
    return {name: layer for name, layer in net.backbone.named_modules() if isinstance(layer, kinds)}


def largest(weight: Tensor, among: Tensor, share: float) -> Tensor:
    """True for the largest of the weights `among` by magnitude, without the share that is given
    back; at least one stays."""
    if not 0 <= share < 1:
        raise ValueError(f"a share of {share} cannot be pruned: 0 <= share < 1")
    magnitude = torch.where(among, weight.abs(), torch.full_like(weight, -1.0)).flatten()
    here = int(among.sum())
    keep = min(here, max(1, round(here * (1 - share))))
    kept = torch.zeros_like(magnitude, dtype=torch.bool)
    kept[torch.argsort(magnitude, descending=True, stable=True)[:keep]] = True
    return kept.reshape(weight.shape)


def _effective(layer: nn.Module) -> Effective:
    parametrization = layer.parametrizations.weight[0]
    assert isinstance(parametrization, Effective)
    return parametrization
