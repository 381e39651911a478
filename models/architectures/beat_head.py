"""The beat head: a beat's class from its context (models/beat_context.py).

Three shapes (this beat, the patient's dominant one, the usual one it is most like) go through one small layer, and what comes of them joins
the intervals in a perceptron. Shapes are laid around the R peak and scaled by the patient's own beat, so nothing has to be looked for in
them, and a convolution bought nothing that its price was worth.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.beat_context import FEATURES, SHAPE

CLASSES = 5  # N S V F Q
SQUEEZE, HIDDEN = 24, 40
SHAPES = 3 * SHAPE


class BeatHead(nn.Module):
    """(B, 1, FEATURES) to (B, 5) logits of N S V F Q."""

    def __init__(self, squeeze: int = SQUEEZE, hidden: int = HIDDEN) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Dropout(0.1), nn.Linear(SHAPES, squeeze), nn.ReLU(), nn.Dropout(0.2))
        self.judge = nn.Sequential(nn.Linear(squeeze + FEATURES - SHAPES, hidden), nn.ReLU(), nn.Dropout(0.2), nn.Linear(hidden, CLASSES))

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, FEATURES)
        flat = x[:, 0]
        seen = self.squeeze(flat[:, :SHAPES])  # (B, squeeze)
        logits: Tensor = self.judge(torch.cat([seen, flat[:, SHAPES:]], dim=1))  # (B, 5)
        return logits


def multiplications(net: BeatHead) -> int:
    """Of one beat."""
    return sum(layer.in_features * layer.out_features for layer in net.modules() if isinstance(layer, nn.Linear))
