"""LiteNet: a squeeze, then kernels of several lengths in one layer (He et al. 2018, Sensors
18(4):1229, DOI 10.3390/s18041229).

A block squeezes its channels by a pointwise convolution and looks at the result with kernels 1, 3
and 5 side by side: SqueezeNet's Fire module and Inception in one.

We differ: four blocks of 16 to 48 channels at stride 2 for 10 s, BatchNorm, global mean pooling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.depthwise import biased
from models.architectures.layers.system import System

WIDTHS, KERNELS = (16, 24, 32, 48), (1, 3, 5)


class MixedKernels(nn.Module):
    """Kernels 1, 3 and 5 side by side, half of the channels from 3: (B, inputs, 1, T) to (B,
    outputs, 1, T).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        shares = outputs // 4, outputs // 2, outputs // 4
        self.branches = nn.ModuleList(
            biased(inputs, share, k) for share, k in zip(shares, KERNELS, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Widen(nn.Module):
    """The squeezed channels repeated to the full width, for the ablation: no kernel longer than
    one.
    """

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat(1, self.times, 1, 1)


class LiteBlock(nn.Module):
    """Squeeze to half, mixed kernels, norm, pooling: (B, inputs, 1, T) to (B, outputs, 1, T / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.squeeze = conv_relu(inputs, outputs // 2, 1)
        self.mixed: nn.Module = MixedKernels(outputs // 2, outputs)
        self.after = nn.Sequential(nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d((1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.mixed(self.squeeze(x)))


class LiteNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(self, leads: int, outputs: int) -> None:
        super().__init__()
        blocks = [LiteBlock(a, b) for a, b in zip((16, *WIDTHS), WIDTHS, strict=False)]
        self.body = nn.Sequential(conv_relu(leads, 16, 5, 2), *blocks)
        self.dropout, self.head = nn.Dropout(0.1), nn.Linear(WIDTHS[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x.unsqueeze(2)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out all layers but the pointwise ones and pooling."""
        gone: list[nn.Module] = []
        for block in self.body:
            if isinstance(block, LiteBlock):
                gone.append(block.mixed)
                block.mixed = Widen(2)
        return gone


@architecture(
    "litenet",
    kinds=("classes",),
    source="He et al. 2018, DOI 10.3390/s18041229",
    mechanism="a pointwise squeeze, then kernels 1, 3 and 5 in one layer",
)
def build(problem: Problem) -> nn.Module:
    """Squeeze, then mixed kernels."""
    return LiteNet(problem.rows, len(problem.outputs))
