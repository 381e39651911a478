"""Convolutions along time."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """A convolution with BatchNorm: (B, inputs, R, T) to (B, outputs, R, ceil(T / stride)); each
    row by itself."""
    pad = (kernel - 1) // 2 * dilation
    return nn.Sequential(
        nn.Conv2d(
            inputs,
            outputs,
            (1, kernel),
            (1, stride),
            (0, pad),
            (1, dilation),
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(outputs),
    )


def conv_relu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """The same and ReLU."""
    return nn.Sequential(conv(inputs, outputs, kernel, stride, groups, dilation), nn.ReLU())


class Residual(nn.Module):
    """Two convolutions beside a shortcut: (B, inputs, R, T) to (B, outputs, R, ceil(T / stride)).
    `after`: a gate on the second one."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        stride: int = 1,
        after: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.first = conv_relu(inputs, outputs, kernel, stride)
        self.second = conv(outputs, outputs, kernel)
        self.gate = after or nn.Identity()
        plain = inputs == outputs and stride == 1
        self.shortcut: nn.Module = nn.Identity() if plain else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.shortcut(x) + self.gate(self.second(self.first(x))))


class MultiKernel(nn.Module):
    """The same input through one convolution per kernel size, side by side: (B, C, R, T) to (B,
    each * kernels, R, ceil(T / stride))."""

    def __init__(self, inputs: int, each: int, kernels: Sequence[int], stride: int = 1) -> None:
        super().__init__()
        self.branches = nn.ModuleList(conv(inputs, each, k, stride) for k in kernels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(torch.cat([branch(x) for branch in self.branches], dim=1))


def mean_and_peak(x: Tensor) -> Tensor:
    """Global average and maximum side by side: (B, C, R, T) to (B, 2C)."""
    return torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1)
