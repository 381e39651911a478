"""A U-net: the first beat network of this path, and the peer of the deployed one on tasks that
answer sample by sample.

A depthwise-separable U-net (Ronneberger et al. 2015, DOI 10.1007/978-3-319-24574-4_28; separable
convolutions: Chollet 2017, DOI 10.1109/CVPR.2017.195) that keeps the full resolution beside three
coarser ones, as ECG-CL does (Gao et al. 2023, arXiv 2304.04646). We differ: skips are added, not
concatenated, and the branches meet only on the way up, which halves the multiplications.

One-dimensional convolutions are written as two-dimensional ones over (B, C, 1, T): ONNX Runtime's
blocked kernels serve only those.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture

# channels at 125, 62.5, 31.25 and 15.6 Hz; multiples of 16 fill the blocked kernels
WIDTHS = (16, 32, 32, 48)
KERNEL = 9
DILATIONS = (1, 2, 4)  # at the coarsest resolution: 2.1 s at the last


class UnetSeparable(nn.Module):
    """Depthwise convolution over time, then a mix of channels; residual where shapes allow."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        pad = (KERNEL - 1) // 2 * dilation
        self.depth = nn.Conv2d(
            inputs,
            inputs,
            (1, KERNEL),
            (1, stride),
            (0, pad),
            (1, dilation),
            groups=inputs,
            bias=False,
        )
        self.mix = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:  # (B, inputs, 1, T) -> (B, outputs, 1, T / stride)
        y = self.norm(self.mix(self.depth(x)))
        return functional.relu(x + y if self.residual else y)


class UpStep(nn.Module):
    """One step up: mix the coarse features, double their resolution, add the fine ones, refine."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(coarse, fine, 1)
        self.refine = UnetSeparable(fine, fine)

    # (B, coarse, 1, T / 2), (B, fine, 1, T) -> (B, fine, 1, T)
    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        up = functional.interpolate(self.mix(coarse), scale_factor=(1.0, 2.0), mode="nearest")
        return self.refine(fine + up)


class UNet(nn.Module):
    """(B, 1, T) scaled signal at 125 Hz, T a multiple of 8, to (B, outputs, T) logits."""

    def __init__(self, outputs: int, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__()
        a, b, c, d = widths
        self.stem = nn.Sequential(
            nn.Conv2d(1, a, (1, KERNEL), padding=(0, KERNEL // 2), bias=False),
            nn.BatchNorm2d(a),
            nn.ReLU(),
        )
        self.fine = UnetSeparable(a, a)
        self.down1 = nn.Sequential(UnetSeparable(a, b, stride=2), UnetSeparable(b, b))
        self.down2 = nn.Sequential(UnetSeparable(b, c, stride=2), UnetSeparable(c, c))
        self.bottom = nn.Sequential(
            UnetSeparable(c, d, stride=2), *(UnetSeparable(d, d, dilation=k) for k in DILATIONS)
        )
        self.up2 = UpStep(d, c)
        self.up1 = UpStep(c, b)
        self.up0 = UpStep(b, a)
        self.head = nn.Conv2d(a, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x0 = self.fine(self.stem(x.unsqueeze(2)))  # (B, 16, 1, T)
        x1 = self.down1(x0)  # (B, 32, 1, T / 2)
        x2 = self.down2(x1)  # (B, 32, 1, T / 4)
        x3 = self.bottom(x2)  # (B, 48, 1, T / 8)
        y = self.up0(self.up1(self.up2(x3, x2), x1), x0)  # (B, 16, 1, T)
        return torch.squeeze(self.head(y), 2)


@architecture(
    "unet", kinds=("samples",), source="Ronneberger et al. 2015, DOI 10.1007/978-3-319-24574-4_28"
)
def build(problem: Problem) -> nn.Module:
    """Depthwise-separable U-net of four resolutions."""
    return UNet(len(problem.outputs))
