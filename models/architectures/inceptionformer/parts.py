"""Parts of the InceptionFormer networks: stem, convolution blocks, patch merge."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.layers.depthwise import SplitKernels, biased

KERNELS = (3, 7, 11, 19)
STEM_KERNEL = 7


class InceptionStem(nn.Module):
    """Four kernels side by side, then one convolution over all of them: (B, leads, 1, T) to (B, C,
    1, T / stride).
    """

    def __init__(self, leads: int, channels: int, stride: int) -> None:
        super().__init__()
        share, first = channels // len(KERNELS), 2 if stride > 1 else 1
        self.branches = nn.ModuleList(biased(leads, share, k, first) for k in KERNELS)
        self.norm1 = nn.BatchNorm2d(channels)
        self.mix = biased(channels, channels, STEM_KERNEL, stride // first)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.cat([branch(x) for branch in self.branches], dim=1)
        y = nn.functional.gelu(self.norm1(y))
        return nn.functional.gelu(self.norm2(self.mix(y)))


def pointwise_mlp(channels: int, expansion: int) -> nn.Sequential:
    """Two pointwise convolutions: (B, C, 1, L) to the same."""
    return nn.Sequential(
        biased(channels, expansion * channels), nn.GELU(), biased(expansion * channels, channels)
    )


class ConvBlock(nn.Module):
    """Norm, depthwise convolution of four kernels, norm, pointwise MLP, residual: (B, C, 1, L) to
    the same.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(channels), nn.BatchNorm2d(channels)
        self.along_time = SplitKernels(channels, KERNELS)
        self.mlp = pointwise_mlp(channels, 2)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm2(self.along_time(self.norm1(x))))


class InceptionNext(nn.Module):
    """InceptionNeXt's block (Yu et al. 2023, arXiv 2303.16900): three eighths of the channels are
    convolved, the others pass as they are.

    (B, C, 1, L) to the same. We differ: one axis, so that the three branches are three lengths of
    kernel.
    """

    BRANCHES = (3, 11, 19)

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.share = channels // 8
        self.branches = nn.ModuleList(
            biased(self.share, self.share, k, groups=self.share) for k in self.BRANCHES
        )
        self.norm = nn.BatchNorm2d(channels)
        self.mlp = pointwise_mlp(channels, 4)
        self.scale = nn.Parameter(torch.full((channels, 1, 1), 0.1))

    def along_time(self, x: Tensor) -> Tensor:
        """The convolved and the untouched channels."""
        parts = x.split([self.share] * 3 + [x.shape[1] - 3 * self.share], dim=1)
        seen = [branch(part) for branch, part in zip(self.branches, parts[:3], strict=True)]
        return torch.cat([*seen, parts[3]], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.scale * self.mlp(self.norm(self.along_time(x)))


def merge(inputs: int, outputs: int) -> nn.Module:
    """Overlapping patch merge: (B, inputs, 1, L) to (B, outputs, 1, L / 2)."""
    return biased(inputs, outputs, 3, 2)
