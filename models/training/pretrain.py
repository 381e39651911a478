"""Pretraining of a system without labels, and its gain: a linear probe of the system, and of the
same encoder with random weights."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import torch
from torch import nn

from ingest.errors import BadInputError
from models import architectures
from models.training.harness import train
from models.training.place import Place
from models.training.pretraining import base
from models.training.pretraining.probe import Encodes, ProbeExamples, probe
from models.training.problems import PIECE
from models.training.recipe import label
from models.training.tasks import base as tasks
from models.training.tasks.base import Figures

TASK = "rhythm_10s"  # of the probe
WINDOWS = 5000  # that teach it


@dataclass(frozen=True)
class Pretraining:
    """A Training (models/training/recipe.py). RUNS/system-foldN.pt holds the weights for `train
    --start`, RUNS/foldN.json the figures."""

    name: str
    objective: base.Make
    variant: str
    task: tasks.Task
    place: Place
    changes: Mapping[str, int]
    windows: int = WINDOWS

    def learn(self, fold: int | None) -> nn.Module:
        """See Training."""
        held_out = -1 if fold is None else fold  # no record is in fold -1
        one = self.objective(self.place.data, self.place.cache, held_out, self.variant)
        plan = replace(one.plan, **self.changes)
        system = fresh(one.architecture, plan.seed)
        train(one.learner(system), one.batches(), plan, self._folder / f"{label(fold)}.pt")
        return system

    def judge(self, learned: nn.Module, fold: int | None) -> Figures:
        """See Training; the same probe of random weights beside it."""
        if fold is None:
            return {}
        one = self.objective(self.place.data, self.place.cache, fold, self.variant)
        control = fresh(one.architecture, one.plan.seed)
        examples = cast(ProbeExamples, self.task.batches(fold))
        return {
            f"{name}: {figure}": value
            for name, net in (("pretrained", learned), ("random weights", control))
            for figure, value in probe(
                cast(Encodes, net), examples, self.task, fold, self.windows
            ).items()
        }

    def export(self, learned: nn.Module, fold: int | None, figures: Figures) -> str:
        """See Training."""
        (self._folder / f"{label(fold)}.json").write_text(json.dumps(figures, indent=1) + "\n")
        path = self._folder / f"system-{label(fold)}.pt"
        torch.save(learned.state_dict(), path)
        return str(path)

    @property
    def _folder(self) -> Path:
        return self.place.runs / self.name


def fresh(architecture: str, seed: int) -> nn.Module:
    """A system with random weights, always the same of a seed."""
    torch.manual_seed(seed)
    net: nn.Module = architectures.load(architecture).build(PIECE)
    return net


def load(name: str, variant: str | None, place: Place, changes: Mapping[str, int]) -> Pretraining:
    """The pretraining of that name; `variant`: what is seen together, by default the first there
    is. Raises BadInputError if there is no such variant."""
    variants: tuple[str, ...] = base.known()[name].arguments["variants"]
    chosen = variant or variants[0]
    if chosen not in variants:
        problem = f"{name} has no variant {chosen!r}"
        raise BadInputError(problem, f"There are: {', '.join(variants)}.")
    task = tasks.load(TASK)(place.data, place.cache)
    return Pretraining(f"{name}-{chosen}", base.load(name), chosen, task, place, changes)
