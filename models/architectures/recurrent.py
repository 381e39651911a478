"""A convolutional and recurrent network: the first rhythm network of this path, and a peer of the
deployed one.

Two time resolutions (15.6 and 7.8 Hz) are kept side by side and exchanged, in the spirit of
ECG-CL's branch partition and merge (Gao et al., arXiv 2304.04646): the fine one sees P waves and
QRS shapes, the coarse one sees RR intervals; a bidirectional GRU compares intervals over the whole
window. We differ: depthwise-separable blocks, nearest-neighbour upsampling instead of transposed
convolution, and a mask, since a young record fills only the right part of its window. Convolutions
are Conv2d on (B, C, 1, T): ONNX Runtime's blocked kernels serve only those.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture

KERNEL = 15
FINE = 32  # channels at 15.6 Hz
COARSE = 48  # channels at 7.8 Hz
MERGED = 48  # channels at 3.9 Hz
HIDDEN = 32  # of the GRU, each direction


def conv(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Module:
    """A convolution along time with BatchNorm: (B, inputs, 1, T) to (B, outputs, 1, ceil(T /
    stride))."""
    return nn.Sequential(
        nn.Conv2d(
            inputs, outputs, (1, kernel), (1, stride), (0, kernel // 2), groups=groups, bias=False
        ),
        nn.BatchNorm2d(outputs),
    )


class StridedSeparable(nn.Module):
    """Depthwise, then pointwise: (B, inputs, 1, T) to (B, outputs, 1, ceil(T / stride))."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.along_time = conv(inputs, inputs, KERNEL, stride, groups=inputs)
        self.across_channels = conv(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.across_channels(self.along_time(x)))


class SeparableResidual(nn.Module):
    """Two separable layers beside a shortcut: (B, C, 1, T) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = StridedSeparable(channels, channels)
        self.along_time = conv(channels, channels, KERNEL, groups=channels)
        self.across_channels = conv(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(x + self.across_channels(self.along_time(self.first(x))))


class Exchange(nn.Module):
    """Each resolution gets the other's features: fine (B, FINE, 1, 2T) and coarse (B, COARSE, 1, T)
    to the same."""

    def __init__(self) -> None:
        super().__init__()
        self.up = conv(COARSE, FINE)
        self.down = StridedSeparable(FINE, COARSE, stride=2)

    def forward(self, fine: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor]:
        up = functional.interpolate(self.up(coarse), size=fine.shape[2:], mode="nearest")
        return functional.relu(fine + up), coarse + self.down(fine)


class Recurrent(nn.Module):
    """(B, 1, T) scaled samples at 125 Hz, zeros on the left where there was no signal, to (B,
    outputs) logits; shapes below: T = 3750."""

    def __init__(self, outputs: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            conv(1, 16, KERNEL, stride=2),
            nn.ReLU(),
            StridedSeparable(16, 16, stride=2),
            StridedSeparable(16, FINE, stride=2),
        )
        self.fine1 = StridedSeparable(FINE, FINE)
        self.split = StridedSeparable(FINE, COARSE, stride=2)
        self.fine2, self.coarse2 = SeparableResidual(FINE), SeparableResidual(COARSE)
        self.exchange = Exchange()
        self.coarse3 = SeparableResidual(COARSE)
        self.merge = StridedSeparable(COARSE, MERGED, stride=2)
        self.gru = nn.GRU(MERGED, HIDDEN, batch_first=True, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * (2 * HIDDEN + MERGED), outputs)
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :, None, :]  # (B, 1, 1, 3750)
        fine = self.fine1(self.stem(x))  # (B, 32, 1, 469)
        coarse = self.split(fine)  # (B, 48, 1, 235)
        fine, coarse = self.exchange(self.fine2(fine), self.coarse2(coarse))
        features = self.merge(self.coarse3(coarse))  # (B, 48, 1, 118)
        # (B, 118, 1)
        known = (
            functional.max_pool2d(x.abs(), (1, 32), (1, 32), ceil_mode=True)
            .gt(0)
            .to(x.dtype)[:, 0, 0, :, None]
        )
        steps = features[:, :, 0, :].transpose(1, 2) * known  # (B, 118, 48)
        over_time, _ = self.gru(steps)  # (B, 118, 64)
        together = torch.cat([steps, over_time], dim=2)  # (B, 118, 112)
        mean = (together * known).sum(dim=1) / known.sum(dim=1).clamp(min=1)
        peak = (together * known - 2 * (1 - known)).amax(dim=1).clamp(min=-1)
        return self.head(self.dropout(torch.cat([mean, peak], dim=1))) / self.temperature


@architecture("recurrent", kinds=("classes",), source="Cho et al. 2014, DOI 10.3115/v1/D14-1179")
def build(problem: Problem) -> nn.Module:
    """Depthwise-separable convolutions at two resolutions, then a bidirectional GRU."""
    return Recurrent(len(problem.outputs))
