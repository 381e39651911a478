"""ShuffleNetV2 on one lead (Ma et al. 2018, DOI 10.1007/978-3-030-01264-9_8).

A block splits its channels: half pass untouched, half go through pointwise, depthwise and pointwise
convolutions; the halves are put side by side and shuffled, so that the next block splits them
otherwise. No group convolution but depthwise, no addition.

We differ: one axis, kernel 9, 16 to 64 channels, a stem of stride 4.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv, conv_relu
from models.architectures.layers.system import System

KERNEL = 9
WIDTHS, DEPTHS = (24, 48, 96), (3, 4, 3)


class Shuffle(nn.Module):
    """A fixed permutation: channels of the two halves in turn: (B, C, 1, T) to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(1, (2, x.shape[1] // 2)).transpose(1, 2).flatten(1, 2)


def branch(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Pointwise, depthwise, pointwise."""
    return nn.Sequential(
        conv_relu(inputs, outputs, 1), conv(outputs, outputs, KERNEL, stride, groups=outputs), conv_relu(outputs, outputs, 1)
    )  # fmt: skip


class Keep(nn.Module):
    """Half of the channels are convolved: (B, C, 1, T) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.branch, self.shuffle = branch(channels // 2, channels // 2, 1), Shuffle()

    def forward(self, x: Tensor) -> Tensor:
        kept, seen = x.chunk(2, dim=1)
        return self.shuffle(torch.cat([kept, self.branch(seen)], dim=1))


class Halve(nn.Module):
    """Both halves of the output are convolved at stride 2: (B, inputs, 1, T) to (B, outputs, 1,
    ceil(T / 2)).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(
            conv(inputs, inputs, KERNEL, 2, groups=inputs), conv_relu(inputs, half, 1)
        )
        self.right, self.shuffle = branch(inputs, half, 2), Shuffle()

    def forward(self, x: Tensor) -> Tensor:
        return self.shuffle(torch.cat([self.left(x), self.right(x)], dim=1))


class ShuffleNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(self, leads: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_relu(leads, 16, 15, 4)]
        for inputs, channels, depth in zip((16, *WIDTHS), WIDTHS, DEPTHS, strict=False):
            layers += [Halve(inputs, channels), *(Keep(channels) for _ in range(depth))]
        self.body = nn.Sequential(*layers)
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(WIDTHS[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.body(x.unsqueeze(2)).mean(dim=(2, 3))))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the shuffle, so that the halves are never mixed."""
        gone: list[nn.Module] = []
        for layer in self.body:
            if isinstance(layer, Keep | Halve):
                gone.append(layer.shuffle)
                layer.shuffle = nn.Identity()
        return gone


@architecture(
    "shufflenet_v2",
    kinds=("classes",),
    source="Ma et al. 2018, DOI 10.1007/978-3-030-01264-9_8",
    mechanism="half of the channels convolved, halves shuffled",
)
def build(problem: Problem) -> nn.Module:
    """Split, convolve half, shuffle."""
    return ShuffleNet(problem.rows, len(problem.outputs))
