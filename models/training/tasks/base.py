"""The interface between tasks and the architectures of the registry, and the registry of tasks.

A task has windows cut by one InputSpec, answers of one kind (models/architectures/__init__.py), a
split into folds over patients (or records), and figures. The deployed network learns its tasks by
modules of their own, because its later tasks read the trunk's features of the last seconds; for
every other architecture a task has this interface.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from models.architectures import Problem
from models.registry import Declared, chosen, declared
from models.training import tasks
from models.training.harness import Batches, TrainingPlan

Floats = npt.NDArray[np.float32]
Figures = dict[str, float]  # figures by name, with unit or condition in the name
# scaled windows (B, T), or (B, R, T) of several rows, to logits (models/architectures/__init__.py)
Predict = Callable[[Floats], Floats]


class Task(Protocol):
    """A task whose network sees one window at a time."""

    problem: Problem
    plan: TrainingPlan  # enough for a small network
    folds: int
    metric: str  # the figure that decides choices; more is better

    def batches(self, fold: int | None) -> Batches:
        """Training data without the patients of that fold, or of all patients."""
        ...

    def evaluate(self, predict: Predict, fold: int) -> Figures:
        """Figures on the patients of that fold, through the windows and rules of the stream."""
        ...


# folder of the unpacked sets, folder for what is kept between runs
Make = Callable[[Path, Path], Task]
M = TypeVar("M", bound=Make)
_loaded: dict[str, Make] = {}


def task(name: str) -> Callable[[M], M]:
    """Register the decorated class (or function) that makes a task; the name must be a literal."""

    def register(make: M) -> M:
        _loaded[name] = make
        return make

    return register


def known() -> dict[str, Declared]:
    """All tasks by name."""
    return declared(tasks.__name__, tasks.__path__, "task")


def load(name: str) -> Make:
    """A task by name, to be given its folders. Raises BadInputError that lists the known ones."""
    importlib.import_module(chosen(known(), name, "task").module)
    return _loaded[name]
