"""How the systems of the zoo are trained: one recipe for those that convolve, one for those that
attend, the same budget for all."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models.architectures import Architecture, Recipe
from models.training.harness import Plan


@dataclass(frozen=True)
class Rates:
    """What a recipe changes in a task's plan."""

    rate: float
    decay: float
    warm_up: float


RECIPES: dict[Recipe, Rates] = {
    "convolutional": Rates(5e-3, 0.01, 0.2),
    "transformer": Rates(1e-3, 0.05, 0.05),
}


def adapted(plan: Plan, architecture: Architecture) -> Plan:
    """A task's plan by the recipe of a system of the zoo; as it is for other architectures."""
    if not architecture.mechanism:
        return plan
    r = RECIPES[architecture.recipe]
    return replace(plan, peak_rate=r.rate, weight_decay=r.decay, warm_up=r.warm_up)
