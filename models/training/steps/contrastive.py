"""Supervised contrastive pretraining with label-true transforms (sCL-ST: Le D. et al. 2023, DOI
10.1109/JBHI.2023.3246241; loss: Khosla et al. 2020, arXiv 2004.11362).

    python -m models.training.steps.contrastive se_resnet rhythm --fold 0

Records that share a label are drawn together, all others apart; then the encoder stays as it is and
a linear head is trained.

Differences here: a positive counts by the Jaccard similarity of the label sets; the views are
split-and-join and peak-aware smoothing (models/training/steps/transforms.py); the control is the
same encoder with random weights under the same head.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import EcgwatchError
from models.training.harness import Batches, train
from models.training.recipe import label
from models.training.steps.setting import finish, parser, setting
from models.training.steps.transforms import joined, smoothed
from models.training.steps.windows import classes, embed, head
from models.training.windowed import predictor

TEMPERATURE = 0.1
PROJECTION = 64


def jaccard(sets: Tensor) -> Tensor:
    """Jaccard similarity of label sets: 0/1 (N, K) to (N, N), 0 if no label is shared."""
    both = sets @ sets.T
    either = sets.sum(dim=1, keepdim=True) + sets.sum(dim=1) - both
    return both / either.clamp(min=1)


def contrastive(z: Tensor, sets: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """-1/|P(i)| sum over p in P(i) of log exp(z_i z_p / t) / sum over a != i of exp(z_i z_a / t),
    weighted by Jaccard similarity.

    z (N, D) of any length, sets (N, K); mean over records that have a positive.
    """
    unit = functional.normalize(z, dim=1)
    itself = torch.eye(len(z), dtype=torch.bool)
    scores = (unit @ unit.T / temperature).masked_fill(itself, -1e9)
    log_share = scores - scores.logsumexp(dim=1, keepdim=True)
    weight = jaccard(sets).masked_fill(itself, 0)
    total = weight.sum(dim=1)
    each = -(weight * log_share).sum(dim=1) / total.clamp(min=1e-6)
    return each[total > 0].mean()


class Views:
    """Two views of each window, and the label sets of both."""

    def __init__(self, data: Batches, k: int) -> None:
        self._data, self._k = data, k

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Views (2 size, R, T), sets (2 size, K)."""
        (x,), y = self._data.batch(rng, size)
        sets = functional.one_hot(y, self._k).float()
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return (torch.cat([joined(x, sets, generator), smoothed(x)]),), sets.repeat(2, 1)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Return the contrastive loss of the projected views."""
        return contrastive(answer, target)


class Projected(nn.Module):
    """The head's input through a small projection that is discarded after pretraining."""

    def __init__(self, net: nn.Module, width: int) -> None:
        super().__init__()
        self.net = net
        self.project = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTION)
        )
        freeze(head(net))

    def forward(self, x: Tensor) -> Tensor:
        return self.project(embed(self.net, x))


def freeze(part: nn.Module) -> None:
    """Switch off the gradients of a module's parameters."""
    for p in part.parameters():
        p.requires_grad_(False)


class Probe(nn.Module):
    """A network whose head alone is trained: everything else keeps weights, running means and
    dropout as in evaluation.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        freeze(net)
        for p in head(net).parameters():
            p.requires_grad_(True)

    def train(self, mode: bool = True) -> Probe:
        """Set training mode for the head alone."""
        super().train(mode)
        self.net.eval()
        head(self.net).train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = setting("contrastive", parser(__doc__).parse_args(arguments))
    batches, name = given.task.batches(given.fold), label(given.fold)
    control = given.build()
    train(Probe(control), batches, given.plan, given.folder / f"{name}-random.pt")
    net = given.build()
    width = embed(net.eval(), torch.zeros(1, *given.task.problem.shape)).shape[1]
    views = Views(batches, classes(given.task))
    train(
        Projected(net, width),
        views,
        replace(given.plan, peak_rate=1e-3),
        given.folder / f"{name}-pretrained.pt",
    )
    train(Probe(net), batches, given.plan, given.folder / f"{name}.pt")
    finish(
        given,
        net,
        [("random encoder, same head", given.task.evaluate(predictor(control), given.fold))],
    )


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
