"""MVKT-ECG: a network of one lead that learned from a teacher of twelve what the other leads show.

Qin et al., Computers in Biology and Medicine 2023, DOI 10.1016/j.compbiomed.2023.107503, arXiv
2301.12178. The student's task loss is joined by distillation of every label and by contrastive
lead-information transfer (CLT): its features are drawn to the teacher's of the same record and away
from those of records with other labels (models/training/distillation/mvkt.py).

We differ: the student is a depthwise-separable network of 48 channels instead of an xresnet1d101;
negatives come from the batch instead of a memory bank. What can be taken out of the network alone
is its depthwise filters; that the transfer matters is shown by training with and without it.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.ablation import StandIn
from models.architectures.layers.conv import conv, conv_relu
from models.architectures.layers.system import System

WIDTH, KERNEL, STEM = 48, 15, 15
BLOCKS = (1, 2, 1, 2)  # strides


class MvktSeparable(nn.Module):
    """Depthwise, then pointwise, beside a shortcut if the rate stays: (B, 48, 1, T) to (B, 48, 1,
    ceil(T / stride)).
    """

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.along: nn.Module = conv(WIDTH, WIDTH, KERNEL, stride, groups=WIDTH)
        self.across, self.stride = conv(WIDTH, WIDTH, 1), stride

    def forward(self, x: Tensor) -> Tensor:
        y = self.across(self.along(x))
        return functional.relu(x + y if self.stride == 1 else y)


class Mvkt(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    last_map = "blocks"

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.stem = conv_relu(1, WIDTH, STEM, 4)
        self.blocks = nn.Sequential(*(MvktSeparable(stride) for stride in BLOCKS))
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(WIDTH, outputs)

    def features(self, x: Tensor) -> Tensor:
        """Return the features that are compared with the teacher's: (B, 48)."""
        return self.blocks(self.stem(x.unsqueeze(2))).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.dropout(self.features(x)))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the filters along time after the stem."""
        gone = [block.along for block in self.blocks]
        for block in self.blocks:
            block.along = StandIn(WIDTH, block.stride)
        return gone


@architecture(
    "mvkt",
    kinds=("classes",),
    source="Qin et al. 2023, DOI 10.1016/j.compbiomed.2023.107503",
    mechanism="contrastive lead-information transfer from a 12-lead teacher to a one-lead student",
)
def build(problem: Problem) -> nn.Module:
    """A depthwise-separable student of a 12-lead teacher."""
    return Mvkt(len(problem.outputs))
