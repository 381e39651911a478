"""Mixers of tokens that see the whole window: each takes (B, L, C) and gives the same, with the
keys and values it chooses.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.layers.heads import WeightedSum


def pooled(x: Tensor, by: int) -> Tensor:
    """Means of `by` neighbours: (B, L, C) to (B, L / by, C)."""
    return x.unflatten(1, (x.shape[1] // by, by)).mean(dim=2)


class Shorten(nn.Module):
    """Strided convolution with norm: (B, L, C) to (B, ceil(L / by), C)."""

    def __init__(self, channels: int, by: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, by + 1, by, by // 2)
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x.transpose(1, 2)).transpose(1, 2))


class SpatialReduction(nn.Module):
    """SR attention (Wang et al. 2021, DOI 10.1109/ICCV48922.2021.00061): keys and values of half
    the length, queries of all.
    """

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.query, self.kv, self.out = (
            nn.Linear(channels, channels),
            nn.Linear(channels, 2 * channels),
            nn.Linear(channels, channels),
        )
        self.shorten, self.attend = Shorten(channels, 2), WeightedSum(heads)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.attend(self.query(x), *self.kv(self.shorten(x)).chunk(2, dim=-1)))


class Shunted(nn.Module):
    """Shunted attention (Ren et al. 2022, arXiv 2111.15193): half the heads see keys a fourth as
    long, half see keys half as long.

    A depthwise convolution of the values is added to them, as in the source.
    """

    STEPS = (4, 2)

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        half = channels // 2
        self.query, self.out = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.shorten = nn.ModuleList(Shorten(channels, by) for by in self.STEPS)
        self.kv = nn.ModuleList(nn.Linear(channels, 2 * half) for _ in self.STEPS)
        self.local = nn.ModuleList(
            nn.Conv1d(half, half, 3, padding=1, groups=half) for _ in self.STEPS
        )
        self.attend = WeightedSum(heads // 2)

    def forward(self, x: Tensor) -> Tensor:
        seen = []
        for q, shorten, kv, local in zip(
            self.query(x).chunk(2, dim=-1), self.shorten, self.kv, self.local, strict=True
        ):
            k, v = kv(shorten(x)).chunk(2, dim=-1)
            v = v + local(v.transpose(1, 2)).transpose(1, 2)
            seen.append(self.attend(q, k, v))
        return self.out(torch.cat(seen, dim=-1))


class SparseTokens(nn.Module):
    """Semantic tokens (STViT, Chang et al. 2023, arXiv 2303.08685): a few pooled tokens gather from
    all, mix, and give back to all.

    We differ: the pooled tokens are means of neighbours, of which there is one for five tokens, and
    recovery is in the same layer.
    """

    POOL = 5

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.gather = nn.ModuleList(nn.Linear(channels, n * channels) for n in (1, 2))
        self.spread = nn.ModuleList(nn.Linear(channels, n * channels) for n in (1, 2))
        self.norm, self.out, self.attend = (
            nn.LayerNorm(channels),
            nn.Linear(channels, channels),
            WeightedSum(heads),
        )

    def _cross(self, layers: nn.ModuleList, asking: Tensor, answering: Tensor) -> Tensor:
        return self.attend(layers[0](asking), *layers[1](answering).chunk(2, dim=-1))

    def semantic(self, x: Tensor) -> Tensor:
        """(B, L, C) to (B, L / 5, C)."""
        few = pooled(x, self.POOL)
        return self.norm(few + self._cross(self.gather, few, x))

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self._cross(self.spread, x, self.semantic(x)))
