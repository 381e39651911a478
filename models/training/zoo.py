"""The training recipes of the zoo: one for convolutional systems, one for systems with attention,
the same budget for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.architectures import Architecture, Recipe
from models.training.harness import TrainingPlan


@dataclass(frozen=True)
class Rates:
    """A recipe's changes to a task's plan."""

    rate: float
    decay: float
    warm_up: float


RECIPES: dict[Recipe, Rates] = {
    "convolutional": Rates(5e-3, 0.01, 0.2),
    "transformer": Rates(1e-3, 0.05, 0.05),
}


def adapted(plan: TrainingPlan, architecture: Architecture) -> TrainingPlan:
    """A task's plan with the recipe of a system of the zoo; unchanged for other architectures."""
    if not architecture.mechanism:
        return plan
    r = RECIPES[architecture.recipe]
    return replace(plan, peak_rate=r.rate, weight_decay=r.decay, warm_up=r.warm_up)
