"""ST-MEM: a transformer over patches of all leads together that learned, without labels, to fill in
patches that it could not see.

Na et al., ICLR 2024, arXiv 2402.09450 (written from the paper; the public code is for
non-commercial use). Each lead is cut into patches; a token knows when it is (positions shared by
the leads), which lead it is of (a learned embedding), and separators stand at both ends of each
lead. Pretraining hides most patches, encodes the others of all leads together, and fills in each
lead by itself: models/training/pretraining/st_mem.py.

We differ: patches of 0.2 s at 125 Hz, 64 features and four layers instead of 768 and twelve; one
linear map per patch with LayerNorm before and after, as in the paper. A task reads the mean of all
tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.attention import EncoderLayer, positions
from models.architectures.layers.system import System

PATCH = 25  # samples
WIDTH, HEADS, LAYERS, SPREAD = 64, 4, 4, 4
MOST_LEADS = 12


def patches(x: Tensor) -> Tensor:
    """(B, R, T) to (B, R, T // 25, 25)."""
    count = x.shape[2] // PATCH
    return x[:, :, : count * PATCH].reshape(x.shape[0], x.shape[1], count, PATCH)


class PatchEmbedding(nn.Module):
    """Patches as tokens that know their time and their lead; separators by lead."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.patch = nn.Sequential(
            nn.LayerNorm(PATCH), nn.Linear(PATCH, WIDTH), nn.LayerNorm(WIDTH)
        )
        self.time, self.lead = (
            positions(count, WIDTH),
            nn.Parameter(0.02 * torch.randn(MOST_LEADS, WIDTH)),
        )
        self.separator = nn.Parameter(0.02 * torch.randn(2, WIDTH))

    def forward(self, x: Tensor, leads: Tensor) -> Tensor:
        """Patches (B, R, N, 25) of these leads (R,) to tokens (B, R, N, 64)."""
        return self.patch(x) + self.time[:, : x.shape[2]].unsqueeze(1) + self.lead[leads][:, None]

    def bounded(self, tokens: Tensor, leads: Tensor) -> Tensor:
        """Tokens (B, R, n, 64) between the separators of their lead, all leads in one row: (B, R (n
        + 2), 64).
        """
        ends = self.separator.unsqueeze(0) + self.lead[leads].unsqueeze(1)  # (R, 2, 64)
        first, last = (ends[:, k : k + 1].expand(tokens.shape[0], -1, -1, -1) for k in (0, 1))
        return torch.cat([first, tokens, last], dim=2).flatten(1, 2)


class StMem(System):
    """(B, R, T) scaled samples of any leads to (B, outputs) logits."""

    def __init__(self, length: int, rows: int, outputs: int) -> None:
        super().__init__()
        self.embedding = PatchEmbedding(length // PATCH)
        self.layers = nn.Sequential(*(EncoderLayer(WIDTH, HEADS, SPREAD) for _ in range(LAYERS)))
        self.norm = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, outputs)
        # a lead by itself takes the first embedding
        self.register_buffer("leads", torch.arange(rows), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))

    def features(self, x: Tensor, leads: Tensor | None = None) -> Tensor:
        """Mean of all tokens (B, 64). `leads` (R,): which leads the rows are, if not the first
        ones.
        """
        leads = self.leads[: x.shape[1]] if leads is None else leads
        tokens = self.embedding.bounded(self.embedding(patches(x), leads), leads)
        return self.norm(self.layers(tokens)).mean(dim=1)

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the transformer, so that no patch sees another."""
        gone = [self.layers]
        self.layers = nn.Sequential()
        return gone


@architecture(
    "st_mem",
    kinds=("classes",),
    source="Na et al. 2024, arXiv 2402.09450",
    rows=(1, 12),
    mechanism="masked patches of all leads encoded together and filled in lead by lead",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """A transformer over patches that is pretrained by filling in hidden ones."""
    return StMem(problem.spec.length, problem.rows, len(problem.outputs))
