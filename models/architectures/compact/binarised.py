"""A network of binary weights and activations, and its real-valued teacher (Wu et al. 2020, DOI
10.1016/j.compbiomed.2020.103800).

Nine convolutions of kernel 11, each followed by mean pooling, norm and sign; weights are the signs
of real ones, through which gradients pass unchanged where the real one lies within +-1
(straight-through, Courbariaux et al. 2016, arXiv 1602.02830). It learns from the probabilities of a
teacher of the same shape. Published: CinC 2017 F1 0.88 (teacher) and 0.87 on the 300 validation
records.

We differ: 16 to 128 channels; no pooling after the last convolution; BatchNorm in the teacher too;
a scale of each output at the end; the input is rounded to sixteenths, so that all sums before a
norm are exact and no sign depends on the order of summation. The exported file holds one bit per
weight (packed when the network is set to evaluation); the runtime unpacks them when it loads, so
that size is gained and time is not.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.system import System

WIDTHS, KERNEL, FINENESS = (16, 16, 32, 32, 64, 64, 96, 96, 128), 11, 16.0
TIE = 1e-4


def signs(x: Tensor) -> Tensor:
    """+1 from zero on, else -1."""
    return torch.where(x >= 0, 1.0, -1.0)


def straight_sign(x: Tensor) -> Tensor:
    """Signs; the gradient passes where the input lies within +-1 and stops beyond."""
    sign = signs(x)
    through = sign * x.clamp(-1, 1)
    return sign * (1 + (through - through.detach()))


class Sign(nn.Module):
    """Binary activations: shape kept. Zero may come out of a norm as a little less, and counts as positive."""

    def forward(self, x: Tensor) -> Tensor:
        y = x + TIE
        return signs(y) if torch.onnx.is_in_onnx_export() else straight_sign(y)


class BinaryWeights(nn.Module):
    """Real weights that are trained, and their signs, which are used; in the exported graph only
    the packed signs are left.
    """

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.binary = True
        self.real = nn.Parameter(0.1 * torch.randn(shape).clamp(-2, 2))
        if self.real.numel() % 8:
            raise ValueError(f"{self.real.numel()} weights do not fill bytes")
        self.register_buffer("packed", torch.zeros(self.real.numel() // 8, dtype=torch.uint8))
        self.register_buffer("places", torch.arange(8, dtype=torch.uint8))

    def train(self, mode: bool = True) -> BinaryWeights:
        """Set to evaluation, pack the signs, eight to a byte."""
        if not mode:
            bits = (self.real.detach() >= 0).reshape(-1, 8).int()  # weights may be channels-last
            self.packed = (bits << self.places.int()).sum(dim=1).to(torch.uint8)
        return super().train(mode)

    def forward(self) -> Tensor:
        if not self.binary:
            return self.real
        if not torch.onnx.is_in_onnx_export():
            return straight_sign(self.real)
        bits = torch.bitwise_right_shift(self.packed.unsqueeze(1), self.places) % 2
        return bits.view(self.real.shape).float() * 2 - 1


class BinaryConv(nn.Module):
    """A convolution with binary weights: (B, inputs, 1, T) to (B, outputs, 1, T)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weights = BinaryWeights(outputs, inputs, 1, KERNEL)

    def forward(self, x: Tensor) -> Tensor:
        return functional.conv2d(x, self.weights(), padding=(0, KERNEL // 2))


class BinaryHead(nn.Module):
    """A binary matrix with a scale and an offset of each output: (B, C) to (B, outputs)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weights = BinaryWeights(outputs, inputs)
        self.scale, self.offset = (
            nn.Parameter(torch.full((outputs,), inputs**-0.5)),
            nn.Parameter(torch.zeros(outputs)),
        )

    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, self.weights()) * self.scale + self.offset


class Binarised(System):
    """(B, 1, T) scaled samples, T of 256 or more, to (B, outputs) logits; `binary` off: the
    teacher.
    """

    def __init__(self, outputs: int, binary: bool = True) -> None:
        super().__init__()
        self.binary = binary
        layers: list[nn.Module] = []
        for a, b in zip((1, *WIDTHS), WIDTHS, strict=False):
            layers += (
                [BinaryConv(a, b)]
                if binary
                else [nn.Conv2d(a, b, (1, KERNEL), padding=(0, KERNEL // 2), bias=False)]
            )
            pool = nn.AvgPool2d((1, 2)) if b != WIDTHS[-1] else nn.Identity()
            layers += [pool, nn.BatchNorm2d(b), Sign() if binary else nn.ReLU()]
        self.body = nn.Sequential(*layers)
        self.head = BinaryHead(WIDTHS[-1], outputs) if binary else nn.Linear(WIDTHS[-1], outputs)
        self.dropout = nn.Dropout(0.1)

    def forward(self, x: Tensor) -> Tensor:
        y = (x * FINENESS).round() / FINENESS
        return self.head(self.dropout(self.body(y.unsqueeze(2)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Replace binary weights and activations by real and rectified ones."""
        for place, layer in enumerate(self.body):
            if isinstance(layer, Sign):
                self.body[place] = nn.ReLU()
        for module in self.modules():
            if isinstance(module, BinaryWeights):
                module.binary = False
        return []


@architecture(
    "binarised_cnn",
    kinds=("classes",),
    source="Wu et al. 2020, DOI 10.1016/j.compbiomed.2020.103800",
    mechanism="weights and activations of one bit, with straight-through gradients",
)
def build(problem: Problem) -> nn.Module:
    """Nine convolutions of binary weights."""
    return Binarised(len(problem.outputs))


@architecture(
    "binarised_teacher",
    kinds=("classes",),
    source="Wu et al. 2020, DOI 10.1016/j.compbiomed.2020.103800",
)
def teacher(problem: Problem) -> nn.Module:
    """The binarised network's shape with real weights: its teacher."""
    return Binarised(len(problem.outputs), binary=False)
