"""Mixers without attention between tokens: each takes (B, L, C) and gives the same."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.layers.depthwise import SplitKernels, biased
from models.architectures.layers.gates import CoordinateAttention, SqueezeExcite


def as_image(x: Tensor) -> Tensor:
    """(B, L, C) to (B, C, 1, L)."""
    return x.transpose(1, 2).unsqueeze(2)


def as_tokens(x: Tensor) -> Tensor:
    """(B, C, 1, L) to (B, L, C)."""
    return x.squeeze(2).transpose(1, 2)


class ConvModulation(nn.Module):
    """Scale-aware modulation (SMT, Lin et al. 2023, arXiv 2307.08579): what convolutions of four
    lengths see multiplies the values.

    Groups of channels with kernels 3, 5, 7 and 9 are regrouped so that each group of four mixes one
    channel of every kernel, once to twice the channels and back; then a pointwise convolution makes
    the modulator. We differ: one axis.
    """

    KERNELS = (3, 5, 7, 9)

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        groups = channels // len(self.KERNELS)
        self.value, self.context = biased(channels, channels), biased(channels, channels)
        self.along_time = SplitKernels(channels, self.KERNELS)
        self.widen, self.narrow = (
            biased(channels, 2 * channels, groups=groups),
            biased(2 * channels, channels),
        )
        self.norm, self.out = nn.BatchNorm2d(2 * channels), biased(channels, channels)

    def modulator(self, x: Tensor) -> Tensor:
        """(B, C, 1, L) to the same."""
        y = self.along_time(self.context(x))
        y = (
            y.unflatten(1, (len(self.KERNELS), y.shape[1] // len(self.KERNELS)))
            .transpose(1, 2)
            .flatten(1, 2)
        )
        return self.narrow(nn.functional.gelu(self.norm(self.widen(y))))

    def forward(self, x: Tensor) -> Tensor:
        image = as_image(x)
        return as_tokens(self.out(self.modulator(image) * self.value(image)))


class _Gated(nn.Module):
    """Convolutions of four lengths, a gate, a pointwise convolution."""

    def __init__(self, channels: int, gate: nn.Module) -> None:
        super().__init__()
        self.along_time, self.gate, self.out = (
            SplitKernels(channels, (3, 7, 11, 19)),
            gate,
            biased(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return as_tokens(
            self.out(self.gate(torch.nn.functional.gelu(self.along_time(as_image(x)))))
        )


class ChannelGate(_Gated):
    """Squeeze-and-excitation in place of attention."""

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__(channels, SqueezeExcite(channels, 4))


class Coordinate(_Gated):
    """Coordinate attention in place of attention between tokens."""

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__(channels, CoordinateAttention(channels, 4))
