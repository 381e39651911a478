"""The interface of a pretraining objective, and the registry of objectives.

An objective wraps a system of the zoo in a learner (the system and what only pretraining needs),
makes batches, and says how wrong a learner is. After training the system itself is kept.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

from torch import nn

from models.registry import Declared, chosen, declared
from models.training import pretraining
from models.training.harness import Batches, TrainingPlan


class Objective(Protocol):
    """Learning without labels for one architecture."""

    architecture: str
    plan: TrainingPlan

    def learner(self, system: nn.Module) -> nn.Module:
        """The system with the parts that only pretraining needs."""
        ...

    def batches(self) -> Batches:
        """Training data without the records of the fold that will be judged."""
        ...


# folder of the unpacked sets, folder for what is kept between runs, fold to leave out, variant
Make = Callable[[Path, Path, int, str], Objective]
M = TypeVar("M", bound=Make)
_loaded: dict[str, Make] = {}


def objective(name: str, *, variants: tuple[str, ...]) -> Callable[[M], M]:
    """Register the decorated class that makes an objective; the arguments must be literals."""

    def register(make: M) -> M:
        _loaded[name] = make
        return make

    return register


def known() -> dict[str, Declared]:
    """All objectives by name; `arguments` holds the variants, the usual one first."""
    return declared(pretraining.__name__, pretraining.__path__, "objective")


def load(name: str) -> Make:
    """An objective by name. Raises BadInputError that lists the known ones."""
    importlib.import_module(chosen(known(), name, "objective").module)
    return _loaded[name]
