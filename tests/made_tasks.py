"""A task that small networks learn in seconds: which of three tones is in a noisy window."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from models.architectures import Problem
from models.signal.windows import InputSpec

SHORT = InputSpec(before=375, hop=125, after=0, offset=0)
HZ = np.array([3.0, 7.0, 14.0])


class ToneBatches:
    """Windows (B, 1, 500) and their tones (B,)."""

    def __init__(self, noise: float = 0.7) -> None:
        self._noise = noise

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Any, ...], Any]:
        import torch

        y = rng.integers(len(HZ), size=size)
        time = np.arange(SHORT.length) / SHORT.fs_hz
        x = np.sin(2 * np.pi * (HZ[y][:, None] * time + rng.random((size, 1))))
        x = x + self._noise * rng.standard_normal(x.shape)
        return (torch.from_numpy(x[:, None].astype(np.float32)),), torch.from_numpy(y)

    def loss(self, net: Any, answer: Any, target: Any) -> Any:
        from torch.nn import functional

        return functional.cross_entropy(answer, target)


class Tones:
    """Shaped like a task of models/training/tasks/base.py."""

    problem = Problem("classes", ("low", "middle", "high"), SHORT)
    folds = 3
    metric = "right"

    def __init__(self, epochs: int = 2, steps: int = 15) -> None:
        from models.training.harness import TrainingPlan

        self.plan = TrainingPlan(epochs=epochs, steps=steps, batch=32, peak_rate=5e-3)

    def batches(self, fold: int | None) -> ToneBatches:
        return ToneBatches()

    def evaluate(self, predict: Any, fold: int) -> dict[str, float]:
        (x,), y = self.batches(None).batch(np.random.default_rng(99 + fold), 120)
        said: npt.NDArray[np.int64] = predict(x.numpy()[:, 0]).argmax(axis=1)
        return {self.metric: float(np.mean(said == y.numpy()))}
