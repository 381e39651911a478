"""Attention: weights that sum to one, and what is made of them. Tokens are (B, N, D).

Every softmax that weighs things is a `Weights`, so that the weights can be looked at (`watched`)
without a second code path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn


class AttentionWeights(nn.Module):
    """Softmax along one dimension; shape kept."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, scores: Tensor) -> Tensor:
        return torch.softmax(scores, dim=self.dim)


class WatchedWeights(NamedTuple):
    """The weights of one call of an AttentionWeights module."""

    name: str
    weights: Tensor
    dim: int  # along which they sum to one


@contextmanager
def watched(net: nn.Module) -> Iterator[list[WatchedWeights]]:
    """The attention weights of all calls of `net` inside the context, in order."""
    found: list[WatchedWeights] = []

    def hook(name: str, dim: int) -> torch.utils.hooks.RemovableHandle:
        module = net.get_submodule(name)
        return module.register_forward_hook(
            lambda _, __, out: found.append(WatchedWeights(name, out.detach(), dim))
        )

    hooks = [
        hook(name, module.dim)
        for name, module in net.named_modules()
        if isinstance(module, AttentionWeights)
    ]
    try:
        yield found
    finally:
        for one in hooks:
            one.remove()


class AdditiveAttention(nn.Module):
    """Pools N things into one by weights from what they are and from knowledge about them (Bahdanau
    et al. 2015, arXiv 1409.0473).

    Things (B, N, D) and knowledge (B, N, K) to (B, D) and weights (B, N): softmax over N of v .
    tanh(W [thing; knowledge]).
    """

    def __init__(self, features: int, knowledge: int, hidden: int) -> None:
        super().__init__()
        self.mix = nn.Linear(features + knowledge, hidden)
        self.score = nn.Linear(hidden, 1, bias=False)
        self.weights = AttentionWeights(dim=1)

    def forward(self, things: Tensor, knowledge: Tensor) -> tuple[Tensor, Tensor]:
        # (B, N, 1)
        scores = self.score(torch.tanh(self.mix(torch.cat([things, knowledge], dim=2))))
        weights = self.weights(scores)
        return (weights * things).sum(dim=1), weights.squeeze(2)


class SelfAttention(nn.Module):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv 1706.03762): (B, N, D) to the same."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.weights = AttentionWeights(dim=-1)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head: (B, H, N, D / H)."""
        b, n, d = x.shape
        q, k, v = (
            self.qkv(x)
            .reshape(b, n, 3, self.heads, d // self.heads)
            .permute(2, 0, 3, 1, 4)
            .unbind(0)
        )
        return q, k, v

    def weigh(self, q: Tensor, k: Tensor) -> Tensor:
        """(B, H, N, N): row i tells how much token i takes of each token."""
        return self.weights(q @ k.transpose(2, 3) * q.shape[3] ** -0.5)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.split(x)
        return self.project((self.weigh(q, k) @ v).transpose(1, 2).reshape(x.shape))


class EncoderLayer(nn.Module):
    """Pre-norm transformer layer: (B, N, D) to the same."""

    def __init__(self, width: int, heads: int, spread: int = 2, dropout: float = 0.1) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend: nn.Module = SelfAttention(width, heads)
        self.mlp = nn.Sequential(
            nn.Linear(width, spread * width),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(spread * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attend(self.norm1(x)))
        return x + self.dropout(self.mlp(self.norm2(x)))


def positions(count: int, width: int) -> nn.Parameter:
    """Learned positions (1, count, width), small."""
    return nn.Parameter(0.02 * torch.randn(1, count, width))


def tokens(x: Tensor) -> Tensor:
    """(B, C, 1, T) to (B, T, C)."""
    return x.squeeze(2).transpose(1, 2)
