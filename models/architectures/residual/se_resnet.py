"""SE-ResNet of the 2020 Challenge's second place (Zhao et al. 2020, DOI 10.22489/CinC.2020.112;
official test score 0.520).

Basic residual blocks of kernel 7 with squeeze-and-excitation in four stages, and a threshold for
every class that is fitted after training and travels with the network.

We differ: 16 to 48 channels and a stem of stride 4 for one lead (32 to 128 on 12 leads, where it is
the zoo's teacher), no age and sex, and the thresholds act as offsets of the logits, so that the
likeliest class is chosen by them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import Residual, conv_relu
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.system import System

ONE_LEAD, TWELVE_LEADS = (16, 24, 32, 48), (32, 48, 64, 128)
DEPTH, KERNEL, REDUCTION, DROPOUT = 2, 7, 8, 0.2


class Thresholds(nn.Module):
    """Subtracts each class's threshold from its logit, so that zero is the threshold: (B, K) to the
    same. A buffer: stored, never trained.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.register_buffer("offset", torch.zeros(classes))

    def set(self, probabilities: Tensor) -> None:
        """Take the thresholds (K,) in (0, 1) that were chosen on validation records."""
        self.offset = torch.logit(probabilities)

    def forward(self, x: Tensor) -> Tensor:
        return x - self.offset


class SeResNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(self, leads: int, outputs: int, widths: tuple[int, ...] = ONE_LEAD) -> None:
        super().__init__()
        blocks: list[nn.Module] = []
        for inputs, channels in pairwise((widths[0], *widths)):
            for place in range(DEPTH):
                stride = 2 if place == 0 and blocks else 1
                blocks.append(
                    Residual(
                        inputs if place == 0 else channels,
                        channels,
                        KERNEL,
                        stride,
                        SqueezeExcite(channels, REDUCTION),
                    )
                )
        self.stem = nn.Sequential(
            conv_relu(leads, widths[0], 15, 2), nn.MaxPool2d((1, 3), (1, 2), (0, 1))
        )
        self.body = nn.Sequential(*blocks)
        self.dropout, self.head, self.thresholds = (
            nn.Dropout(DROPOUT),
            nn.Linear(widths[-1], outputs),
            Thresholds(outputs),
        )

    def features(self, x: Tensor) -> Tensor:
        """(B, leads, T) to (B, widths[-1])."""
        return self.body(self.stem(x.unsqueeze(2))).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.thresholds(self.head(self.dropout(self.features(x))))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the weights of channels."""
        gone: list[nn.Module] = []
        for block in self.body:
            gone.append(block.gate)
            block.gate = nn.Identity()
        return gone


@architecture(
    "se_resnet",
    kinds=("classes",),
    rows=(1, 12),
    source="Zhao et al. 2020, DOI 10.22489/CinC.2020.112",
    mechanism="squeeze-and-excitation in residual blocks, and a threshold of each class that is stored with the network",
)
def build(problem: Problem) -> nn.Module:
    """Residual network with channel gates and stored class thresholds."""
    return SeResNet(
        problem.rows, len(problem.outputs), TWELVE_LEADS if problem.rows > 1 else ONE_LEAD
    )
