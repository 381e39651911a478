"""A plain convolutional network: what the deployed one has to beat on rhythm at equal cost.

Ordinary convolutions with BatchNorm and ReLU, each halving the rate, then mean and maximum over
time and one linear layer: one resolution at a time, no recurrence, no attention, no older task to
read. After the fully convolutional baseline of Wang et al. 2017 (DOI 10.1109/IJCNN.2017.7966039);
we differ: strides, since 30 s at 125 Hz are 3,750 samples, and a maximum beside the mean.

Widths are such that 30 s, looked at every 5 s, cost about what the deployed network's trunk, rhythm
column and decoder cost in those 5 s: 3.1 MMAC per patient-second (models/training/cost.py counts
both).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture

WIDTHS = (16, 28, 36, 48, 64, 96)  # channels at 62.5, 31.3, 15.6, 7.8, 3.9 and 2 Hz
STEM_KERNEL = 15
KERNEL = 7


def layer(inputs: int, outputs: int, kernel: int) -> nn.Module:
    """(B, inputs, 1, T) to (B, outputs, 1, ceil(T / 2)). Conv2d, because ONNX Runtime's blocked
    kernels serve only those."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, (1, kernel), (1, 2), (0, kernel // 2), bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    )


class PlainCnn(nn.Module):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        layers = [layer(a, b, KERNEL) for a, b in pairwise(WIDTHS)]
        self.features = nn.Sequential(layer(1, WIDTHS[0], STEM_KERNEL), *layers)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * WIDTHS[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.features(x.unsqueeze(2)).squeeze(2)  # (B, 96, T / 64)
        return self.head(self.dropout(torch.cat([y.mean(dim=2), y.amax(dim=2)], dim=1)))


@architecture(
    "plain_cnn", kinds=("classes",), source="Wang et al. 2017, DOI 10.1109/IJCNN.2017.7966039"
)
def build(problem: Problem) -> nn.Module:
    """Six strided convolutions, mean and maximum over time."""
    return PlainCnn(len(problem.outputs))
