"""ECGNet: parallel kernels, residual convolutions, and a recurrent layer that reads the signal
itself (Murugesan et al. 2018, DOI 10.1109/MeMeA.2018.8438739; 97.6 % of MIT-BIH's beats, patients
on both sides of the split).

Four kernels of 15 to 21 samples look at the signal side by side; residual convolutions follow; an
LSTM beside them reads the signal, and both are classified together.

We differ: 16 to 32 channels in 6 blocks of kernel 9 for 10 s, the branches meet as channels (the
published code joins them in time), the LSTM reads means of 16 samples and the convolutions are
averaged over time.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import MultiKernel, conv_relu
from models.architectures.layers.depthwise import biased
from models.architectures.layers.system import System

KERNELS, EACH = (15, 17, 19, 21), 4
WIDTHS = (16, 16, 24, 24, 32, 32)
KERNEL, HIDDEN, STEP = 9, 24, 16


class PreActivation(nn.Module):
    """Norm, ReLU, convolution, twice, beside a shortcut (He et al. 2016, arXiv 1603.05027): (B,
    inputs, 1, T) to (B, outputs, 1, T).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.BatchNorm2d(inputs), nn.ReLU(), biased(inputs, outputs, KERNEL),
            nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1), biased(outputs, outputs, KERNEL),
        )  # fmt: skip
        self.shortcut = nn.Identity() if inputs == outputs else biased(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.shortcut(x) + self.body(x)


class SignalReader(nn.Module):
    """An LSTM on means of 16 samples: (B, 1, T) to its last state, (B, HIDDEN)."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.lstm = nn.AvgPool1d(STEP), nn.LSTM(1, HIDDEN, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.lstm(self.pool(x).transpose(1, 2))[0][:, -1]


class NothingRead(nn.Module):
    """Nothing read, for the ablation."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], HIDDEN)


class EcgNet(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    last_map = "blocks"

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.parallel = MultiKernel(1, EACH, KERNELS, 2)
        self.stem = nn.Sequential(conv_relu(EACH * len(KERNELS), WIDTHS[0], 17, 2))
        layers: list[nn.Module] = []
        for place, (a, b) in enumerate(zip((WIDTHS[0], *WIDTHS), WIDTHS, strict=False)):
            layers += [PreActivation(a, b), *([nn.MaxPool2d((1, 2))] if place % 2 else [])]
        self.blocks = nn.Sequential(*layers, nn.BatchNorm2d(WIDTHS[-1]), nn.ReLU())
        self.reader: nn.Module = SignalReader()
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(WIDTHS[-1] + HIDDEN, outputs)

    def forward(self, x: Tensor) -> Tensor:
        seen = self.blocks(self.stem(self.parallel(x.unsqueeze(2)))).mean(dim=(2, 3))
        return self.head(self.dropout(torch.cat([seen, self.reader(x)], dim=1)))

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the recurrent layer that reads the signal."""
        gone, self.reader = [self.reader], NothingRead()
        return gone


@architecture(
    "ecgnet",
    kinds=("classes",),
    source="Murugesan et al. 2018, DOI 10.1109/MeMeA.2018.8438739",
    mechanism="kernels of 15 to 21 samples side by side, and an LSTM that reads the signal beside the convolutions",
)
def build(problem: Problem) -> nn.Module:
    """Parallel kernels and residual blocks beside an LSTM."""
    return EcgNet(len(problem.outputs))
