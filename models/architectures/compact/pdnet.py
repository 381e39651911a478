"""PDNet: pointwise, then depthwise convolutions (CMES 125(1):365, 2020, DOI
10.32604/cmes.2020.010798; 98.2 % of MIT-BIH's beats, patients on both sides of the split).

A PD block mixes channels first and convolves each by itself after: the order of a separable
convolution turned round, with about one kernel's length fewer weights than a plain convolution.

We differ: four blocks of 16 to 48 channels with kernel 9 at stride 2, BatchNorm, the zoo's common
loss instead of the paper's own.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv, conv_relu
from models.architectures.layers.system import System

WIDTHS, KERNEL = (16, 24, 32, 48), 9


class PdBlock(nn.Module):
    """Pointwise, depthwise, pooling: (B, inputs, 1, T) to (B, outputs, 1, T / 2)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.pointwise = conv_relu(inputs, outputs, 1)
        self.depthwise: nn.Module = conv(outputs, outputs, KERNEL, groups=outputs)
        self.after = nn.Sequential(nn.ReLU(), nn.MaxPool2d((1, 2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.after(self.depthwise(self.pointwise(x)))


class PdNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(self, leads: int, outputs: int) -> None:
        super().__init__()
        blocks = [PdBlock(a, b) for a, b in zip((16, *WIDTHS), WIDTHS, strict=False)]
        self.body = nn.Sequential(conv_relu(leads, 16, KERNEL, 2), *blocks)
        self.dropout, self.head = nn.Dropout(0.1), nn.Linear(WIDTHS[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x.unsqueeze(2)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out all layers but the pointwise ones and pooling."""
        gone: list[nn.Module] = []
        for block in self.body:
            if isinstance(block, PdBlock):
                gone.append(block.depthwise)
                block.depthwise = nn.Identity()
        return gone


@architecture(
    "pdnet",
    kinds=("classes",),
    source="PDNet 2020, DOI 10.32604/cmes.2020.010798",
    mechanism="pointwise before depthwise convolutions",
)
def build(problem: Problem) -> nn.Module:
    """Pointwise, then depthwise blocks."""
    return PdNet(problem.rows, len(problem.outputs))
