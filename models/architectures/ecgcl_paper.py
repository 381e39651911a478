"""ECG-CL's network as the paper has it (Gao et al. 2023, arXiv 2304.04646): four stages, each with
one resolution more; the first is kept throughout.

A branch partition splits the filters of the lowest branch in two: one half stays at its resolution,
the other goes to the next lower one. Each branch then has a two-layer residual module of ordinary
convolutions, and a branch merge gives every branch the features of all others, by strided
convolution on the way down and by transposed convolution on the way up. A decoder per task reads
the four branches: the segmentation decoder interpolates the lower resolutions into the highest, the
classification decoder hands the features down, step by step, to the lowest.

Widths, kernels and the pooling before the classifier are not public: they are ours, small enough
for two CPU cores. The strided convolution that takes half of the filters down also widens them,
since a lower resolution costs less. This network is for comparison; the deployed one isolates whole
channels. Convolutions along time are Conv2d on (B, C, 1, T), the only ones for which ONNX Runtime
has blocked kernels.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

LENGTH = 640  # samples in a window: 10.24 s at 62.5 Hz; a multiple of 8
# filters of each resolution when it is the lowest; half of them stay when the next one is opened
WIDTHS = (16, 24, 32, 48)
KERNEL = 7
DECODER_WIDTH = 24  # filters of the segmentation decoder


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Convolution and BatchNorm: (B, inputs, 1, T) to (B, outputs, 1, T / stride); the kernel is
    odd, T a multiple of the stride."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), bias=False),
        nn.BatchNorm2d(outputs),
    )


def rise(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Transposed convolution and BatchNorm: (B, inputs, 1, T) to (B, outputs, 1, T * stride)."""
    return nn.Sequential(
        nn.ConvTranspose2d(inputs, outputs, (1, stride), (1, stride), bias=False),
        nn.BatchNorm2d(outputs),
    )


class PaperResidual(nn.Module):
    """The two-layer residual module: (B, C, 1, T) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels, KERNEL)
        self.second = conv(channels, channels, KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.second(functional.relu(self.first(x))))


class Partition(nn.Module):
    """Half of the filters stay, half go to the next lower resolution: (B, C, 1, T) to (B, C / 2, 1,
    T) and (B, lower, 1, T / 2)."""

    def __init__(self, channels: int, lower: int) -> None:
        super().__init__()
        self.stay = channels // 2
        self.down = conv(channels - self.stay, lower, KERNEL, stride=2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x[:, : self.stay], functional.relu(self.down(x[:, self.stay :]))


class Merge(nn.Module):
    """Every branch gets all others: branches (B, widths[i], 1, T / 2**i) to the same shapes."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.paths = nn.ModuleDict()
        for source, inputs in enumerate(widths):
            for target, outputs in enumerate(widths):
                stride = 2 ** abs(target - source)
                if target > source:
                    self.paths[f"{source}to{target}"] = conv(inputs, outputs, stride + 1, stride)
                elif target < source:
                    self.paths[f"{source}to{target}"] = rise(inputs, outputs, stride)

    def forward(self, branches: Sequence[Tensor]) -> list[Tensor]:
        merged = []
        for target, own in enumerate(branches):
            others = [
                self.paths[f"{source}to{target}"](x)
                for source, x in enumerate(branches)
                if source != target
            ]
            merged.append(functional.relu(sum(others, own)))
        return merged


class PaperBackbone(nn.Module):
    """(B, 1, T) signal to four branches: (B, 12, 1, T), (B, 16, 1, T / 2), (B, 24, 1, T / 4), (B,
    64, 1, T / 8). T is a multiple of 8."""

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.stem = conv(1, widths[0], KERNEL)
        self.stages, self.partitions, self.merges = (
            nn.ModuleList(),
            nn.ModuleList(),
            nn.ModuleList(),
        )
        for stage, lowest in enumerate(widths):
            current = [w // 2 for w in widths[:stage]] + [lowest]
            self.stages.append(nn.ModuleList(PaperResidual(w) for w in current))
            if stage:
                self.partitions.append(Partition(widths[stage - 1], lowest))
                self.merges.append(Merge(current))
        self.widths = tuple(current)  # filters of each branch at the end

    def forward(self, x: Tensor) -> list[Tensor]:
        branches = [functional.relu(self.stem(x.unsqueeze(2)))]  # (B, 24, 1, T)
        branches = [self.stages[0][0](branches[0])]
        for modules, partition, merge in zip(
            self.stages[1:], self.partitions, self.merges, strict=True
        ):
            branches = [*branches[:-1], *partition(branches[-1])]  # one resolution more
            branches = merge([module(x) for module, x in zip(modules, branches, strict=True)])
        return branches


class PaperDecoder(nn.Module):
    """Branches to a logit per sample: (B, outputs, T)."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.fuse = conv(sum(widths), DECODER_WIDTH, 1)
        self.head = nn.Conv2d(DECODER_WIDTH, outputs, 1)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        size = (1, branches[0].shape[3])
        same = [
            branches[0],
            *(
                functional.interpolate(x, size, mode="bilinear", align_corners=False)
                for x in branches[1:]
            ),
        ]
        features = functional.relu(self.fuse(torch.cat(same, dim=1)))  # (B, 24, 1, T)
        return self.head(features).squeeze(2)


class ClassificationDecoder(nn.Module):
    """Branches to logits of the window: (B, outputs)."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.steps = nn.ModuleList(conv(high, low, 3, stride=2) for high, low in pairwise(widths))
        self.head = nn.Linear(2 * widths[-1], outputs)

    def forward(self, branches: Sequence[Tensor]) -> Tensor:
        x = branches[0]
        for step, lower in zip(self.steps, branches[1:], strict=True):
            # (B, 16, 1, T / 2), (B, 24, 1, T / 4), (B, 64, 1, T / 8)
            x = functional.relu(lower + step(x))
        x = x.squeeze(2)
        return self.head(torch.cat([x.mean(dim=2), x.amax(dim=2)], dim=1))


class PaperNet(nn.Module):
    """One backbone and the decoder of one task: a task is executed by itself, with its own
    effective weights."""

    def __init__(
        self, decoder: type[PaperDecoder] | type[ClassificationDecoder], outputs: int
    ) -> None:
        super().__init__()
        self.backbone = PaperBackbone()
        self.decoder = decoder(self.backbone.widths, outputs)

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, T) -> (B, outputs, T) or (B, outputs)
        return self.decoder(self.backbone(x))
