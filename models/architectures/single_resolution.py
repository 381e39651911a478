"""One resolution at the cost of four: what the multi-resolution trunk is compared with
(models/training/experiments/ablation.py).

The deployed network's own parts (models/architectures/ecgcl.py: stem, two-layer residual blocks,
two samples of the mask per step) at its finest rate only, 62.5 Hz, so wide that a window costs as
many multiply-accumulates. A sample sees 0.7 s to each side; the trunk sees all of its window.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.ecgcl import ColumnBlock, EcgclStem

WIDTH, BLOCKS = 32, 5


class SingleResolution(nn.Module):
    """(B, 1, T) scaled signal at 125 Hz, T even, to (B, 1, T) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = EcgclStem(WIDTH, 2)
        self.blocks = nn.Sequential(*(ColumnBlock(WIDTH) for _ in range(BLOCKS)))
        self.head = nn.Conv2d(WIDTH, 2, 1)  # two samples per step

    def forward(self, x: Tensor) -> Tensor:
        pairs = self.head(self.blocks(self.stem(x.unsqueeze(2))))  # (B, 2, 1, T / 2)
        return torch.flatten(pairs.permute(0, 2, 3, 1), 2)  # (B, 1, T)


@architecture(
    "single_resolution", kinds=("samples",), source="He et al. 2016, DOI 10.1109/CVPR.2016.90"
)
def build(problem: Problem) -> nn.Module:
    """Residual blocks at one resolution: the deployed trunk without its branches."""
    if len(problem.outputs) != 1:
        raise ValueError("the decoder has one mask")
    return SingleResolution()
