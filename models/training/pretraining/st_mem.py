"""ST-MEM: most patches are hidden, and each lead's are reconstructed from the visible patches of
all leads.

Na et al., ICLR 2024, arXiv 2402.09450 (written from the paper). The decoder is shared by the leads
and sees one lead at a time, so that information on other leads reaches it only through the encoder.
The loss is the mean squared error of hidden patches only, each patch normalised. Difference here:
the sizes.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple, cast

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.layers.attention import EncoderLayer, positions
from models.architectures.st_mem import PATCH, WIDTH, StMem, patches
from models.training.data import twelve_leads, unlabelled
from models.training.harness import TrainingPlan
from models.training.pretraining.base import objective
from models.training.pretraining.cpc import CpcWindows

HIDDEN = 0.75  # share of the patches of each lead
DECODER, LAYERS, HEADS = 48, 2, 4


class Filled(NamedTuple):
    """Reconstruction of all patches (B, R, N, 25), and which were hidden (B, R, N)."""

    patches: Tensor
    hidden: Tensor


class StMemLearner(nn.Module):
    """Windows (B, R, T) to their reconstruction."""

    def __init__(self, system: StMem) -> None:
        super().__init__()
        self.embedding, self.layers, self.norm = system.embedding, system.layers, system.norm
        self.enter = nn.Linear(WIDTH, DECODER)
        self.mask = nn.Parameter(0.02 * torch.randn(1, 1, 1, DECODER))
        self.place = positions(system.embedding.time.shape[1], DECODER)
        self.decoder = nn.Sequential(*(EncoderLayer(DECODER, HEADS) for _ in range(LAYERS)))
        self.leave = nn.Linear(DECODER, PATCH)

    def forward(self, x: Tensor) -> Filled:
        cut = patches(x)
        keep = cut.shape[2] - round(HIDDEN * cut.shape[2])
        order = torch.rand(cut.shape[:3], device=x.device).argsort(dim=2)
        return self.fill(cut, order[:, :, :keep])

    def fill(self, cut: Tensor, kept: Tensor) -> Filled:
        """Reconstruct patches (B, R, N, 25) of which only `kept` (B, R, n) are seen."""
        b, r, n, _ = cut.shape
        leads = torch.arange(r, device=cut.device)
        index = kept.unsqueeze(3).expand(-1, -1, -1, WIDTH)
        seen = torch.gather(self.embedding(cut, leads), 2, index)
        encoded = self.norm(self.layers(self.embedding.bounded(seen, leads)))
        encoded = self.enter(encoded.reshape(b, r, -1, WIDTH)[:, :, 1:-1])
        whole = self.mask.expand(b, r, n, -1)
        whole = whole.scatter(2, kept.unsqueeze(3).expand(-1, -1, -1, DECODER), encoded)
        each = self.decoder(whole.flatten(0, 1) + self.place[:, :n])  # leads never meet here
        hidden = torch.ones(b, r, n, device=cut.device).scatter(2, kept, 0.0)
        return Filled(self.leave(each).reshape(b, r, n, PATCH), hidden)


def loss(filled: Filled, cut: Tensor) -> Tensor:
    """Mean squared error over hidden patches; a patch is judged without its mean and size."""
    centred = cut - cut.mean(dim=3, keepdim=True)
    wanted = centred / (centred.square().mean(dim=3, keepdim=True) + 1e-4).sqrt()
    error = (filled.patches - wanted).square().mean(dim=3)
    return (error * filled.hidden).sum() / filled.hidden.sum()


class Masked(CpcWindows):
    """Batches of one lead."""

    def loss(self, net: nn.Module, answer: Filled, target: Tensor) -> Tensor:
        """Against the windows themselves."""
        return loss(answer, patches(target))


class MaskedLeads:
    """Batches of twelve leads."""

    def __init__(self, records: twelve_leads.TwelveLeads) -> None:
        self._records = records

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 12, 1250), twice."""
        chosen = rng.choice(len(self._records.patients), size, replace=False)
        x = torch.from_numpy(self._records.windows[chosen])
        return (x,), x

    def loss(self, net: nn.Module, answer: Filled, target: Tensor) -> Tensor:
        """Against the windows themselves."""
        return loss(answer, patches(target))


@objective("st_mem", variants=("one-lead", "twelve-leads"))
class StMemObjective:
    """Hidden patches filled in, lead by lead."""

    architecture = "st_mem"
    plan = TrainingPlan(
        epochs=15, steps=100, batch=64, peak_rate=1e-3, weight_decay=0.05, warm_up=0.05
    )

    def __init__(self, data: Path, cache: Path, fold: int, variant: str) -> None:
        self._folders, self._fold, self._variant = (data, cache), fold, variant

    def learner(self, system: nn.Module) -> nn.Module:
        """See Objective."""
        return StMemLearner(cast(StMem, system))

    def batches(self) -> Masked | MaskedLeads:
        """See Objective."""
        data, cache = self._folders
        if self._variant == "one-lead":
            return Masked(unlabelled.load(data, cache, self._fold))
        return MaskedLeads(twelve_leads.load(data, cache / "twelve.npz"))
