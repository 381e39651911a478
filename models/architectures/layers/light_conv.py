"""Lightweight convolution in place of attention (Wu et al. 2019, arXiv 1901.10430): neighbours
weighted by place, not by what they are.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.layers.attention import AttentionWeights


class LightConv(nn.Module):
    """Tokens (B, N, D) to the same: depthwise convolution whose kernel is a softmax, shared by the
    channels of a head.

    Each token becomes a weighted mean of its `kernel` neighbours; no N x N matrix anywhere. While
    training, weights are dropped (DropConnect).
    """

    def __init__(self, width: int, heads: int, kernel: int, dropout: float = 0.1) -> None:
        super().__init__()
        self.width, self.heads, self.kernel, self.dropout = width, heads, kernel, dropout
        self.scores = nn.Parameter(0.1 * torch.randn(heads, kernel))
        self.weights = AttentionWeights(dim=-1)

    def forward(self, x: Tensor) -> Tensor:
        each = functional.dropout(self.weights(self.scores), self.dropout, self.training)  # (H, k)
        kernel = each.repeat_interleave(self.width // self.heads, dim=0).unsqueeze(1)  # (D, 1, k)
        return functional.conv1d(
            x.transpose(1, 2), kernel, padding=self.kernel // 2, groups=self.width
        ).transpose(1, 2)


class LightConvLayer(nn.Module):
    """Linear and GLU, lightweight convolution, linear; then a feed-forward part; each beside a
    shortcut, with LayerNorm after it.
    """

    def __init__(
        self, width: int, heads: int, kernel: int, spread: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.enter = nn.Linear(width, 2 * width)
        self.mix: nn.Module = LightConv(width, heads, kernel, dropout)
        self.leave = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, spread * width), nn.ReLU(), nn.Linear(spread * width, width)
        )
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        y = self.leave(self.mix(functional.glu(self.enter(x), dim=2)))
        x = self.norm1(x + self.dropout(y))
        return self.norm2(x + self.dropout(self.mlp(x)))
