"""Attention in several heads, whatever its queries, keys and values are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.layers.attention import AttentionWeights


class WeightedSum(nn.Module):
    """softmax(Q K' / sqrt(d) + bias) V in heads: queries (..., N, C), keys and values (..., M, C)
    to (..., N, C).
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.heads, self.weights = heads, AttentionWeights(dim=-1)

    def forward(
        self, query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None = None
    ) -> Tensor:
        q, k, v = (split_heads(part, self.heads) for part in (query, key, value))
        scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))  # (..., heads, N, M)
        return join_heads(torch.matmul(self.weights(scores if bias is None else scores + bias), v))


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(..., N, C) to (..., heads, N, C / heads)."""
    return x.unflatten(-1, (heads, x.shape[-1] // heads)).transpose(-2, -3)


def join_heads(x: Tensor) -> Tensor:
    """(..., heads, N, d) to (..., N, heads * d)."""
    return x.transpose(-2, -3).flatten(-2)


class MixerLayer(nn.Module):
    """Pre-norm transformer layer around any mixer of tokens: (B, N, C) to the same."""

    def __init__(self, channels: int, mixer: nn.Module, expansion: int = 2) -> None:
        super().__init__()
        self.norm1, self.norm2, self.mixer = nn.LayerNorm(channels), nn.LayerNorm(channels), mixer
        self.mlp = nn.Sequential(
            nn.Linear(channels, expansion * channels),
            nn.GELU(),
            nn.Linear(expansion * channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mixer(self.norm1(x))
        return x + self.mlp(self.norm2(x))
