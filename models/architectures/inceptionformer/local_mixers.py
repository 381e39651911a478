"""Mixers of tokens that look into windows of ten: each takes (B, L, C), L a multiple of ten, and
gives the same.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.inceptionformer.mixers import pooled
from models.architectures.layers.heads import WeightedSum

WINDOW = 10  # tokens


def windows(x: Tensor) -> Tensor:
    """(B, L, C) to (B, L / 10, 10, C)."""
    return x.unflatten(1, (x.shape[1] // WINDOW, WINDOW))


class Window(nn.Module):
    """Attention inside each window (Liu et al. 2021, arXiv 2103.14030), with a learned bias for the
    distance of two tokens.
    """

    SHIFT = 0

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.qkv, self.out, self.attend = (
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
            WeightedSum(heads),
        )
        self.distance = nn.Parameter(torch.zeros(heads, 2 * WINDOW - 1))
        at = torch.arange(WINDOW)
        self.register_buffer("index", at[:, None] - at[None] + WINDOW - 1)
        self.register_buffer("mask", self._mask(length))

    def _mask(self, length: int) -> Tensor:
        """(windows, 1, 10, 10): large and negative between tokens that only the shift has brought
        into one window.
        """
        turned = torch.roll(torch.arange(length) < self.SHIFT, -self.SHIFT).view(-1, WINDOW)
        return -1e4 * (turned[:, None, :, None] != turned[:, None, None, :]).float()

    def forward(self, x: Tensor) -> Tensor:
        if self.SHIFT:
            x = torch.roll(x, -self.SHIFT, dims=1)
        q, k, v = windows(self.qkv(x)).chunk(3, dim=-1)
        bias = self.distance[:, self.index] + self.mask
        y = self.out(self.attend(q, k, v, bias).flatten(1, 2))
        return torch.roll(y, self.SHIFT, dims=1) if self.SHIFT else y


class ShiftedWindow(Window):
    """Windows moved by half of their length, so that what a window's border parted meets; the first
    and last tokens do not.
    """

    SHIFT = WINDOW // 2


class WindowPair(nn.Module):
    """Windows, then shifted windows, as Swin stacks them: two mixers in a row, so that one layer
    already crosses borders.
    """

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.first, self.norm = Window(channels, heads, length), nn.LayerNorm(channels)
        self.second = ShiftedWindow(channels, heads, length)

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.first(x)
        return self.second(self.norm(y))


class BiRouting(nn.Module):
    """Bi-level routing (BiFormer, Zhu et al. 2023, arXiv 2303.08810): each window attends to the
    few windows most like it, gathered whole.

    Likeness is that of the windows' mean queries and keys; a depthwise convolution of the values is
    added. The number of windows kept is fixed by the length (two in five, at least one), so that
    the graph has no shape that depends on data.
    """

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        self.kept = max(1, length // WINDOW * 2 // 5)
        self.qkv, self.out, self.attend = (
            nn.Linear(channels, 3 * channels),
            nn.Linear(channels, channels),
            WeightedSum(heads),
        )
        self.local = nn.Conv1d(channels, channels, 5, padding=2, groups=channels)

    def routes(self, q: Tensor, k: Tensor) -> Tensor:
        """Windows that each window reads: (B, L, C) twice to (B, windows, kept)."""
        affinity = torch.matmul(pooled(q, WINDOW), pooled(k, WINDOW).transpose(1, 2))
        return affinity.topk(self.kept, dim=-1).indices

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).chunk(3, dim=-1)
        index = self.routes(q, k)[..., None, None].expand(
            -1, -1, -1, WINDOW, x.shape[2]
        )  # (B, windows, kept, 10, C)
        keys, values = (self._gathered(windows(part), index) for part in (k, v))
        seen = self.attend(windows(q), keys, values).flatten(1, 2)
        return self.out(seen + self.local(v.transpose(1, 2)).transpose(1, 2))

    @staticmethod
    def _gathered(x: Tensor, index: Tensor) -> Tensor:
        """(B, windows, 10, C) to (B, windows, kept * 10, C)."""
        each = x.unsqueeze(1).expand(-1, x.shape[1], -1, -1, -1)
        return each.gather(2, index).flatten(2, 3)


class HiLo(nn.Module):
    """HiLo attention (Pan et al. 2022, arXiv 2205.13213): half the heads inside windows (high),
    half on the windows' means (low).
    """

    def __init__(self, channels: int, heads: int, length: int) -> None:
        super().__init__()
        half = channels // 2
        self.high = nn.Linear(channels, 3 * half)
        self.low_query, self.low_kv = nn.Linear(channels, half), nn.Linear(channels, 2 * half)
        self.out, self.attend = nn.Linear(channels, channels), WeightedSum(heads // 2)

    def forward(self, x: Tensor) -> Tensor:
        high = self.attend(*windows(self.high(x)).chunk(3, dim=-1)).flatten(1, 2)
        low = self.attend(self.low_query(x), *self.low_kv(pooled(x, WINDOW)).chunk(2, dim=-1))
        return self.out(torch.cat([high, low], dim=-1))
