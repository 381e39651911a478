"""SE-ECGNet: leads as the rows of an image, three branches of different kernels with
squeeze-and-excitation, then one for all leads.

Zhang, Zhao and Liu, BIBM 2020, arXiv 2012.05510. Kernels of the first part are (1, k): each row by
itself, at three time scales side by side; rows meet only afterwards, when each row's channels
become channels of one signal. Published F1 99.2 % on MIT-BIH is intra-patient.

We differ: 12 channels instead of 32 and two blocks per branch; one lead becomes four rows (as it
is, its steepness, 1-8 Hz, 8-30 Hz), since one row alone would leave a plain network; a gate of each
row by itself, so that rows stay apart; cross-entropy instead of focal loss; no age and sex. From 12
leads it takes I, II and V1 to V6 as the paper does.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import Residual, conv_relu
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.spectra import Bands, Derivative
from models.architectures.layers.system import System

CHANNELS, WIDTH = 12, 48
STEM, FIRST = 15, 9  # kernels before the branches
KERNELS = (3, 5, 7)
EIGHT = (0, 1, 6, 7, 8, 9, 10, 11)  # I, II, V1 to V6


class FourRows(nn.Module):
    """One lead (B, 1, T) as four rows (B, 4, T)."""

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.bands = Derivative(), Bands(((1.0, 8.0), (8.0, 30.0)))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, self.slope(x).abs(), self.bands(x)], dim=1)


class EightRows(nn.Module):
    """Twelve leads (B, 12, T) without the four that follow from others (B, 8, T)."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :2], x[:, 6:]], dim=1)


def gated(inputs: int, outputs: int, kernel: int, stride: int = 1) -> Residual:
    """A residual block with a gate of each row."""
    return Residual(inputs, outputs, kernel, stride, SqueezeExcite(outputs, per_row=True))


class SeEcgNet(System):
    """(B, R, T) to (B, outputs) logits."""

    last_map = "joined"

    def __init__(self, rows: int, outputs: int) -> None:
        super().__init__()
        self.rows: nn.Module = FourRows() if rows == 1 else EightRows()
        mixed = CHANNELS * (4 if rows == 1 else len(EIGHT))
        self.stem = nn.Sequential(
            conv_relu(1, CHANNELS, STEM, 4), gated(CHANNELS, CHANNELS, FIRST, 2)
        )
        self.branches = nn.ModuleList(
            nn.Sequential(gated(CHANNELS, CHANNELS, k, 2), gated(CHANNELS, CHANNELS, k))
            for k in KERNELS
        )
        self.mixers = nn.ModuleList(
            nn.Sequential(gated(mixed, WIDTH, k, 2), gated(WIDTH, WIDTH, k, 2)) for k in KERNELS
        )
        self.joined, self.dropout = nn.Identity(), nn.Dropout(0.2)
        self.head = nn.Linear(WIDTH * len(KERNELS), outputs)

    def by_row(self, x: Tensor) -> list[Tensor]:
        """Each branch's map (B, 12, rows, T / 16) before rows meet."""
        image = self.stem(self.rows(x).unsqueeze(1))
        return [branch(image) for branch in self.branches]

    def forward(self, x: Tensor) -> Tensor:
        maps = [
            mix(m.flatten(1, 2).unsqueeze(2))
            for mix, m in zip(self.mixers, self.by_row(x), strict=True)
        ]
        return self.head(self.dropout(self.joined(torch.cat(maps, dim=1)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Open all gates."""
        gone = []
        for block in (m for m in self.modules() if isinstance(m, Residual)):
            gone.append(block.gate)
            block.gate = nn.Identity()
        return gone


@architecture(
    "se_ecgnet",
    kinds=("classes",),
    source="Zhang et al. 2020, arXiv 2012.05510",
    rows=(1, 12),
    mechanism="rows by themselves in branches of three kernel sizes with squeeze-and-excitation, then joined",
)
def build(problem: Problem) -> nn.Module:
    """Rows of an image through three gated branches, joined in one signal."""
    return SeEcgNet(problem.rows, len(problem.outputs))
