"""The beat head: a beat's class from its context (models/beats/templates.py).

Three shapes (this beat, the patient's dominant one, the usual one it is most like) go through one
small convolution side by side, so that like is compared with like; what comes of it joins the
intervals in a perceptron. Conv2d over (B, C, 1, T): ONNX Runtime's blocked kernels serve only
those.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.beats.morphology import SHAPE
from models.beats.templates import FEATURES

CLASSES = 5  # N S V F Q
WIDTH, SQUEEZE, HIDDEN = 12, 16, 40
HEADS = 4
SHAPES = 3 * SHAPE
FIRST = (SHAPE - 7) // 2 + 1  # values after the first convolution
SECOND = (FIRST - 5) // 2 + 1


class BeatHead(nn.Module):
    """(B, 1, FEATURES) to (B, 5) logits of N S V F Q."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes = nn.Sequential(
            nn.Conv2d(3, WIDTH, (1, 7), (1, 2)),
            nn.ReLU(),
            nn.Conv2d(WIDTH, WIDTH, (1, 5), (1, 2)),
            nn.ReLU(),
            nn.Flatten(),
        )
        self.squeeze = nn.Sequential(nn.Dropout(0.3), nn.Linear(WIDTH * SECOND, SQUEEZE), nn.ReLU())
        self.judge = nn.Sequential(
            nn.Linear(SQUEEZE + FEATURES - SHAPES, HIDDEN),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Linear(HIDDEN, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, FEATURES)
        flat = x[:, 0]
        seen = self.shapes(flat[:, :SHAPES].reshape(-1, 3, 1, SHAPE))  # (B, WIDTH * SECOND)
        # (B, 5)
        logits: Tensor = self.judge(torch.cat([self.squeeze(seen), flat[:, SHAPES:]], dim=1))
        return logits


class BeatHeads(nn.Module):
    """Heads trained apart from different seeds, whose logits are averaged: (B, 1, FEATURES) to (B,
    5)."""

    def __init__(self, heads: Sequence[BeatHead]) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([head(x) for head in self.heads]).mean(dim=0)


def multiplications(net: BeatHead | BeatHeads) -> int:
    """Multiply-accumulates of one beat."""
    dense = sum(
        layer.in_features * layer.out_features
        for layer in net.modules()
        if isinstance(layer, nn.Linear)
    )
    heads = sum(isinstance(module, BeatHead) for module in net.modules())
    return dense + heads * (FIRST * 3 * WIDTH * 7 + SECOND * WIDTH * WIDTH * 5)
