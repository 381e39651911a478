"""Dual-path recurrent network (Wang, Rahardja, Franti and Rahardja 2023, DOI
10.1016/j.bspc.2022.104067; CinC 2017).

Frames of the signal are cut into chunks that overlap by half. A bidirectional LSTM runs inside
every chunk, another across chunks at equal places, each with a residual, in turn; the chunks are
added where they overlap. A recurrence over thousands of steps becomes two short ones.

We differ: 20 channels, kernel 16 at stride 8, chunks of 18 frames, 2 blocks; the mean over time
beside four means of quarters; BatchNorm in the stem; no mixup and no large-margin softmax (the
zoo's common recipe). The published code leaves a dropout on when it judges.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.system import System

CHANNELS, HIDDEN, BLOCKS, QUARTERS = 20, 20, 2, 4
KERNEL, STRIDE, HOP = 16, 8, 9  # a chunk is two hops


def unfold(x: Tensor) -> Tensor:
    """Frames (B, N, C), N a multiple of HOP, to chunks (B, N / HOP + 1, 2 HOP, C) that overlap by
    half; zeros outside.
    """
    halves = functional.pad(x, (0, 0, HOP, HOP)).unflatten(1, (x.shape[1] // HOP + 2, HOP))
    return torch.cat([halves[:, :-1], halves[:, 1:]], dim=2)


def fold(chunks: Tensor) -> Tensor:
    """Chunks added where they overlap: the way back of `unfold`, which counts every frame twice."""
    early, late = chunks[:, 1:, :HOP], chunks[:, :-1, HOP:]
    return (early + late).flatten(1, 2)


class Path(nn.Module):
    """A bidirectional LSTM along the last but one axis with norm and residual: (B, A, N, C) to the
    same.
    """

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(CHANNELS, HIDDEN, batch_first=True, bidirectional=True)
        self.out, self.norm = nn.Linear(2 * HIDDEN, CHANNELS), nn.GroupNorm(1, CHANNELS)

    def forward(self, x: Tensor) -> Tensor:
        sequences = x.flatten(0, 1)
        # made of the input: of a constant the export would keep the batch of its example
        none = (0 * sequences[:, 0, :1]).unsqueeze(0).repeat(2, 1, HIDDEN)
        y, _ = self.lstm(sequences, (none, none))
        y = self.out(y).unflatten(0, (-1, x.shape[1]))  # (B, A, N, C)
        return x + self.norm(y.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class DualPathBlock(nn.Module):
    """Inside chunks, then across them: (B, S, 2 HOP, C) to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.intra, self.inter = Path(), Path()

    def forward(self, x: Tensor) -> Tensor:
        return self.inter(self.intra(x).transpose(1, 2)).transpose(1, 2)


class DualPath(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, length: int, outputs: int) -> None:
        super().__init__()
        frames = (length - KERNEL) // STRIDE + 1
        self.pad = -frames % (HOP * QUARTERS)
        self.stem = nn.Sequential(
            nn.Conv2d(1, CHANNELS, (1, KERNEL), (1, STRIDE), bias=False),
            nn.BatchNorm2d(CHANNELS),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(*(DualPathBlock() for _ in range(BLOCKS)))
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Sequential(
            nn.Linear((1 + QUARTERS) * CHANNELS, 32), nn.ReLU(), nn.Linear(32, outputs)
        )

    def frames(self, x: Tensor) -> Tensor:
        """(B, 1, T) to (B, N, C), zeros before the oldest frame."""
        return functional.pad(self.stem(x.unsqueeze(2)).squeeze(2), (self.pad, 0)).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = fold(self.blocks(unfold(self.frames(x))))
        quarters = y.unflatten(1, (QUARTERS, y.shape[1] // QUARTERS)).mean(dim=2)
        return self.head(
            self.dropout(torch.cat([y.mean(dim=1, keepdim=True), quarters], dim=1).flatten(1))
        )

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the path from chunk to chunk."""
        gone: list[nn.Module] = []
        for block in self.blocks:
            gone.append(block.inter)
            block.inter = nn.Identity()
        return gone


@architecture(
    "dual_path_rnn",
    kinds=("classes",),
    source="Wang et al. 2023, DOI 10.1016/j.bspc.2022.104067",
    mechanism="LSTMs inside half-overlapping chunks and across them in turn, then overlap-add",
)
def build(problem: Problem) -> nn.Module:
    """Recurrence inside and across overlapping chunks."""
    return DualPath(problem.spec.length, len(problem.outputs))
