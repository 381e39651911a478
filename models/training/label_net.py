"""The label network: a beat's class from its context (models/beat_context.py)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.beat_context import FEATURES, SHAPE

WIDTH, HIDDEN = 16, 32


class LabelNet(nn.Module):
    """(B, 1, FEATURES) to (B, 3) logits of N, S, V.

    Shape and dominant beat go through one small convolution side by side, so that like is compared with like; what comes of it joins the
    intervals in a perceptron.
    """

    def __init__(self) -> None:
        super().__init__()
        self.shapes = nn.Sequential(
            nn.Conv2d(2, WIDTH, (1, 7), stride=(1, 2)), nn.ReLU(), nn.Conv2d(WIDTH, WIDTH, (1, 5), stride=(1, 2)), nn.ReLU(), nn.Flatten()
        )
        length = ((SHAPE - 7) // 2 + 1 - 5) // 2 + 1
        self.squeeze = nn.Sequential(nn.Dropout(0.3), nn.Linear(WIDTH * length, 12), nn.ReLU())
        self.judge = nn.Sequential(nn.Linear(12 + FEATURES - 2 * SHAPE, HIDDEN), nn.ReLU(), nn.Dropout(0.1), nn.Linear(HIDDEN, 3))

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, FEATURES)
        pair = x[:, :, : 2 * SHAPE].reshape(-1, 2, 1, SHAPE)
        return self.judge(torch.cat([self.squeeze(self.shapes(pair)), x[:, 0, 2 * SHAPE :]], dim=1))
