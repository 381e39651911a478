"""The deployed network: a multi-resolution backbone that learns task after task without touching
what it knew.

After ECG-CL (Gao et al. 2023, arXiv 2304.04646): four stages, each of which parts a coarser
resolution off the coarsest one there is (branch partition), refines every resolution by a two-layer
residual block, and lets neighbours exchange what they found (branch merge); the finest resolution
is kept throughout. The segmentation decoder carries coarse information up, the classification
decoder carries fine information down. We differ, to be small and quick on ONNX Runtime: separable
convolutions (Chollet 2017, DOI 10.1109/CVPR.2017.195), a first stride of two (the finest branch has
62.5 Hz; the mask comes out at 125 Hz, two samples per step), partition keeps all filters of the old
branch, and merge reads neighbours only, with nearest-neighbour upsampling for transposed
convolution.

Tasks are isolated by structure, not by masks: the first task owns the trunk; every later task owns
a column of channels that reads the signal and the trunk's features. Nothing reads a column but its
own decoder, so the connections are block-triangular: one pass serves all tasks, and an older task's
outputs stay bit-identical whatever is learned later (compare progressive networks, Rusu et al.
2016, arXiv 1606.04671). Channels that pruning released are gone, not zero
(models/training/release/prune.py).

One-dimensional convolutions are Conv2d over (B, C, 1, T): ONNX Runtime's blocked kernels serve only
those.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture

Widths = tuple[int, int, int, int]
KERNEL = 9
# of the trunk, at 62.5, 31.25, 15.6 and 7.8 Hz; multiples of 16 fill the blocked kernels
WIDTHS: Widths = (16, 32, 32, 48)
DENSE: Widths = (32, 64, 64, 96)  # before pruning
COLUMN = (16, 32, 48)  # of a later task, at 31.25, 15.6 and 7.8 Hz
STEPS_PER_SECOND = 4  # of a column's output
# of a window's ten steps of 256 ms, the first that lies in its new second (BEAT_SPEC: samples 130
# to 255 of 320)
FIRST_STEP = 4


class EcgclSeparable(nn.Module):
    """Depthwise convolution over time, a mix of channels, BatchNorm: (B, inputs, 1, T) to (B,
    outputs, 1, ceil(T / stride))."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.depth = nn.Conv2d(
            inputs, inputs, (1, KERNEL), (1, stride), (0, KERNEL // 2), groups=inputs, bias=False
        )
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.mix(self.depth(x)))


class EcgclStem(nn.Module):
    """The signal at a coarser rate: (B, 1, 1, T) to (B, outputs, 1, T / stride)."""

    def __init__(self, outputs: int, stride: int) -> None:
        super().__init__()
        kernel = 4 * stride + 1
        self.conv = nn.Conv2d(1, outputs, (1, kernel), (1, stride), (0, kernel // 2), bias=False)
        self.norm = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.norm(self.conv(x)))


class ColumnBlock(nn.Module):
    """Two layers beside a shortcut; `seen` are channels of older tasks that the first layer reads
    as well. (B, C, 1, T) to the same."""

    def __init__(self, channels: int, seen: int = 0, hidden: int | None = None) -> None:
        super().__init__()
        self.first = EcgclSeparable(channels + seen, hidden or channels)
        self.second = EcgclSeparable(hidden or channels, channels)

    def forward(self, x: Tensor, seen: Tensor | None = None) -> Tensor:
        y = functional.relu(self.first(x if seen is None else torch.cat([seen, x], dim=1)))
        return functional.relu(x + self.second(y))


class CoarseToFine(nn.Module):
    """Coarse features at twice the rate: (B, coarse, 1, T / 2) to (B, fine, 1, T)."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(coarse, fine, 1, bias=False)
        self.norm = nn.BatchNorm2d(fine)

    def forward(self, x: Tensor) -> Tensor:
        return functional.interpolate(
            self.norm(self.mix(x)), scale_factor=(1.0, 2.0), mode="nearest"
        )


class Trunk(nn.Module):
    """(B, 1, 1, T), T a multiple of 16, to features (B, widths[b], 1, T / 2 ** (b + 1)) of the four
    branches b."""

    def __init__(self, widths: Widths = WIDTHS) -> None:
        super().__init__()
        pairs = list(pairwise(widths))
        self.stem = EcgclStem(widths[0], 2)
        self.blocks = nn.ModuleList(
            nn.ModuleList(ColumnBlock(w) for w in widths[: s + 1]) for s in range(len(widths))
        )
        self.partition = nn.ModuleList(
            EcgclSeparable(fine, coarse, stride=2) for fine, coarse in pairs
        )
        self.down = nn.ModuleList(
            nn.ModuleList(EcgclSeparable(f, c, stride=2) for f, c in pairs[:s])
            for s in range(len(pairs))
        )
        self.up = nn.ModuleList(
            nn.ModuleList(CoarseToFine(c, f) for f, c in pairs[:s]) for s in range(len(pairs))
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        branches = [self.stem(x)]
        for stage, blocks in enumerate(self.blocks):
            branches = [block(branch) for block, branch in zip(blocks, branches, strict=True)]
            if stage < len(self.partition):
                coarser = functional.relu(self.partition[stage](branches[-1]))
                branches = [*self._merge(stage, branches), coarser]
        return branches

    def _merge(self, stage: int, branches: list[Tensor]) -> list[Tensor]:
        merged = list(branches)
        for b in range(len(branches) - 1):
            merged[b] = merged[b] + self.up[stage][b](branches[b + 1])
            merged[b + 1] = merged[b + 1] + self.down[stage][b](branches[b])
        return [functional.relu(branch) for branch in merged] if len(branches) > 1 else merged


class SegmentationDecoder(nn.Module):
    """Coarse features step by step into the finest: branches to a mask, (B, 1, T) logits, one per
    sample."""

    def __init__(self, widths: Widths = WIDTHS) -> None:
        super().__init__()
        self.rise = nn.ModuleList(CoarseToFine(coarse, fine) for fine, coarse in pairwise(widths))
        self.refine = ColumnBlock(widths[0])
        self.head = nn.Conv2d(widths[0], 2, 1)  # two samples per step

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        y = branches[-1]
        for rise, fine in zip(reversed(self.rise), reversed(branches[:-1]), strict=True):
            y = functional.relu(fine + rise(y))
        pairs = self.head(self.refine(y))  # (B, 2, 1, T / 2)
        return pairs.permute(0, 2, 3, 1).flatten(2)  # (B, 1, T)


class Column(nn.Module):
    """The channels of a later task, and its way down to the coarsest resolution (the classification
    decoder's).

    (B, 1, 1, T) signal and the trunk's branches to (B, widths[-1], 1, T / 32): four steps a second.
    """

    def __init__(self, trunk: Widths = WIDTHS, widths: tuple[int, int, int] = COLUMN) -> None:
        super().__init__()
        self.stem = EcgclStem(widths[0], 4)
        self.blocks = nn.ModuleList(
            ColumnBlock(own, seen) for own, seen in zip(widths, trunk[1:], strict=True)
        )
        self.down = nn.ModuleList(
            EcgclSeparable(fine, coarse, stride=2)
            for fine, coarse in zip(widths, (*widths[1:], widths[-1]), strict=True)
        )

    def forward(self, x: Tensor, branches: Sequence[Tensor]) -> Tensor:
        y = self.stem(x)
        for block, down, seen in zip(self.blocks, self.down, branches[1:], strict=True):
            y = functional.relu(down(block(y, seen)))
        return y


class Segmenter(nn.Module):
    """The first task: trunk and segmentation decoder. (B, 1, T) scaled signal at 125 Hz to (B, 1,
    T) logits of QRS."""

    def __init__(self, widths: Widths = WIDTHS) -> None:
        super().__init__()
        self.widths = widths
        self.trunk = Trunk(widths)
        self.decoder = SegmentationDecoder(widths)

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.trunk(x.unsqueeze(2)))


class Backbone(nn.Module):
    """One pass for all tasks: windows (B, 1, 320) to the QRS mask (B, 1, 320), and for the later
    tasks the features of the new second.

    The features of all columns stand side by side, in the order of the tasks: (B, 4, C).
    """

    def __init__(self, segmenter: Segmenter, columns: Sequence[Column]) -> None:
        super().__init__()
        self.segmenter = segmenter
        self.columns = nn.ModuleList(columns)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        signal = x.unsqueeze(2)
        branches = self.segmenter.trunk(signal)
        steps = torch.cat([second(column(signal, branches)) for column in self.columns], dim=2)
        return self.segmenter.decoder(branches), steps


def second(features: Tensor) -> Tensor:
    """A column's output for a window, (B, C, 1, 10), to the steps of its new second: (B, 4, C)."""
    return features[:, :, 0, FIRST_STEP : FIRST_STEP + STEPS_PER_SECOND].transpose(1, 2)


class SequenceDecoder(nn.Module):
    """A task's answer from the features of the last seconds: (B, S, C) steps, oldest first, and how
    many of them exist, to (B, K) logits.

    A bidirectional GRU (Cho et al. 2014, DOI 10.3115/v1/D14-1179) compares steps; mean and maximum
    over those that exist are classified. Steps from before the signal began are zero and do not
    count.
    """

    def __init__(self, channels: int, hidden: int, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.gru = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * (2 * hidden + channels), classes)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, steps: Tensor, known: Tensor) -> Tensor:  # (B, S, C), (B, S, 1) of 0 and 1
        steps = steps * known
        over_time, _ = self.gru(steps)  # (B, S, 2 * hidden)
        return (
            self.head(self.dropout(pooled(torch.cat([steps, over_time], dim=2), known)))
            / self.temperature
        )


def pooled(steps: Tensor, known: Tensor) -> Tensor:
    """Mean and maximum over the steps that exist: (B, S, C), (B, S, 1) of 0 and 1, to (B, 2 C)."""
    mean = (steps * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
    peak = (steps * known - 2 * (1 - known)).amax(dim=1).clamp(min=-1)
    return torch.cat([mean, peak], dim=1)


@architecture("ecgcl", kinds=("samples",), source="Gao et al. 2023, arXiv 2304.04646")
def build(problem: Problem) -> nn.Module:
    """Multi-resolution trunk with a segmentation decoder; later tasks add columns to it
    (models/training/tasks)."""
    if len(problem.outputs) != 1:
        raise ValueError("the segmentation decoder has one mask")
    return Segmenter()
