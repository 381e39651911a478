"""Linear probe: measures a pretrained encoder by one linear layer on its frozen features.

The control is the same encoder with random weights (arXiv 2602.17531 reports that those match
pretrained ones on many ECG tasks): the difference is the gain by pretraining.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.training.tasks.base import Figures, Floats, Task

STEPS, RATE, DECAY = 200, 0.05, 1e-3
PART = 32  # windows drawn at a time


class Encodes(Protocol):
    """A system with features for a linear layer."""

    def features(self, x: Tensor) -> Tensor:
        """(B, R, T) to (B, D)."""
        ...


class ProbeExamples(Protocol):
    """A source of windows and their classes."""

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, R, T) and classes (B,)."""
        ...


def frozen(system: Encodes, x: Tensor) -> Tensor:
    """Features of windows, a few at a time."""
    with torch.inference_mode():
        return torch.cat([system.features(part) for part in x.split(64)]).clone()


def probe(system: Encodes, examples: ProbeExamples, task: Task, fold: int, count: int) -> Figures:
    """Figures of a linear layer trained with `count` windows on the system's frozen features."""
    if isinstance(system, nn.Module):
        system.eval()
    rng = np.random.default_rng(0)
    parts = [examples.batch(rng, PART) for _ in range(max(1, count // PART))]
    x, y = torch.cat([inputs[0] for inputs, _ in parts]), torch.cat([target for _, target in parts])
    features = frozen(system, x)
    mean, spread = features.mean(dim=0), features.std(dim=0) + 1e-6
    layer = taught((features - mean) / spread, y, len(task.problem.outputs))

    def predict(windows: Floats) -> Floats:
        rows = windows[:, None] if windows.ndim == 2 else windows
        known = frozen(system, torch.from_numpy(np.ascontiguousarray(rows)))
        with torch.inference_mode():
            return np.asarray(layer((known - mean) / spread).numpy())

    return task.evaluate(predict, fold)


def taught(features: Tensor, y: Tensor, classes: int) -> nn.Linear:
    """A linear layer fitted to features (n, D) and classes (n,), rare ones weighing more."""
    torch.manual_seed(0)
    layer = nn.Linear(features.shape[1], classes)
    shares = torch.bincount(y, minlength=classes).clamp(min=1).to(features.dtype)
    weights = (len(y) / (classes * shares)).sqrt()
    optimiser = torch.optim.AdamW(layer.parameters(), lr=RATE, weight_decay=DECAY)
    for _ in range(STEPS):
        optimiser.zero_grad()
        functional.cross_entropy(layer(features), y, weights).backward()
        optimiser.step()
    return layer.eval()
