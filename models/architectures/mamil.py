"""MAMIL: a record as two bags of instances, its beats and the patches of its image; the key
instance of a bag weighs the others.

Han et al., Knowledge-Based Systems 2023, DOI 10.1016/j.knosys.2023.110555. Bag 1: beats of the
signal. Bag 2: patches of its Gramian angular field (Wang and Oates 2015, arXiv 1506.00327). In each
bag a scorer finds the key instance, the others count by how like it they are, and key and context
together speak for the bag; the label is the record's alone.

We differ: beats are found inside the network (largest slopes at least 0.25 s apart, at most one per
0.25 s of the window); sizes (the paper's could not be read). As in dual-stream MIL (Li et al. 2021,
DOI 10.1109/CVPR46437.2021.01409) the scorer answers per class, the key is the loudest instance of
the likeliest class, and the loudest answers are averaged into the logits, so that the scorer
learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import AttentionWeights
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.system import System

APART = 31  # samples: 0.25 s between beats
BEFORE, BEAT = 32, 80  # samples of a beat before its largest slope, and in all
LEAST = 0.15  # of the largest slope of the window: below it is no beat
FIELD, PATCH = 64, 16  # points along a side of the angular field, and of a patch
WIDTH = 64
NEVER = -1e4  # a score whose softmax is exactly 0


class Bag(NamedTuple):
    """Instances (B, N, D) of which `there` (B, N) exist (1 or 0)."""

    instances: Tensor
    there: Tensor


class Pooled(NamedTuple):
    """The representation of a bag (B, 2D), the logits of its best instances (B, K), its key
    instance (B,), how much each instance counts (B, N).
    """

    pooled: Tensor
    logits: Tensor
    key: Tensor
    weights: Tensor


def find(x: Tensor) -> tuple[Tensor, Tensor]:
    """Where beats may be: (B, 1, T) to the samples of the largest slopes, steepest first, (B, T //
    31), and their height (0: none).
    """
    slope = functional.pad(x[:, :, 1:] - x[:, :, :-1], (1, 0)).square()
    steep = functional.avg_pool1d(slope, 9, 1, 4)
    peak = functional.max_pool1d(steep, 2 * APART + 1, 1, APART)
    candidate = torch.where(
        (steep >= peak) & (steep >= LEAST * steep.amax(dim=2, keepdim=True)),
        steep,
        torch.zeros_like(steep),
    )
    height, at = torch.topk(candidate.squeeze(1), x.shape[2] // APART, dim=1)
    return at, height


def cut(x: Tensor, at: Tensor, height: Tensor) -> tuple[Tensor, Tensor]:
    """The beats there: (B, N, 80) samples, and which of them exist (B, N); the steepest always
    does.
    """
    there = (height > 0).to(x.dtype)
    there = torch.cat([torch.ones_like(there[:, :1]), there[:, 1:]], dim=1)
    padded = functional.pad(x.squeeze(1), (BEFORE, BEAT))
    where = at.unsqueeze(2) + torch.arange(BEAT, device=x.device)  # (B, N, 80)
    found = torch.gather(padded, 1, where.flatten(1)).reshape(x.shape[0], -1, BEAT)
    return found * there.unsqueeze(2), there


def angular_field(x: Tensor) -> Tensor:
    """Gramian angular (summation) field of the window in 64 means: (B, 1, T) to (B, 1, 64, 64),
    cos(a + b) of angles whose cosine is x.
    """
    means = functional.avg_pool1d(x, x.shape[2] // FIELD)[:, :, :FIELD].squeeze(1)
    low, high = means.amin(dim=1, keepdim=True), means.amax(dim=1, keepdim=True)
    cosine = (2 * (means - low) / (high - low + 1e-6) - 1).clamp(-1, 1)
    sine = (1 - cosine.square()).clamp(min=0).add(1e-9).sqrt()
    return (
        cosine.unsqueeze(2) * cosine.unsqueeze(1) - sine.unsqueeze(2) * sine.unsqueeze(1)
    ).unsqueeze(1)


class KeyPool(nn.Module):
    """A bag to what it says: the instance that speaks loudest for the likeliest class, and the
    others by their likeness to it.
    """

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.score, self.ask = nn.Linear(width, outputs), nn.Linear(width, width, bias=False)
        self.weights = AttentionWeights(dim=1)

    def forward(self, bag: Bag) -> Pooled:
        absent = (1 - bag.there) * NEVER
        scores = self.score(bag.instances) + absent.unsqueeze(2)  # (B, N, K)
        loudest = scores.argmax(dim=1)  # (B, K)
        logits = torch.gather(scores, 1, loudest.unsqueeze(1)).squeeze(1)
        key = torch.gather(loudest, 1, logits.argmax(dim=1, keepdim=True))  # (B, 1)
        # (B, 1, D)
        chosen = torch.gather(
            bag.instances, 1, key.unsqueeze(2).expand(-1, -1, bag.instances.shape[2])
        )
        likeness = (self.ask(chosen) * bag.instances).sum(dim=2) / bag.instances.shape[2] ** 0.5
        weights = self.weights(likeness + absent)
        context = (weights.unsqueeze(2) * bag.instances).sum(dim=1)
        return Pooled(
            torch.cat([chosen.squeeze(1), context], dim=1), logits, key.squeeze(1), weights
        )


class MeanPool(nn.Module):
    """Every instance alike, for the ablation."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, bag: Bag) -> Pooled:
        weights = bag.there / bag.there.sum(dim=1, keepdim=True)
        mean = (weights.unsqueeze(2) * bag.instances).sum(dim=1)
        none = mean.new_zeros(mean.shape[0], self.outputs)
        return Pooled(
            torch.cat([mean, mean], dim=1),
            none,
            torch.zeros(mean.shape[0], dtype=torch.int64),
            weights,
        )


class Mamil(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.beat = nn.Sequential(conv_relu(1, 16, 7, 2), conv_relu(16, 32, 5, 2))
        self.patch = nn.Sequential(
            nn.Conv2d(1, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.Conv2d(16, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(),
        )  # fmt: skip
        self.embed_beat, self.embed_patch = nn.Linear(64, WIDTH), nn.Linear(32, WIDTH)
        self.pool_beats: nn.Module = KeyPool(WIDTH, outputs)
        self.pool_patches: nn.Module = KeyPool(WIDTH, outputs)
        self.dropout = nn.Dropout(0.2)
        self.head = nn.Linear(4 * WIDTH, outputs)

    def signal_bag(self, x: Tensor) -> Bag:
        """The beats."""
        found, there = cut(x, *find(x))
        y = self.beat(found.reshape(-1, 1, 1, BEAT))  # (B N, 32, 1, 20)
        y = torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1)
        return Bag(functional.relu(self.embed_beat(y)).reshape(*there.shape, WIDTH), there)

    def image_bag(self, x: Tensor) -> Bag:
        """The 16 patches of the angular field, all of which exist."""
        n = FIELD // PATCH
        patches = (
            angular_field(x)
            .reshape(-1, n, PATCH, n, PATCH)
            .permute(0, 1, 3, 2, 4)
            .reshape(-1, 1, PATCH, PATCH)
        )
        features = functional.relu(self.embed_patch(self.patch(patches).mean(dim=(2, 3)))).reshape(
            x.shape[0], n * n, WIDTH
        )
        return Bag(features, torch.ones_like(features[:, :, 0]))

    def forward(self, x: Tensor) -> Tensor:
        signal, image = self.pool_beats(self.signal_bag(x)), self.pool_patches(self.image_bag(x))
        together = self.head(self.dropout(torch.cat([signal.pooled, image.pooled], dim=1)))
        return (2 * together + signal.logits + image.logits) / 4

    def ablate(self) -> Sequence[nn.Module]:
        """Replace the weighted sums of the bags by means."""
        gone = [self.pool_beats, self.pool_patches]
        self.pool_beats = self.pool_patches = MeanPool(self.head.out_features)
        return gone

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Weights of the beats, laid where they are."""
        slots = x.shape[2] // APART
        at, _ = find(x)
        weights = self.pool_beats(self.signal_bag(x)).weights
        return {
            "beats": torch.zeros_like(weights).scatter_add(
                1, (at // APART).clamp(max=slots - 1), weights
            )
        }


@architecture(
    "mamil",
    kinds=("classes",),
    source="Han et al. 2023, DOI 10.1016/j.knosys.2023.110555",
    mechanism="beats and image patches as instances of two bags; the key instance of each weighs the others",
)
def build(problem: Problem) -> nn.Module:
    """Two bags of instances, each led by its key instance."""
    return Mamil(len(problem.outputs))
