"""CPC: from the context, distinguish a given later step from steps of other times.

Mehari and Strodthoff, Computers in Biology and Medicine 141:105114 (2022), DOI
10.1016/j.compbiomed.2021.105114; van den Oord et al. 2018, arXiv 1807.03748. Negatives come from
the same sequence, so that recognising the patient does not help. Differences here: steps 4, 8 and
12 are predicted (0.26 to 0.77 s ahead) instead of 12 alone, among 32 negatives instead of 128.
"""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.cpc import WIDTH, Cpc
from models.training.data import unlabelled
from models.training.harness import TrainingPlan
from models.training.pretraining.base import objective

AHEAD = (4, 8, 12)  # steps of 64 ms
NEGATIVES = 32


class CpcLearner(nn.Module):
    """Windows (B, 1, T) to scores (B, n, 1 + 32): of the true step, then of others."""

    def __init__(self, system: Cpc) -> None:
        super().__init__()
        self.encoder, self.context = system.encoder, system.context
        self.predict = nn.ModuleList(nn.Linear(WIDTH, WIDTH, bias=False) for _ in AHEAD)

    def forward(self, x: Tensor) -> Tensor:
        steps = self.encoder(x)  # (B, S, 64)
        context = self.context(steps)
        return torch.cat(
            [
                self.scores(predict(context[:, :-ahead]), steps, ahead)
                for predict, ahead in zip(self.predict, AHEAD, strict=True)
            ],
            dim=1,
        )

    def scores(self, predicted: Tensor, steps: Tensor, ahead: int) -> Tensor:
        """Scores of the predictions for steps from `ahead` on (B, n, D) against those steps and
        others."""
        true = torch.arange(ahead, steps.shape[1], device=steps.device)
        others = negatives(true, steps.shape[1])  # (n, 32)
        candidates = torch.cat([true[:, None], others], dim=1)  # (n, 33)
        return torch.einsum("bnd,bnkd->bnk", predicted, steps[:, candidates])


def negatives(true: Tensor, count: int) -> Tensor:
    """32 random steps of 0 .. count - 1 for each true one (n,), never the true one: (n, 32)."""
    drawn = torch.randint(count - 1, (len(true), NEGATIVES), device=true.device)
    return drawn + (drawn >= true[:, None]).to(drawn.dtype)


def loss(scores: Tensor) -> Tensor:
    """Cross-entropy of the true step among all (InfoNCE)."""
    flat = scores.flatten(0, 1)
    return functional.cross_entropy(flat, flat.new_zeros(len(flat), dtype=torch.int64))


class CpcWindows:
    """Batches of windows without labels."""

    def __init__(self, source: unlabelled.Unlabelled) -> None:
        self._source = source

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, 1250), which are also the target."""
        x = torch.from_numpy(self._source.draw(rng, size, 1)[0][:, None])
        return (x,), x

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Return the loss of the scores alone."""
        return loss(answer)


@objective("cpc", variants=("usual",))
class CpcObjective:
    """Distinguishes future steps from the rest of the sequence."""

    architecture = "cpc"
    plan = TrainingPlan(epochs=15, steps=100, batch=32, peak_rate=1e-3, weight_decay=0.01)

    def __init__(self, data: Path, cache: Path, fold: int, variant: str) -> None:
        self._folders, self._fold = (data, cache), fold

    def learner(self, system: nn.Module) -> nn.Module:
        """See Objective."""
        return CpcLearner(cast(Cpc, system))

    def batches(self) -> CpcWindows:
        """See Objective."""
        return CpcWindows(unlabelled.load(*self._folders, self._fold))
