"""MVMS-net: views of a record, each read at several scales with coordinate attention, weighed
against each other for each record.

Yang, Lian, Zeng et al., IEEE Transactions on Emerging Topics in Computational Intelligence 2023,
DOI 10.1109/TETCI.2023.3235374. Twelve leads form six views by anatomy; each has its own Res2 blocks
(Gao et al. 2021, DOI 10.1109/TPAMI.2019.2938758) and one-dimensional coordinate attention; a
learned weight per record and view fuses them. Its single-view student is distilled
(models/training/distillation).

We differ: one lead's views are the signal, its derivative, 0.5-5 Hz and 15-40 Hz; widths 16 and 32
instead of 64 and 128, stem stride four. As in the public code, the splits of a Res2 block do not
feed each other (its form with a stride).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv
from models.architectures.layers.gates import CoordinateAttention
from models.architectures.layers.spectra import Bands, Derivative
from models.architectures.layers.system import System

STEM, KERNEL = 25, 15
WIDTHS = (16, 32)
SPLITS = 4
# aVR; I aVL; V1 V2; V3 V4; V5 V6; II III aVF
ANATOMY = ((3,), (0, 4), (6, 7), (8, 9), (10, 11), (1, 2, 5))


class LeadViews(nn.Module):
    """One lead as four views of one row: (B, 1, T) to a list of (B, 1, T)."""

    widths = (1, 1, 1, 1)

    def __init__(self) -> None:
        super().__init__()
        self.slope, self.bands = Derivative(), Bands(((0.5, 5.0), (15.0, 40.0)), taps=125)

    def forward(self, x: Tensor) -> list[Tensor]:
        bands = self.bands(x)
        return [x, self.slope(x), bands[:, :1], bands[:, 1:]]


class AnatomicalViews(nn.Module):
    """Twelve leads as six views: (B, 12, T) to a list of (B, leads, T)."""

    widths = tuple(len(view) for view in ANATOMY)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x[:, list(view)] for view in ANATOMY]


class OneView(nn.Module):
    """All leads together: the student's."""

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.widths = (rows,)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x]


class Res2(nn.Module):
    """Channels in four splits, three of them convolved, then coordinate attention: (B, inputs, 1,
    T) to (B, outputs, 1, ceil(T / 2)).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        part = outputs // SPLITS
        self.enter, self.leave = conv(inputs, outputs, 1), conv(outputs, outputs, 1)
        self.splits = nn.ModuleList(conv(part, part, KERNEL, 2) for _ in range(SPLITS - 1))
        self.pool = nn.AvgPool2d((1, 3), (1, 2), (0, 1))
        self.attend: nn.Module = CoordinateAttention(outputs)
        self.shortcut = conv(inputs, outputs, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        *convolved, last = functional.mish(self.enter(x)).chunk(SPLITS, dim=1)
        parts = [
            functional.mish(split(part)) for split, part in zip(self.splits, convolved, strict=True)
        ]
        y = self.leave(torch.cat([*parts, self.pool(last)], dim=1))
        return functional.mish(self.shortcut(x) + self.attend(y))


class View(nn.Module):
    """Encode one view, (B, leads, T), as features (B, 32)."""

    def __init__(self, leads: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(leads, WIDTHS[0], STEM, 4), nn.Mish())
        self.blocks = nn.Sequential(Res2(WIDTHS[0], WIDTHS[1]), Res2(WIDTHS[1], WIDTHS[1]))

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.stem(x.unsqueeze(2))).mean(dim=(2, 3))


class Mvms(System):
    """(B, R, T) to (B, outputs) logits."""

    def __init__(self, views: LeadViews | AnatomicalViews | OneView, outputs: int) -> None:
        super().__init__()
        self.views = views
        self.each = nn.ModuleList(View(width) for width in views.widths)
        self.weigh = nn.ModuleList(nn.Linear(WIDTHS[-1], 1) for _ in views.widths)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(WIDTHS[-1], outputs)

    def look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Features of each view (B, V, 32), and its weight in (0, 1) (B, V, 1)."""
        each = [net(view) for net, view in zip(self.each, self.views(x), strict=True)]
        weights = [
            torch.sigmoid(weigh(features)) for weigh, features in zip(self.weigh, each, strict=True)
        ]
        return torch.stack(each, dim=1), torch.stack(weights, dim=1)

    def features(self, x: Tensor) -> Tensor:
        """The weighted sum of all views: (B, 32)."""
        features, weights = self.look(x)
        return (features * weights).sum(dim=1)

    def fuse(self, features: Tensor, weights: Tensor) -> Tensor:
        """Logits of the weighted sum."""
        return self.head(self.dropout((features * weights).sum(dim=1)))

    def forward(self, x: Tensor) -> Tensor:
        return self.fuse(*self.look(x))

    def ablate(self) -> Sequence[nn.Module]:
        """Give each view the weight one, and take out coordinate attention."""
        blocks = [m for m in self.modules() if isinstance(m, Res2)]
        gone = [*self.weigh, *(block.attend for block in blocks)]
        self.weigh = nn.ModuleList(Even() for _ in self.weigh)
        for block in blocks:
            block.attend = nn.Identity()
        return gone


def student(rows: int, outputs: int) -> Mvms:
    """The single-view student: all leads in one branch."""
    return Mvms(OneView(rows), outputs)


class Even(nn.Module):
    """Half for every view: (B, D) to (B, 1) zeros, whose sigmoid is 0.5."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.zeros_like(x[:, :1])


@architecture(
    "mvms",
    kinds=("classes",),
    source="Yang et al. 2023, DOI 10.1109/TETCI.2023.3235374",
    rows=(1, 12),
    mechanism="views under coordinate attention, fused by a learned weight of each for each record",
)
def build(problem: Problem) -> nn.Module:
    """Views of one lead or twelve, weighed for each record."""
    return Mvms(LeadViews() if problem.rows == 1 else AnatomicalViews(), len(problem.outputs))
