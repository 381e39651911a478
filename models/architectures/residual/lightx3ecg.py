"""LightX3ECG: a light backbone per lead and attention over leads (Le et al. 2023, DOI
10.1016/j.bspc.2023.104963).

Leads I, II and V1 each go through depthwise-separable residual blocks of their own; a gate made of
all three weighs them by a sigmoid each (not a softmax: a lead's weight does not depend on another's
being low), and their sum is classified. In training leads are dropped at random. Published: F1
0.9718 on Chapman, 0.8004 on CPSC2018, with thresholds selected on the evaluation fold.

We differ: 8 to 64 channels. On one lead the three rows are the signal, its first difference and its
part below 5 Hz, so that the attention is over views of one lead; on 12 leads they are I, II and V1
as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv, conv_relu
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.spectra import Bands, Derivative
from models.architectures.layers.system import System

ONE_LEAD, THREE_LEADS = (8, 16, 32, 64), (16, 32, 64, 128)
CHOSEN = (0, 1, 6)  # I, II and V1 of twelve leads in their usual order
KERNEL, REDUCTION, HIDDEN, LEAD_DROP = 7, 8, 32, 0.5


def separable(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Depthwise, then pointwise with BatchNorm: (B, inputs, 1, T) to (B, outputs, 1, ceil(T /
    stride)).
    """
    along = nn.Conv2d(
        inputs, inputs, (1, KERNEL), (1, stride), (0, KERNEL // 2), groups=inputs, bias=False
    )
    return nn.Sequential(along, conv(inputs, outputs, 1))


class LightBlock(nn.Module):
    """Two separable convolutions with a gate, beside a shortcut: (B, inputs, 1, T) to (B, outputs,
    1, ceil(T / stride)).
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(separable(inputs, outputs, stride), nn.ReLU(), nn.Dropout(0.1))
        self.second = separable(outputs, outputs, 1)
        self.gate = SqueezeExcite(outputs, REDUCTION)
        self.shortcut = (
            nn.Identity() if inputs == outputs and stride == 1 else conv(inputs, outputs, 1, stride)
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.shortcut(x) + self.gate(self.second(self.first(x))))


def backbone(widths: tuple[int, ...]) -> nn.Module:
    """One row (B, 1, 1, T) to (B, widths[-1], 1, T / 32)."""
    layers: list[nn.Module] = [conv_relu(1, widths[0], 15, 2), nn.MaxPool2d((1, 3), (1, 2), (0, 1))]
    for stage, channels in enumerate(widths):
        layers += [
            LightBlock(widths[max(0, stage - 1)], channels, 2 if stage else 1),
            LightBlock(channels, channels, 1),
        ]
    return nn.Sequential(*layers)


class LeadAttention(nn.Module):
    """(B, rows, C) to the weights of the rows, (B, rows, 1), each in (0, 1)."""

    def __init__(self, rows: int, channels: int) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(rows * channels, HIDDEN),
            nn.BatchNorm1d(HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(HIDDEN, rows),
            nn.Sigmoid(),
        )

    def forward(self, features: Tensor) -> Tensor:
        return self.net(features.flatten(1)).unsqueeze(2)


class Same(nn.Module):
    """Every row counts in full, for the ablation."""

    def forward(self, features: Tensor) -> Tensor:
        return torch.ones_like(features[:, :, :1])


class LightX3(System):
    """(B, 1 or 12, T) scaled samples to (B, outputs) logits."""

    def __init__(self, leads: int, outputs: int) -> None:
        super().__init__()
        widths = ONE_LEAD if leads == 1 else THREE_LEADS
        self.leads, self.slow, self.slope = leads, Bands(((None, 5.0),)), Derivative()
        self.backbones = nn.ModuleList(backbone(widths) for _ in CHOSEN)
        self.lead_attention: nn.Module = LeadAttention(len(CHOSEN), widths[-1])
        self.dropout, self.head = nn.Dropout(0.2), nn.Linear(widths[-1], outputs)

    def rows(self, x: Tensor) -> Tensor:
        """Return the rows that the backbones read: (B, 3, T)."""
        if self.leads > 1:
            return x[:, list(CHOSEN)]
        return torch.cat([x, 4 * self.slope(x), self.slow(x)], dim=1)

    def weigh(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of rows (B, 3, T), and the weights of the rows (B, 3)."""
        each = [
            net(rows[:, i : i + 1].unsqueeze(2)).mean(dim=(2, 3))
            for i, net in enumerate(self.backbones)
        ]
        features = torch.stack(each, dim=1)  # (B, 3, C)
        weights = self.lead_attention(features)
        return self.head(self.dropout((weights * features).sum(dim=1))), weights.squeeze(2)

    def forward(self, x: Tensor) -> Tensor:
        rows = self.rows(x)
        return self.weigh(dropped(rows) if self.training else rows)[0]

    def ablate(self) -> Sequence[nn.Module]:
        """Give all rows the same weight."""
        gone, self.lead_attention = [self.lead_attention], Same()
        return gone


def dropped(rows: Tensor) -> Tensor:
    """In half of the records one row, at random, is silent: (B, 3, T) to the same."""
    which = torch.randint(rows.shape[1], (rows.shape[0],), device=rows.device)
    gone = nn.functional.one_hot(which, rows.shape[1]) * (
        torch.rand(rows.shape[0], 1, device=rows.device) < LEAD_DROP
    )
    return rows * (1 - gone).unsqueeze(2)


@architecture(
    "lightx3ecg",
    kinds=("classes",),
    rows=(1, 12),
    source="Le et al. 2023, DOI 10.1016/j.bspc.2023.104963",
    mechanism="a backbone of its own for each lead, and a sigmoid weight of each lead made of all",
)
def build(problem: Problem) -> nn.Module:
    """Three light backbones under lead attention."""
    return LightX3(problem.rows, len(problem.outputs))
