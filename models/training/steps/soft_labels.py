"""Train a student on its teacher's probabilities (Wu et al. 2020, DOI
10.1016/j.compbiomed.2020.103800), as the binarised network is.

    python -m models.training.steps.soft_labels binarised_cnn rhythm --teacher NAME --fold 0

The loss is cross-entropy against the teacher's answers, and against the reference too on request.
Differences here: the teacher's windows are the task's varied ones instead of crops, and it is
trained by the zoo's common recipe.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import EcgwatchError
from models.training.harness import Batches, train
from models.training.recipe import label
from models.training.steps.setting import finish, parser, setting
from models.training.windowed import predictor


class SoftLabels:
    """A task's batches with the teacher's probabilities for every window."""

    def __init__(self, data: Batches, teacher: nn.Module, hard: float = 0.0) -> None:
        """`hard`: share of the reference in the loss."""
        self._data, self._teacher, self._hard = data, teacher.eval().requires_grad_(False), hard

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Any]:
        """The task's inputs; its target and the teacher's probabilities (B, K)."""
        inputs, target = self._data.batch(rng, size)
        with torch.no_grad():
            return inputs, (target, self._teacher(*inputs).softmax(dim=1))

    def loss(self, net: nn.Module, answer: Tensor, target: Any) -> Tensor:
        """Cross-entropy against both."""
        reference, soft = target
        taught = functional.cross_entropy(answer, soft)
        if not self._hard:
            return taught
        return (1 - self._hard) * taught + self._hard * self._data.loss(net, answer, reference)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    asked = parser(__doc__)
    asked.add_argument(
        "--teacher", required=True, help="an architecture trained by `ecgwatch train`"
    )
    asked.add_argument("--hard", type=float, default=0.0, help="share of the reference in the loss")
    options = asked.parse_args(arguments)
    given = setting("soft_labels", options)
    teacher, net = given.trained(options.teacher), given.build()
    batches = SoftLabels(given.task.batches(given.fold), teacher, options.hard)
    train(net, batches, given.plan, given.folder / f"{label(given.fold)}.pt")
    own = given.task.evaluate(predictor(teacher), given.fold)
    finish(given, net, [(f"{options.teacher}, the teacher", own)], taught_by=options.teacher)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
