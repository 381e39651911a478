"""Inverted residuals: MobileNetV2, MobileNetV3 and EfficientNet on one lead.

MobileNetV2 (Sandler et al. 2018, DOI 10.1109/CVPR.2018.00474) widens, convolves depthwise and
narrows again without an activation: the bottleneck is linear. MobileNetV3 (Howard et al. 2019, DOI
10.1109/ICCV.2019.00140) adds channel gates with a hard sigmoid and h-swish. EfficientNet (Tan and
Le 2019, arXiv 1905.11946) adds gates with swish and scales depth, width and resolution together.

We differ: one axis, kernel 9 as beats are longer than edges, 16 to 64 channels, a stem of stride 4;
EfficientNet's resolution is the sampling rate at which its stem hands over, and its scale is
compound coefficient 0 (B0) of a base of our own.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv
from models.architectures.layers.system import System

KERNEL, EXPANSION = 9, 6
WIDTHS, DEPTHS = (16, 24, 40, 64), (1, 2, 2, 2)
ALPHA, BETA, GAMMA = (
    1.2,
    1.1,
    1.15,
)  # depth, width and resolution of EfficientNet for one step of its coefficient


class HardGate(nn.Module):
    """Squeeze-and-excitation whose gate is `gate`: (B, C, 1, T) to the same."""

    def __init__(self, channels: int, hidden: int, gate: nn.Module) -> None:
        super().__init__()
        self.squeeze, self.excite, self.gate = (
            nn.Conv2d(channels, hidden, 1),
            nn.Conv2d(hidden, channels, 1),
            gate,
        )

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1), from 0 to 1."""
        return self.gate(self.excite(torch.relu(self.squeeze(x.mean(dim=(2, 3), keepdim=True)))))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class Inverted(nn.Module):
    """Widen, depthwise, gate, narrow without activation; residual if shapes allow: (B, inputs, 1,
    T) to (B, outputs, 1, ceil(T / stride)).
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        stride: int,
        expansion: int,
        active: type[nn.Module] = nn.ReLU6,
        gate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        inner = expansion * inputs
        self.widen = (
            nn.Sequential(conv(inputs, inner, 1), active()) if expansion > 1 else nn.Identity()
        )
        self.along_time: nn.Module = nn.Sequential(
            conv(inner, inner, KERNEL, stride, groups=inner), active()
        )
        self.gate: nn.Module = HardGate(inner, max(4, inputs // 4), gate) if gate else nn.Identity()
        self.narrow = conv(inner, outputs, 1)
        self.residual = inputs == outputs and stride == 1

    def forward(self, x: Tensor) -> Tensor:
        y = self.narrow(self.gate(self.along_time(self.widen(x))))
        return x + y if self.residual else y


class InvertedNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(
        self,
        leads: int,
        outputs: int,
        widths: tuple[int, ...] = WIDTHS,
        depths: tuple[int, ...] = DEPTHS,
        stem_stride: int = 4,
        expansion: int = EXPANSION,
        active: type[nn.Module] = nn.ReLU6,
        gate: nn.Module | None = None,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv(leads, widths[0], 15, stem_stride), active()]
        for stage, ((a, b), depth) in enumerate(
            zip(pairwise((widths[0], *widths)), depths, strict=True)
        ):
            for place in range(depth):
                stride = 2 if stage and not place else 1
                layers.append(
                    Inverted(b if place else a, b, stride, expansion if stage else 1, active, gate)
                )
        self.body = nn.Sequential(*layers)
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(widths[-1], outputs)
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):  # He et al. 2015: otherwise twenty layers fade
                nn.init.kaiming_normal_(module.weight)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x.unsqueeze(2)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the gates, or, if there are none, the depthwise convolutions in the blocks that
        keep the rate.
        """
        gone: list[nn.Module] = []
        for block in (layer for layer in self.body if isinstance(layer, Inverted)):
            if isinstance(block.gate, HardGate):
                gone.append(block.gate)
                block.gate = nn.Identity()
            elif block.residual:
                gone.append(block.along_time)
                block.along_time = nn.Identity()
        return gone


def compound(step: float) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Widths, depths and stride of the stem of EfficientNet scaled by one coefficient; 0 is the
    base.
    """
    widths = tuple(8 * max(1, round(w * BETA**step / 8)) for w in WIDTHS)
    depths = tuple(max(1, round(d * ALPHA**step)) for d in DEPTHS)
    return widths, depths, max(1, round(4 / GAMMA**step))


@architecture(
    "mobilenet_v2",
    kinds=("classes",),
    source="Sandler et al. 2018, DOI 10.1109/CVPR.2018.00474",
    mechanism="inverted residuals with a linear bottleneck",
)
def mobilenet_v2(problem: Problem) -> nn.Module:
    """Inverted residuals with linear bottlenecks."""
    return InvertedNet(problem.rows, len(problem.outputs))


@architecture(
    "mobilenet_v3",
    kinds=("classes",),
    source="Howard et al. 2019, DOI 10.1109/ICCV.2019.00140",
    mechanism="inverted residuals with hard-sigmoid channel gates and h-swish",
)
def mobilenet_v3(problem: Problem) -> nn.Module:
    """Inverted residuals with hard gates and h-swish."""
    return InvertedNet(
        problem.rows, len(problem.outputs), expansion=4, active=nn.Hardswish, gate=nn.Hardsigmoid()
    )


@architecture(
    "efficientnet",
    kinds=("classes",),
    source="Tan and Le 2019, arXiv 1905.11946",
    mechanism="gated inverted residuals whose depth, width and rate are scaled by one coefficient",
)
def efficientnet(problem: Problem) -> nn.Module:
    """Gated inverted residuals under compound scaling."""
    widths, depths, stride = compound(0)
    return InvertedNet(
        problem.rows,
        len(problem.outputs),
        widths,
        depths,
        stride,
        active=nn.SiLU,
        gate=nn.Sigmoid(),
    )
