"""MRTNet: windows of several lengths, each through squeeze-and-excitation residual blocks to one
token; a transformer compares the tokens.

"Multi-scale SE-residual network with transformer encoder", Applied Soft Computing 2023, for
myocardial infarction on PTB-XL (only its abstract could be read; its DOI is not known to us; SE:
DOI 10.1109/CVPR.2018.00745). The scales are of sampling: the same number of samples from a second,
from two and from the whole window, half of each window shared with the next; not several kernels on
one scale. Pooling is the mean and the maximum together.

We differ: windows of 1 and 2 s and of the whole input at 125 samples each instead of stretches
around a heartbeat; all widths.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import EncoderLayer, positions
from models.architectures.layers.conv import Residual, conv_relu, mean_and_peak
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.system import System

SAMPLES = 125  # of a window at each scale
SHORT_SCALES = (1, 2)  # seconds; the last scale is the whole input
WIDTHS, KERNEL = (8, 16, 24), 7
WIDTH, HEADS, LAYERS = 32, 4, 2


def windows(x: Tensor, seconds: int) -> Tensor:
    """Cut windows of this many seconds, each half a window after the one before, each as 125
    samples: (B, 1, T) to (B, N, 125).
    """
    x = functional.avg_pool1d(x, seconds) if seconds > 1 else x
    return x.squeeze(1).unfold(1, SAMPLES, SAMPLES // 2)


def count(length: int, seconds: int) -> int:
    """How many windows of `windows` there are."""
    return (length // seconds - SAMPLES) // (SAMPLES // 2) + 1


class Stack(nn.Module):
    """Windows of one scale to a token each: (B, N, 125) to (B, N, 32)."""

    def __init__(self) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.blocks = nn.Sequential(
            conv_relu(1, a, KERNEL, 2),
            Residual(a, b, KERNEL, 2, SqueezeExcite(b)),
            Residual(b, c, KERNEL, 2, SqueezeExcite(c)),
        )
        self.embed = nn.Linear(2 * c, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = self.blocks(x.reshape(-1, 1, 1, SAMPLES))
        return self.embed(mean_and_peak(y)).reshape(x.shape[0], -1, WIDTH)


class MrtNet(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, length: int, outputs: int) -> None:
        super().__init__()
        self.scales = (*SHORT_SCALES, length // SAMPLES)
        self.stacks = nn.ModuleList(Stack() for _ in self.scales)
        self.scale = nn.Parameter(0.02 * torch.randn(len(self.scales), WIDTH))
        self.place = positions(sum(count(length, s) for s in self.scales), WIDTH)
        self.encoder = nn.Sequential(*(EncoderLayer(WIDTH, HEADS) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, outputs)

    def tokens(self, x: Tensor) -> list[Tensor]:
        """Return the tokens of each scale (B, N, 32), with the scale's embedding added."""
        return [
            stack(windows(x, s)) + self.scale[i]
            for i, (stack, s) in enumerate(zip(self.stacks, self.scales, strict=True))
        ]

    def forward(self, x: Tensor) -> Tensor:
        y = self.encoder(torch.cat(self.tokens(x), dim=1) + self.place)
        return self.head(self.norm(y).mean(dim=1))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the transformer, so that windows are never compared."""
        gone = [self.encoder]
        self.encoder = nn.Sequential()
        return gone


@architecture(
    "mrtnet",
    kinds=("classes",),
    source="Multi-scale SE-residual network with transformer encoder, Appl. Soft Comput. 2023; SE: DOI 10.1109/CVPR.2018.00745",
    mechanism="overlapping windows of several lengths as tokens of one transformer, pooled by mean and maximum",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Windows of three scales as tokens of a transformer."""
    return MrtNet(problem.spec.length, len(problem.outputs))
