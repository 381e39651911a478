"""CLOCS: an encoder that learned, without labels, to tell patients apart: whatever a patient's
segments have in common is kept.

Kiyasseh, Zhu and Clifton, ICML 2021, PMLR 139:5606, arXiv 2005.13249. Pretraining pulls together
segments that follow each other (CMSC), leads of one moment (CMLC), or both (CMSMLC), and pushes
other patients away: models/training/pretraining/clocs.py. Here is the encoder, the same for every
segment and lead: three strided convolutions with pooling, flattened into one embedding.

We differ: segments of 5 s at 125 Hz (strides 2, 3, 3), 16, 32 and 64 channels, an embedding of 64.
For a task, the window is two segments: their embeddings are averaged before one linear layer, which
is the linear probe of the paper.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.system import System

WIDTHS, STRIDES, KERNEL = (16, 32, 64), (2, 3, 3), 7
EMBEDDING = 64


class SegmentEncoder(nn.Module):
    """A segment of one lead to its embedding: (B, 1, T) to (B, 64)."""

    def __init__(self, length: int, dropout: float = 0.1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in zip((1, *WIDTHS[:-1]), WIDTHS, STRIDES, strict=True):
            layers += [
                conv_relu(inputs, outputs, KERNEL, stride),
                nn.MaxPool2d((1, 2)),
                nn.Dropout(dropout),
            ]
            length = -(-length // stride) // 2
        self.features, self.embed = (
            nn.Sequential(*layers),
            nn.Linear(WIDTHS[-1] * length, EMBEDDING),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.embed(self.features(x.unsqueeze(2)).flatten(1))


class Clocs(System):
    """(B, R, T) scaled samples to (B, outputs) logits; leads share the encoder."""

    def __init__(self, length: int, outputs: int) -> None:
        super().__init__()
        self.segment = length // 2
        self.encoder: nn.Module = SegmentEncoder(self.segment)
        self.head = nn.Linear(EMBEDDING, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(functional.relu(self.features(x)))

    def features(self, x: Tensor) -> Tensor:
        """Mean embedding of both segments and all leads: (B, 64)."""
        segments = x[:, :, : 2 * self.segment].reshape(-1, 1, self.segment)
        return self.encoder(segments).reshape(x.shape[0], -1, EMBEDDING).mean(dim=1)

    def ablate(self) -> Sequence[nn.Module]:
        """Replace the learned embedding of segments by means of stretches."""
        gone = [self.encoder]
        self.encoder = Means()
        return gone


class Means(nn.Module):
    """A segment as 64 means of its steepness."""

    def forward(self, x: Tensor) -> Tensor:
        steep = (x[:, 0, 1:] - x[:, 0, :-1]).abs()
        each = steep.shape[1] // EMBEDDING
        return torch.stack(
            [steep[:, k * each : (k + 1) * each].mean(dim=1) for k in range(EMBEDDING)], dim=1
        )


@architecture(
    "clocs",
    kinds=("classes",),
    source="Kiyasseh et al. 2021, arXiv 2005.13249",
    rows=(1, 12),
    mechanism="contrastive pretraining over segments and leads with positives by patient",
)
def build(problem: Problem) -> nn.Module:
    """An encoder of segments that is pretrained by patient."""
    return Clocs(problem.spec.length, len(problem.outputs))
