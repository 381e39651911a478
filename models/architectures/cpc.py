"""CPC: an encoder and a causal context that learned, without labels, to tell what comes next from
what came at other times.

Mehari and Strodthoff, Computers in Biology and Medicine 141:105114 (2022), DOI
10.1016/j.compbiomed.2021.105114; contrastive predictive coding: van den Oord et al. 2018, arXiv
1807.03748. Pretraining is models/training/pretraining/cpc.py. The context is a unidirectional LSTM
and the encoder pads nothing, so that no step knows anything later. A task reads the context's mean,
maximum and last step.

We differ: one lead; a first convolution of ten samples, eight apart, since a pointwise one would
see single samples; 64 channels instead of 512; one LSTM layer instead of two; one hidden layer less
in the head.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.attention import tokens
from models.architectures.layers.system import System

WIDTH, KERNEL, STRIDE, POINTWISE = 64, 10, 8, 3


class StepEncoder(nn.Module):
    """(B, 1, T) to (B, S, 64), a step every 64 ms; S = (T - 10) // 8 + 1. Step s sees the samples 8
    s to 8 s + 9.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(1 + POINTWISE):
            first = nn.Conv2d(1, WIDTH, (1, KERNEL), (1, STRIDE), bias=False)
            layers += [
                first if i == 0 else nn.Conv2d(WIDTH, WIDTH, 1, bias=False),
                nn.BatchNorm2d(WIDTH),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return tokens(self.layers(x.unsqueeze(2)))


class ContextNetwork(nn.Module):
    """(B, S, 64) to the same: each step knows those before it."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(WIDTH, WIDTH, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        over_time, _ = self.lstm(x)
        return over_time


class Cpc(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.encoder = StepEncoder()
        self.context: nn.Module = ContextNetwork()
        self.norm, self.dropout = nn.BatchNorm1d(3 * WIDTH), nn.Dropout(0.2)
        self.head = nn.Linear(3 * WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.norm(self.features(x))))

    def features(self, x: Tensor) -> Tensor:
        """Mean, maximum and last step of the context: (B, 192)."""
        c = self.context(self.encoder(x))
        return torch.cat([c.mean(dim=1), c.amax(dim=1), c[:, -1]], dim=1)

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the context: each step stands for itself."""
        gone = [self.context]
        self.context = nn.Identity()
        return gone


@architecture(
    "cpc",
    kinds=("classes",),
    source="Mehari and Strodthoff 2022, DOI 10.1016/j.compbiomed.2021.105114",
    mechanism="contrastive predictive coding: a causal context that tells the future step from steps of other times",
)
def build(problem: Problem) -> nn.Module:
    """An encoder and a causal context that are pretrained on what comes next."""
    return Cpc(len(problem.outputs))
