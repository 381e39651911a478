"""Dual-branch CNN and transformer: coarse and fine tokens in two encoders, each of which goes on
with its better half of the tokens only.

Zhang, Lian, Xu, Zang and Zeng, Knowledge-Based Systems 2023, DOI 10.1016/j.knosys.2023.111006;
sizes after an unofficial re-implementation. A CNN with inception parts reads the signal; strided
kernels of two sizes make its map into tokens, once coarse, once fine. The attention of the first
layers, averaged over layers, tells what the class token looked at; the tokens that it looked at
most are encoded again with it, the others are left out, not masked. While training, both class
tokens are drawn together: 1 - their correlation is added to the loss.

We differ: widths 16 and 32 instead of 128 and 424, stem stride four, two layers before the choice
and three in all, no CNN pretraining.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import EncoderLayer, SelfAttention, positions, tokens
from models.architectures.layers.conv import conv, conv_relu
from models.architectures.layers.system import System

STEM, TRUNK = 7, 32
INCEPTION = (39, 19, 9)
WIDTH, HEADS, LAYERS = 32, 4, 3
LOOK = 2  # layers whose attention chooses
DECAY = 0.99  # of the moving average over layers
KEEP = 0.5
COARSE, FINE = ((20, 40), 12), ((5, 40), 6)  # kernels, stride


class Inception(nn.Module):
    """Three convolutions, then kernels of three sizes and a maximum side by side, beside a
    shortcut: (B, C, 1, T) to (B, 32, 1, T).
    """

    def __init__(self, inputs: int) -> None:
        super().__init__()
        part = TRUNK // 4
        self.enter = nn.Sequential(
            conv_relu(inputs, 16, 7), conv_relu(16, 16, 5), conv_relu(16, 16, 3)
        )
        self.squeeze = conv(16, part, 1)
        self.branches = nn.ModuleList(conv(part, part, k) for k in INCEPTION)
        self.pool = nn.Sequential(nn.MaxPool2d((1, 3), 1, (0, 1)), conv(16, part, 1))
        self.shortcut = conv(inputs, TRUNK, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(x)
        squeezed = self.squeeze(y)
        parts = [branch(squeezed) for branch in self.branches]
        return functional.relu(self.shortcut(x) + torch.cat([*parts, self.pool(y)], dim=1))


class Chosen(NamedTuple):
    """Class token (B, 32) after the choice, scores of all tokens (B, N), indices of those that stay
    (B, k).
    """

    summary: Tensor
    scores: Tensor
    kept: Tensor


class Branch(nn.Module):
    """The trunk's map (B, 32, 1, T) to tokens by strided kernels of two sizes, and those to a class
    token.
    """

    def __init__(self, kernels: Sequence[int], stride: int, length: int) -> None:
        super().__init__()
        self.embed = nn.ModuleList(
            nn.Conv2d(TRUNK, WIDTH // len(kernels), (1, k), (1, stride), (0, k // 2))
            for k in kernels
        )
        self.count = length // stride
        self.keep = round(KEEP * self.count)
        self.cls, self.place = (
            nn.Parameter(0.02 * torch.randn(1, 1, WIDTH)),
            positions(self.count, WIDTH),
        )
        self.layers = nn.ModuleList(EncoderLayer(WIDTH, HEADS) for _ in range(LAYERS))
        self.norm = nn.LayerNorm(WIDTH)
        self.selects = True

    def forward(self, x: Tensor) -> Chosen:
        each = (
            tokens(torch.cat([conv(x)[..., : self.count] for conv in self.embed], dim=1))
            + self.place
        )
        cls = self.cls.expand(x.shape[0], -1, -1)
        scores = self._scores(torch.cat([cls, each], dim=1).detach())
        kept = torch.topk(scores, self.keep, dim=1).indices
        if self.selects:
            each = torch.gather(each, 1, kept.unsqueeze(2).expand(-1, -1, WIDTH))
        y = torch.cat([cls, each], dim=1)
        for layer in self.layers:
            y = layer(y)
        return Chosen(self.norm(y[:, 0]), scores, kept)

    def _scores(self, y: Tensor) -> Tensor:
        """Return the attention of the class token in the first layers: (B, N). A choice has no
        gradient."""
        average: Tensor | None = None
        for layer in list(self.layers)[:LOOK]:
            own = attention_of(layer.attend, layer.norm1(y)).mean(dim=1)  # (B, 1 + N, 1 + N)
            average = own if average is None else DECAY * average + (1 - DECAY) * own
            y = layer(y)
        assert average is not None
        return average[:, 0, 1:].detach()


def attention_of(attend: SelfAttention, x: Tensor) -> Tensor:
    """The weights of a self-attention (B, H, N, N)."""
    q, k, _ = attend.split(x)
    return attend.weigh(q, k)


def correlation_loss(a: Tensor, b: Tensor) -> Tensor:
    """1 - Pearson's correlation of the features of two tokens (B, D), mean over the batch: 0 if
    equal, 2 if opposite.
    """
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    return (1 - functional.cosine_similarity(a, b, dim=1)).mean()


class DualBranch(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, length: int, outputs: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(conv_relu(1, 16, STEM, 4), Inception(16), Inception(TRUNK))
        steps = -(-length // 4)
        self.coarse, self.fine = Branch(*COARSE, steps), Branch(*FINE, steps)
        self.head = nn.Linear(2 * WIDTH, outputs)

    def look(self, x: Tensor) -> tuple[Chosen, Chosen]:
        """Return the outputs of the coarse and the fine branch for a window."""
        y = self.trunk(x.unsqueeze(2))
        return self.coarse(y), self.fine(y)

    def forward(self, x: Tensor) -> Tensor:
        coarse, fine = self.look(x)
        self.penalty = correlation_loss(coarse.summary, fine.summary) if self.training else None
        return self.head(torch.cat([coarse.summary, fine.summary], dim=1))

    def ablate(self) -> Sequence[nn.Module]:
        """Keep all tokens; the choice of tokens has no parameters."""
        self.coarse.selects = self.fine.selects = False
        return []

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Return the attention of each class token when tokens were chosen."""
        coarse, fine = self.look(x)
        return {"coarse tokens": coarse.scores, "fine tokens": fine.scores}


@architecture(
    "dual_branch",
    kinds=("classes",),
    source="Zhang et al. 2023, DOI 10.1016/j.knosys.2023.111006",
    mechanism="coarse and fine tokens in two encoders, the half that the class token looks at encoded again, both class tokens correlated",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Two encoders that go on with the better half of their tokens."""
    return DualBranch(problem.spec.length, len(problem.outputs))
