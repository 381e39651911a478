"""Training of T4, the lethal rhythm of a second (none, VT, VF or flutter, asystole): a column on the
frozen trunk, a decoder of the last four seconds.

Examples: models/training/data/lethal_examples.py. Loss: minus the logarithm of the probability of
all rhythms that the reference allows. Column and decoder learn together from patients; then the
decoder alone goes on, with regular waves among its examples: flutter by its definition, which is
rare in the available records, and waves of that shape that are too slow for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.training.data.lethal_examples import REGULAR, LethalExamples
from models.training.harness import TrainingPlan, train
from models.training.tasks.lethal.network import Lethal, decoder_inputs, features

EXAMPLES = 20000  # drawn once; their trunk features are computed once (half precision: 0.8 GB)
# further training of the decoder: examples as before, and regular waves,
OF_THEM, REGULARS = 5000, 2000
REGULAR_SHARE = 0.2  # this share of a batch
SETTLING = TrainingPlan(epochs=1, steps=300, batch=128, peak_rate=2e-3, warm_up=0.2)
PLAN = TrainingPlan(epochs=6, steps=200, batch=64, peak_rate=5e-3, warm_up=0.2)


class LethalBatches:
    """Examples that were drawn once, with the trunk's features: a pass through the trunk costs more
    than a step of the column."""

    def __init__(self, trunk: nn.Module, drawn: Sequence[Tensor]) -> None:
        self._trunk, self._drawn, self._target = trunk, drawn[:3], drawn[3]

    @cached_property
    # only at the first batch: a finished training needs none
    def _inputs(self) -> tuple[Tensor, ...]:
        x, mv, known = self._drawn
        return x, mv, known, *features(self._trunk, x)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Inputs of Lethal.forward, and (B,) sets."""
        some = torch.from_numpy(rng.integers(len(self._target), size=size))
        return tuple(part[some] for part in self._inputs), self._target[some]

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Mean loss over examples with a known label."""
        return set_loss(answer, target)


class DecoderBatches:
    """Examples as the decoder sees them: usual ones, and REGULAR_SHARE of regular waves."""

    def __init__(self, net: Lethal, usual: Sequence[Tensor], regular: Sequence[Tensor]) -> None:
        self._kinds = [decoder_inputs(net, drawn) for drawn in (usual, regular)]

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
        """Inputs of SequenceDecoder.forward, and (B,) sets."""
        regular = int(REGULAR_SHARE * size)
        some = [
            torch.from_numpy(rng.integers(len(kind[2]), size=n))
            for kind, n in zip(self._kinds, (size - regular, regular), strict=True)
        ]
        steps, known, target = (
            torch.cat([kind[i][at] for kind, at in zip(self._kinds, some, strict=True)])
            for i in range(3)
        )
        return (steps, known), target

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """The loss of LethalBatches."""
        return set_loss(answer, target)


def set_loss(logits: Tensor, sets: Tensor) -> Tensor:
    """Minus the logarithm of the probability of the allowed classes; rows that allow none are left
    out."""
    allowed = (sets[:, None] >> torch.arange(logits.shape[1])) & 1 == 1
    known = allowed.any(dim=1)
    chosen = torch.where(allowed | ~known[:, None], logits, torch.full_like(logits, -1e4))
    each = torch.logsumexp(logits, dim=1) - torch.logsumexp(chosen, dim=1)
    return (each * known).sum() / known.sum().clamp(min=1)


def learn(
    name: str,
    trunk: nn.Module,
    examples: LethalExamples,
    runs: Path,
    plan: TrainingPlan = PLAN,
    count: int = EXAMPLES,
) -> Lethal:
    """The column and the decoder called lethal-`name`, on this trunk."""
    drawn = _drawn(examples, runs / f"lethal-{name}-examples.pt", count, plan.seed)
    torch.manual_seed(plan.seed)
    net = Lethal(trunk)
    train(net, LethalBatches(trunk, drawn), plan, runs / f"lethal-{name}-training.pt")
    rng = np.random.default_rng([plan.seed, REGULARS])
    regular = _together(examples.draw(rng, 100, REGULAR) for _ in range(REGULARS // 100))
    batches = DecoderBatches(net, [part[:OF_THEM] for part in drawn], regular)
    train(
        net.decoder, batches, replace(SETTLING, seed=plan.seed), runs / f"lethal-{name}-decoder.pt"
    )
    return net.eval()


def _drawn(examples: LethalExamples, cache: Path, count: int, seed: int) -> list[Tensor]:
    """Return examples, from the cache if they were drawn before."""
    if cache.exists():
        drawn: list[Tensor] = torch.load(cache, weights_only=True)
        if len(drawn[0]) == count:
            return drawn
    rng = np.random.default_rng(seed)
    drawn = _together(examples.draw(rng, 100) for _ in range(count // 100))
    cache.parent.mkdir(parents=True, exist_ok=True)
    torch.save(drawn, cache)
    return drawn


def _together(draws: Iterable[list[Tensor]]) -> list[Tensor]:
    return [torch.cat(parts) for parts in zip(*draws, strict=True)]
