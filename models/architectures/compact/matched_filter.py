"""A matched-filter network for beats: kernels that are templates, their best match anywhere, and RR
intervals (Farag 2023, Sensors 23(3):1365, DOI 10.3390/s23031365; MIT-BIH between patients: accuracy
98.18, F1 92.17, S Se 85.3, V Se 96.3; 15 KB).

A convolution whose kernels are beats answers with how like each template the signal is at each
moment; the maximum over time is the match. A small dense head reads the matches and the intervals
around the beat.

We differ: correlations are normed by the energy of template and signal, so that a match is 1
whatever the amplitude; templates hold the signal and its derivative; the intervals are those that
the task gives a beat. Templates begin as mean beats of the training patients
(models/training/steps/templates.py) or at random.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.system import System

TEMPLATES, LENGTH, HIDDEN = 24, 64, 32


class TemplateBank(nn.Module):
    """Best normed correlation with each template anywhere in a beat: (N, 2, T) to (N, TEMPLATES),
    from -1 to 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.templates = nn.Parameter(torch.randn(TEMPLATES, 2, LENGTH))

    def set(self, beats: Tensor) -> None:
        """Take beats (n, 2, T) as the first n templates, each cut around its middle."""
        begin = (beats.shape[2] - LENGTH) // 2
        with torch.no_grad():
            self.templates[: len(beats)] = beats[:, :, begin : begin + LENGTH]

    def matches(self, x: Tensor) -> Tensor:
        """At every moment: (N, TEMPLATES, T - LENGTH + 1)."""
        templates = (
            self.templates / (self.templates.square().sum(dim=(1, 2), keepdim=True) + 1e-6).sqrt()
        )
        answer = functional.conv2d(x.unsqueeze(2), templates.unsqueeze(2)).squeeze(2)
        energy = functional.avg_pool1d(x.square().sum(dim=1, keepdim=True), LENGTH, 1) * LENGTH
        return answer / (energy + 1e-3).sqrt()

    def forward(self, x: Tensor) -> Tensor:
        return self.matches(x).amax(dim=2)


class Blind(nn.Module):
    """No match at all, for the ablation."""

    def forward(self, x: Tensor) -> Tensor:
        return x.new_zeros(x.shape[0], TEMPLATES)


def with_slope(beats: Tensor) -> Tensor:
    """(N, T) to the beat and its first difference, twice as high: (N, 2, T)."""
    return torch.stack([beats, 2 * functional.pad(beats[:, 1:] - beats[:, :-1], (1, 0))], dim=1)


class MatchedFilter(System):
    """Beats with their numbers (B, R, T + extra) to logits of each beat (B, outputs, R)."""

    def __init__(self, length: int, extra: int, outputs: int) -> None:
        super().__init__()
        self.length = length
        self.bank: nn.Module = TemplateBank()
        self.head = nn.Sequential(
            nn.Linear(TEMPLATES + extra, HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Linear(HIDDEN, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(0, 1)
        seen = torch.cat(
            [self.bank(with_slope(rows[:, : self.length])), rows[:, self.length :]], dim=1
        )
        return self.head(seen).unflatten(0, (-1, x.shape[1])).transpose(1, 2)

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the filters: only the intervals stay."""
        gone, self.bank = [self.bank], Blind()
        return gone


@architecture(
    "matched_filter",
    kinds=("beats",),
    rows=(11,),
    source="Farag 2023, DOI 10.3390/s23031365",
    mechanism="kernels that are beat templates, their best match over time, and RR features",
)
def build(problem: Problem) -> nn.Module:
    """Beat templates and intervals under a small dense head."""
    return MatchedFilter(problem.spec.length, problem.extra, len(problem.outputs))
