"""Initialise matched filters with beats: the templates of
models/architectures/compact/matched_filter.py start as mean beats of the training patients, class
by class, and are trained from there.

    python -m models.training.steps.templates matched_filter beat_sequences --fold 0

Each class's beats are grouped by similarity (a few rounds of k-means), so that a class has several
templates; rare classes get as many as common ones. Farag 2023, DOI 10.3390/s23031365. The
initialisation of the published filters is unknown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ingest.errors import BadInputError, EcgwatchError
from models.architectures.compact.matched_filter import TEMPLATES, MatchedFilter, with_slope
from models.training.harness import Batches, train
from models.training.recipe import label
from models.training.steps.setting import finish, parser, setting

DRAWN, ROUNDS = 4000, 8
UNKNOWN = -100  # cross-entropy leaves such beats out


def means(beats: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Centres of `count` groups of beats of similar shape, regardless of amplitude: (N, T) to
    (count, T)."""
    unit = functional.normalize(beats - beats.mean(dim=1, keepdim=True), dim=1)
    centres = unit[torch.randint(len(unit), (count,), generator=generator)]
    for _ in range(ROUNDS):
        nearest = (unit @ centres.T).argmax(dim=1)
        groups = [
            unit[nearest == c].mean(dim=0) if bool((nearest == c).any()) else centres[c]
            for c in range(count)
        ]
        centres = functional.normalize(torch.stack(groups), dim=1)
    return centres


def class_means(beats: Tensor, classes: Tensor, generator: torch.Generator) -> Tensor:
    """The same number of mean beats of each existing class: (N, T), (N,) to (at most TEMPLATES,
    T)."""
    names = [int(c) for c in classes.unique() if c != UNKNOWN]
    each = TEMPLATES // len(names)
    return torch.cat([means(beats[classes == c], each, generator) for c in names])


def beats_of(batches: Batches, length: int, seed: int) -> tuple[Tensor, Tensor]:
    """Beats (N, T) and their classes (N,) of training patients."""
    rng = np.random.default_rng(seed)
    found: list[tuple[Tensor, Tensor]] = []
    while sum(len(y) for _, y in found) < DRAWN:
        (x,), y = batches.batch(rng, 64)
        found.append((x.flatten(0, 1)[:, :length], y.flatten()))
    return torch.cat([x for x, _ in found]), torch.cat([y for _, y in found])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = setting("templates", parser(__doc__).parse_args(arguments))
    net = given.build()
    if not isinstance(net, MatchedFilter):
        raise BadInputError(f"{given.architecture.name} has no templates", "Choose matched_filter.")
    batches = given.task.batches(given.fold)
    beats, classes = beats_of(batches, given.task.problem.spec.length, given.plan.seed)
    start = class_means(beats, classes, torch.Generator().manual_seed(given.plan.seed))
    net.bank.set(with_slope(start))
    train(net, batches, given.plan, given.folder / f"{label(given.fold)}.pt")
    finish(given, net, templates=len(start))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
