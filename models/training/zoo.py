"""How the systems of the zoo are trained: one recipe for those that convolve, one for those that
attend, the same budget for all."""

from __future__ import annotations

from dataclasses import dataclass

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


def plan(architecture: Architecture, epochs: int, steps: int, batch: int, seed: int) -> Plan:
    """The plan by which a system is trained."""
    rates = RECIPES[architecture.recipe]
    return Plan(epochs, steps, batch, rates.rate, rates.decay, rates.warm_up, seed)
