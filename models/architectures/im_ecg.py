"""IM-ECG: the record as an image, read by residual blocks of two kernels: one across rows, one
along time only.

Tao et al., Expert Systems with Applications 237:121497 (2024), DOI 10.1016/j.eswa.2023.121497. No
official code is known; sizes after an unofficial one. Grad-CAM (Selvaraju et al. 2017, DOI
10.1109/ICCV.2017.74) on the last map shows the region that decided.

We differ: one lead is folded into four rows of a quarter of the window each, so that a kernel of
three rows compares beats 2.5 s apart; 12 leads are 12 rows, as in the paper. Widths 8, 8, 16 and
depths 1, 1, 2 instead of 64, 128, 256 and 3, 4, 6; the stem strides by four.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.ablation import StandIn
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.system import System

STEM_WIDTH, WIDTHS = 8, (8, 8, 16)
STEM, KERNEL = 15, 15
BRANCHES = (5, 7, 15)  # kernels of the third stage, side by side
DEEP, FUSED = 3, 32  # dual-kernel blocks per branch; channels at last
FOLDS = 4  # rows that one lead is folded into


def before(inputs: int, outputs: int, rows: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Pre-activation convolution: BatchNorm, ReLU, then rows x kernel."""
    pad = (rows // 2, kernel // 2)
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, (rows, kernel), (1, stride), pad, bias=False),
    )


class DualKernel(nn.Module):
    """Dual-kernel residual block: (B, inputs, R, T) to (B, outputs, R, ceil(T / stride)).

    `across` sees `rows` rows, `along` one; of an image's first block `rows` is three, later one.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        rows: int = 1,
        stride: int = 1,
        gate: bool = False,
    ) -> None:
        super().__init__()
        self.across: nn.Module = before(inputs, outputs, rows, kernel, stride)
        self.along = before(outputs, outputs, 1, kernel)
        self.gate = SqueezeExcite(outputs) if gate else nn.Identity()
        same = inputs == outputs and stride == 1
        self.shortcut: nn.Module = (
            nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, (1, stride), bias=False)
        )
        self.rows, self.outputs, self.stride = rows, outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.gate(self.along(self.across(x)))


class ImEcg(System):
    """(B, R, T) to (B, outputs) logits."""

    last_map = "fuse"

    def __init__(self, outputs: int) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.stem = nn.Conv2d(1, STEM_WIDTH, (1, STEM), (1, 4), (0, STEM // 2), bias=False)
        self.first = nn.Sequential(
            DualKernel(STEM_WIDTH, a, KERNEL, 3, 2, gate=True), DualKernel(a, a, KERNEL, gate=True)
        )
        self.second = nn.Sequential(DualKernel(a, b, KERNEL, 3, 2), DualKernel(b, b, KERNEL))
        self.third = nn.ModuleList(
            nn.Sequential(
                DualKernel(b, c, k, 3, 2), *(DualKernel(c, c, k) for _ in range(DEEP - 1))
            )
            for k in BRANCHES
        )
        self.fuse = nn.Sequential(
            before(c * len(BRANCHES), FUSED, 1, 1), nn.BatchNorm2d(FUSED), nn.ReLU()
        )
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(FUSED, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(self.first(self.stem(image(x))))
        # (B, 32, rows, T' / 32)
        y = self.fuse(torch.cat([branch(y) for branch in self.third], dim=1))
        return self.head(self.dropout(y.mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Replace the kernels that cross rows by means over time, so that rows never mix."""
        gone = []
        for block in (m for m in self.modules() if isinstance(m, DualKernel) and m.rows > 1):
            gone.append(block.across)
            block.across = StandIn(block.outputs, block.stride)
        return gone


def image(x: Tensor) -> Tensor:
    """Leads as rows, or one lead folded into four: (B, R, T) to (B, 1, R, T), (B, 1, T) to (B, 1,
    4, ceil(T / 4)).
    """
    if x.shape[1] > 1:
        return x.unsqueeze(1)
    return functional.pad(x, (0, -x.shape[2] % FOLDS)).reshape(x.shape[0], 1, FOLDS, -1)


@architecture(
    "im_ecg",
    kinds=("classes",),
    source="Tao et al. 2024, DOI 10.1016/j.eswa.2023.121497",
    rows=(1, 12),
    mechanism="dual-kernel residual blocks over an image of rows: one kernel crosses rows, one runs along time",
)
def build(problem: Problem) -> nn.Module:
    """An image of rows through dual-kernel residual blocks."""
    return ImEcg(len(problem.outputs))
