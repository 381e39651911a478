"""A pool of training windows drawn once, and the embeddings of windows by a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import BadInputError
from models.training.harness import Batches
from models.training.tasks.base import Task

AT_ONCE = 64


class WindowPool(NamedTuple):
    """Windows of a task's training patients, each with one class."""

    x: Tensor  # (N, R, T)
    y: Tensor  # (N,)


def drawn(batches: Batches, count: int, seed: int) -> WindowPool:
    """Draw this number of windows, the same for the same seed.

    Raises BadInputError if the task does not give each window one class.
    """
    rng = np.random.default_rng([seed, count])
    parts = [batches.batch(rng, AT_ONCE) for _ in range(-(-count // AT_ONCE))]
    x, y = torch.cat([p[0][0] for p in parts])[:count], torch.cat([p[1] for p in parts])[:count]
    if y.dim() != 1 or y.is_floating_point():
        raise BadInputError(
            "the task does not give each window one class", "Choose rhythm or beat_class."
        )
    return WindowPool(x, y)


class PoolBatches:
    """Batches of a pool; the loss is cross-entropy, by default against the pool's classes."""

    def __init__(
        self, pool: WindowPool, loss: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy
    ) -> None:
        """`loss` takes logits (B, K) and the windows' places in the pool if the pool's `y` holds
        places.
        """
        self._pool, self._loss = pool, loss

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Random windows and their classes."""
        some = torch.from_numpy(rng.integers(len(self._pool.x), size=size))
        return (self._pool.x[some],), self._pool.y[some]

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """The loss of an answer (models/training/harness.py)."""
        return self._loss(answer, target)


def head(net: nn.Module) -> nn.Module:
    """The part of a network that classifies. Raises BadInputError if it has none of that name."""
    found = getattr(net, "head", None)
    if not isinstance(found, nn.Module):
        raise BadInputError(
            f"{type(net).__name__} has no part named head", "Choose a system of the zoo."
        )
    return found


def embed(net: nn.Module, x: Tensor) -> Tensor:
    """The head's input: (B, R, T) to (B, D). Gradients pass."""
    seen: list[Tensor] = []
    hook = head(net).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        net(x)
    finally:
        hook.remove()
    return seen[-1]


def embedded(net: nn.Module, x: Tensor) -> Tensor:
    """The same in evaluation mode and without gradients, a few windows at a time."""
    net.eval()
    with torch.no_grad():
        return torch.cat([embed(net, part) for part in x.split(AT_ONCE)])


def classes(task: Task) -> int:
    """Number of classes of the task."""
    return len(task.problem.outputs)
