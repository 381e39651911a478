"""Convolutions with a bias and no norm, and depthwise ones whose channels have kernels of different
lengths.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def biased(
    inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1
) -> nn.Conv2d:
    """(B, inputs, R, T) to (B, outputs, R, ceil(T / stride)); zeros outside the window; each row by
    itself.
    """
    return nn.Conv2d(inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), groups=groups)


class SplitKernels(nn.Module):
    """Depthwise convolution: channels are split evenly, in order, among `kernels`: (B, C, R, T) to
    the same.
    """

    def __init__(self, channels: int, kernels: tuple[int, ...]) -> None:
        super().__init__()
        if channels % len(kernels):
            raise ValueError(f"{channels} channels cannot be split among {len(kernels)} kernels")
        self.share = channels // len(kernels)
        self.branches = nn.ModuleList(
            biased(self.share, self.share, k, groups=self.share) for k in kernels
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = x.split(self.share, dim=1)
        return torch.cat(
            [branch(part) for branch, part in zip(self.branches, parts, strict=True)], dim=1
        )
