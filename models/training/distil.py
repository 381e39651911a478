"""Students with and without the loss of a distillation scheme, and its effect.

The teacher is trained once per fold; each seed makes two students that differ in the scheme's loss
alone. RUNS/distil-SCHEME/foldN.json holds every figure.
"""

from __future__ import annotations

import importlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from ingest.errors import BadInputError
from models.training.distillation.base import Scheme, WithTeacher
from models.training.harness import train
from models.training.place import Place
from models.training.recipe import label
from models.training.tasks.base import Figures, Task
from models.training.windowed import predictor

SCHEMES = ("mvms", "mvkt", "tucker")
ARMS = {"with": True, "without": False}
Table = dict[str, list[float]]  # a figure per seed, by arm


class DistilledStudents(NamedTuple):
    """A teacher, and by arm a student per seed."""

    teacher: nn.Module
    students: dict[str, list[nn.Module]]


@dataclass(frozen=True)
class Distillation:
    """A Training (models/training/recipe.py)."""

    name: str
    scheme: Scheme
    teacher_task: Task
    task: Task
    seeds: Sequence[int]
    runs: Path

    def learn(self, fold: int | None) -> DistilledStudents:
        """See Training."""
        torch.manual_seed(self.scheme.plan.seed)
        path = self.runs / f"teacher-{label(fold)}.pt"
        batches = self.teacher_task.batches(fold)
        teacher = train(self.scheme.teacher(), batches, self.scheme.plan, path)
        students = {
            arm: [self._student(teacher, fold, arm, seed) for seed in self.seeds] for arm in ARMS
        }
        return DistilledStudents(teacher, students)

    def _student(self, teacher: nn.Module, fold: int | None, arm: str, seed: int) -> nn.Module:
        torch.manual_seed(seed)
        pair = self.scheme.pair(self.scheme.student(), teacher)
        own = self.teacher_task.batches(fold)
        judged = WithTeacher(own, self.scheme.loss(own, ARMS[arm]))
        plan = replace(self.scheme.plan, seed=seed)
        train(pair, judged, plan, self.runs / f"{label(fold)}-{arm}-seed{seed}.pt")
        return pair.student.eval()

    def judge(self, learned: DistilledStudents, fold: int | None) -> Figures:
        """See Training: means over the seeds, and of what the scheme's loss adds seed by seed."""
        if fold is None:
            return {}
        metric = self.task.metric
        teacher = self.teacher_task.evaluate(predictor(learned.teacher), fold)[metric]
        results: Table = {"teacher": [teacher]} | {
            arm: [self.task.evaluate(predictor(net), fold)[metric] for net in nets]
            for arm, nets in learned.students.items()
        }
        (self.runs / f"{label(fold)}.json").write_text(
            json.dumps({"metric": metric} | results) + "\n"
        )
        print("\n".join(lines(results, metric)), flush=True)
        return {f"{metric}, {arm}": statistics.mean(values) for arm, values in results.items()}

    def export(self, learned: DistilledStudents, fold: int | None, figures: Figures) -> str:
        """See Training: checkpoints and figures are all there is."""
        return str(self.runs)


def lines(results: Table, metric: str) -> list[str]:
    """Mean and standard deviation of each arm, and of the difference between students of a seed."""
    found = [f"{metric}"]
    for arm, values in results.items():
        spread = f" ± {statistics.stdev(values):.3g}" if len(values) > 1 else ""
        found.append(f"{arm}: {statistics.mean(values):.4g}{spread} ({len(values)})")
    each = [a - b for a, b in zip(results["with"], results["without"], strict=True)]
    spread = f" ± {statistics.stdev(each):.3g}" if len(each) > 1 else ""
    return [*found, f"with less without, seed by seed: {statistics.mean(each):+.4g}{spread}"]


def load(name: str, place: Place, changes: Mapping[str, int], seeds: Sequence[int]) -> Distillation:
    """The distillation by that scheme. Raises BadInputError if there is none."""
    if name not in SCHEMES:
        raise BadInputError(f"no scheme named {name!r}", f"There are: {', '.join(SCHEMES)}.")
    scheme: Scheme = importlib.import_module(f"models.training.distillation.{name}").SCHEME
    scheme = replace(scheme, plan=replace(scheme.plan, **changes))
    task = scheme.task(place.data, place.cache)
    same = scheme.teacher_task is scheme.task
    teacher_task = task if same else scheme.teacher_task(place.data, place.cache)
    runs = place.runs / f"distil-{name}"
    return Distillation(f"distil-{name}", scheme, teacher_task, task, seeds, runs)
