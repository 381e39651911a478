"""Tucker distillation: a student's feature map learns the core of its teacher's (Sepahvand et al.
2022, DOI 10.1016/j.ins.2022.01.030).

    python -m models.training.steps.tucker litenet rhythm --teacher se_resnet --fold 0

Feature maps of different widths and rates cannot be compared; their Tucker cores can. The maps of a
batch are decomposed along channels and time (Tucker 1966, DOI 10.1007/BF02289464) to the same
ranks, and the loss is CE + lambda ||core of the student - core of the teacher||^2.

Differences here: the last map before pooling only, one lead; factors by singular value
decomposition of the batch (HOSVD), constant in the gradient, each vector's sign fixed by its
largest entry, cores normed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ingest.errors import BadInputError, EcgwatchError
from models.training.harness import Batches, train
from models.training.recipe import label
from models.training.steps.setting import finish, parser, setting

RANKS = (8, 8)  # channels, time
WEIGHT = 10.0


def factors(maps: Tensor, ranks: tuple[int, int] = RANKS) -> tuple[Tensor, Tensor]:
    """Main directions of channels (C, r) and of time (T, s) of maps (B, C, T)."""
    with torch.no_grad():
        return _main(maps.transpose(0, 1).flatten(1), ranks[0]), _main(
            maps.transpose(0, 2).flatten(1), ranks[1]
        )


def _main(unfolded: Tensor, rank: int) -> Tensor:
    found = torch.linalg.eigh(unfolded @ unfolded.T).eigenvectors.flip(1)[:, :rank]
    if found.shape[1] < rank:
        raise ValueError(f"a map of {len(unfolded)} has no rank {rank}")
    largest = found.gather(0, found.abs().argmax(dim=0, keepdim=True))
    return found * largest.sign()


def core(maps: Tensor, ranks: tuple[int, int] = RANKS) -> Tensor:
    """The normed Tucker core of maps (B, C, T): (B, *ranks)."""
    channels, time = factors(maps, ranks)
    found = torch.einsum("bct,cr,ts->brs", maps, channels, time)
    return found / (found.square().mean() + 1e-8).sqrt()


def last_map(net: nn.Module) -> str:
    """Name of the module whose output is the last map. Raises BadInputError if the network names
    none.
    """
    found = getattr(net, "last_map", None)
    if not isinstance(found, str):
        raise BadInputError(
            f"{type(net).__name__} names no last map",
            "Choose a system with feature maps, such as se_resnet.",
        )
    return found


class WatchedMap:
    """Keeps the last map of each call of a network."""

    def __init__(self, net: nn.Module) -> None:
        self.map = torch.zeros(())
        net.get_submodule(last_map(net)).register_forward_hook(self._keep)

    def _keep(self, module: nn.Module, given: Any, out: Tensor) -> None:
        self.map = out.flatten(2)


class TuckerBatches:
    """A task's batches with the teacher's core for every row."""

    def __init__(self, data: Batches, teacher: nn.Module, student: nn.Module) -> None:
        self._data, self._teacher = data, teacher.eval().requires_grad_(False)
        self._of_teacher, self._of_student = WatchedMap(teacher), WatchedMap(student)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Any]:
        """The task's inputs; its target and the teacher's core."""
        inputs, target = self._data.batch(rng, size)
        with torch.no_grad():
            self._teacher(*inputs)
        return inputs, (target, core(self._of_teacher.map))

    def loss(self, net: nn.Module, answer: Any, target: Any) -> Tensor:
        """The task's loss and the distance of the cores."""
        hard, wanted = target
        return self._data.loss(net, answer, hard) + WEIGHT * distance(
            core(self._of_student.map), wanted
        )


def distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean square of the difference of two cores."""
    return (student - teacher).square().mean()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    asked = parser(__doc__)
    asked.add_argument(
        "--teacher", required=True, help="an architecture trained by `ecgwatch train`"
    )
    options = asked.parse_args(arguments)
    given = setting("tucker", options)
    net, teacher = given.build(), given.trained(options.teacher)
    batches = TuckerBatches(given.task.batches(given.fold), teacher, net)
    train(net, batches, given.plan, given.folder / f"{label(given.fold)}.pt")
    finish(given, net, taught_by=options.teacher)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
