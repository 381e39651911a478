"""Two streams: a residual network on the signal beside one on its spectrogram, their features side
by side.

A baseline of the project's source (github.com/hhhey-lw/LongWeiBlog; CPSC2018 F1 0.832 for both
streams, 0.819 and 0.793 for each alone), with the residual blocks of He et al. 2016 (DOI
10.1109/CVPR.2016.90).

We differ: Hann windows of 64 samples instead of Hamming windows of 100, the spectrogram as fixed
convolutions inside the exported graph, two-dimensional blocks of 8 to 24 channels, and 16 to 48
channels on the signal.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import Residual, conv_relu
from models.architectures.layers.spectra import Stft
from models.architectures.layers.system import System

SIGNAL, SPECTRUM = (16, 24, 32, 48), (8, 16, 24)
SIZE, HOP = 64, 16


class PlaneBlock(nn.Module):
    """Two 3 x 3 convolutions beside a shortcut: (B, inputs, F, T) to (B, outputs, F / 2, T / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, 2, 1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, 2, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.body(x))


class SpectrumStream(nn.Module):
    """(B, 1, T) to (B, SPECTRUM[-1])."""

    def __init__(self) -> None:
        super().__init__()
        self.spectrum, self.norm = Stft(SIZE, HOP), nn.BatchNorm2d(1)
        self.blocks = nn.Sequential(
            *(PlaneBlock(a, b) for a, b in zip((1, *SPECTRUM), SPECTRUM, strict=False))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.norm(self.spectrum(x))).mean(dim=(2, 3))


class NoSpectrogram(nn.Module):
    """Nothing from the spectrogram, for the ablation: (B, 1, T) to zeros (B, SPECTRUM[-1])."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], SPECTRUM[-1])


class TwoStream(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    last_map = "signal"

    def __init__(self, outputs: int) -> None:
        super().__init__()
        blocks = [Residual(a, b, 7, 2) for a, b in pairwise(SIGNAL)]
        self.signal = nn.Sequential(
            conv_relu(1, SIGNAL[0], 15, 4), Residual(SIGNAL[0], SIGNAL[0], 7), *blocks
        )
        self.spectrum: nn.Module = SpectrumStream()
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(SIGNAL[-1] + SPECTRUM[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.signal(x.unsqueeze(2)).mean(dim=(2, 3)), self.spectrum(x)], dim=1)
        return self.head(self.dropout(both))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the spectrogram's stream."""
        gone, self.spectrum = [self.spectrum], NoSpectrogram()
        return gone


@architecture(
    "two_stream",
    kinds=("classes",),
    source="He et al. 2016, DOI 10.1109/CVPR.2016.90; github.com/hhhey-lw/LongWeiBlog",
    mechanism="one residual network on the signal, one on its spectrogram, fused",
)
def build(problem: Problem) -> nn.Module:
    """Residual networks on the signal and on its spectrogram."""
    return TwoStream(len(problem.outputs))
