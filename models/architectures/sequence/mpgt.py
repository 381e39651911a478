"""Multi-scale progressive gated transformer (MPGT, ACML 2022, Proceedings of Machine Learning
Research 189).

A coarse and a fine extractor (convolution, max pooling, convolution, mean pooling) make tokens of
one number; each goes through blocks of attention, MLP, temporal convolutions (Bai et al. 2018,
arXiv 1803.01271) and MLP. After each block the coarse tokens are carried into the fine ones by a
gate of their own: y = x1 sigmoid(tanh(W x1)) + x2. The gate lies between 0.27 and 0.73, so that
neither scale is ever shut off.

We differ: sizes are ours (48 channels, 40 tokens in 10 s, two blocks a scale), for the abstract and
the project's notes give none; zeros are put before windows that 32 does not divide.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import SelfAttention, positions, tokens
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.depthwise import biased
from models.architectures.layers.system import System

WIDTH, HEADS, BLOCKS = 48, 4, 2
KERNEL, DILATIONS = 5, (1, 2)


def extractor(kernel: int, stride: int, pool: int) -> nn.Module:
    """Convolution, max pooling, convolution, mean pooling: (B, 1, 1, T) to (B, WIDTH, 1, T / 32)."""
    rest = 32 // (stride * 2 * 2)
    return nn.Sequential(
        conv_relu(1, 16, kernel, stride), nn.MaxPool2d((1, pool)), conv_relu(16, WIDTH, 7, 2), nn.AvgPool2d((1, rest))
    )  # fmt: skip


class Causal(nn.Module):
    """Dilated depthwise convolutions that never look ahead: (B, N, C) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(WIDTH, WIDTH, (1, KERNEL), dilation=(1, d), groups=WIDTH) for d in DILATIONS
        )
        self.mix = biased(WIDTH, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        y = x.transpose(1, 2).unsqueeze(2)
        for layer, dilation in zip(self.layers, DILATIONS, strict=True):
            y = functional.gelu(layer(functional.pad(y, ((KERNEL - 1) * dilation, 0))))
        return tokens(self.mix(y))


def feed_forward() -> nn.Module:
    """Return two layers that treat each token by itself."""
    return nn.Sequential(
        nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Dropout(0.1), nn.Linear(2 * WIDTH, WIDTH)
    )


class MpgtBlock(nn.Module):
    """Attention, MLP, temporal convolution, MLP, each with norm and residual: (B, N, WIDTH) to the
    same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(
            [SelfAttention(WIDTH, HEADS), feed_forward(), Causal(), feed_forward()]
        )
        self.norms = nn.ModuleList(nn.LayerNorm(WIDTH) for _ in self.parts)

    def forward(self, x: Tensor) -> Tensor:
        for part, norm in zip(self.parts, self.norms, strict=True):
            x = x + part(norm(x))
        return x


class ScaleGate(nn.Module):
    """Carries one scale into the other: x1 sigmoid(tanh(W x1)) + x2."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(WIDTH, WIDTH)

    def weights(self, first: Tensor) -> Tensor:
        """In (sigmoid(-1), sigmoid(1))."""
        return torch.sigmoid(torch.tanh(self.fc(first)))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first * self.weights(first) + second


class Sum(nn.Module):
    """The scales added as they are, for the ablation."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        return first + second


class Mpgt(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, length: int, outputs: int) -> None:
        super().__init__()
        self.pad = -length % 32
        count = (length + self.pad) // 32
        self.coarse, self.fine = extractor(25, 4, 2), extractor(7, 2, 2)
        self.place = positions(count, WIDTH)
        self.coarse_blocks, self.fine_blocks = (
            nn.ModuleList(MpgtBlock() for _ in range(BLOCKS)) for _ in range(2)
        )
        self.gates = nn.ModuleList(ScaleGate() for _ in range(BLOCKS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, outputs)

    def forward(self, x: Tensor) -> Tensor:
        image = functional.pad(x, (self.pad, 0)).unsqueeze(2)
        coarse, fine = (tokens(extract(image)) + self.place for extract in (self.coarse, self.fine))
        for slow, quick, gate in zip(self.coarse_blocks, self.fine_blocks, self.gates, strict=True):
            coarse = slow(coarse)
            fine = gate(coarse, quick(fine))
        return self.head(self.norm(fine).mean(dim=1))

    def ablate(self) -> Sequence[nn.Module]:
        """Add the scales without a gate."""
        gone, self.gates = list(self.gates), nn.ModuleList(Sum() for _ in range(BLOCKS))
        return gone


@architecture(
    "mpgt",
    kinds=("classes",),
    source="Multi-scale progressive gated transformer, ACML 2022, PMLR 189; Bai et al. 2018, arXiv 1803.01271",
    mechanism="coarse tokens carried into fine ones by a gate after every block of attention and causal convolutions",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Two scales of tokens joined by progressive gates."""
    return Mpgt(problem.spec.length, len(problem.outputs))
