"""The common beginning and end of every step: an architecture, a task without one fold, and figures
beside those of plain training.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from ingest.errors import BadInputError
from models import architectures
from models.architectures import Architecture
from models.training import zoo
from models.training.data.records import data_folder
from models.training.harness import TrainingPlan
from models.training.recipe import label
from models.training.release.windowed_export import export
from models.training.tasks import base
from models.training.tasks.base import Figures, Task
from models.training.windowed import predictor


@dataclass(frozen=True)
class Setting:
    """The setting of one run of a step."""

    method: str
    architecture: Architecture
    task_name: str
    task: Task
    fold: int
    plan: TrainingPlan
    runs: Path
    data: Path

    @property
    def folder(self) -> Path:
        """Folder of the step's checkpoints and artifact."""
        return self.runs / f"{self.architecture.name}-{self.task_name}-{self.method}"

    def build(self) -> nn.Module:
        """The architecture with fresh weights, the same for the same seed.

        Raises BadInputError if it cannot answer the task.
        """
        if self.task.problem.kind not in self.architecture.kinds:
            answers = " and ".join(self.architecture.kinds)
            problem = f"{self.architecture.name} answers per {answers}, {self.task_name} asks for {self.task.problem.kind}"
            raise BadInputError(problem, "See which serves which: ecgwatch models list")
        torch.manual_seed(self.plan.seed)
        net: nn.Module = self.architecture.build(self.task.problem)
        return net

    def trained(self, name: str) -> nn.Module:
        """Load a network that `train` trained on the same task without the same fold.

        Raises BadInputError if there is none.
        """
        path = self.runs / f"{name}-{self.task_name}" / f"{label(self.fold)}.pt"
        if not path.exists():
            remedy = f"Train it: ecgwatch train {self.task_name} --architecture {name} --fold {self.fold}"
            raise BadInputError(f"{path} is missing", remedy)
        net: nn.Module = architectures.load(name).build(self.task.problem)
        net.load_state_dict(torch.load(path, weights_only=True)["net"])
        return net.eval()


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Arguments that all steps share."""
    found = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("architecture", help="a name of the registry")
    found.add_argument("task", help="a windowed task")
    found.add_argument(
        "--fold", type=int, required=True, help="train without this fold and judge on it"
    )
    found.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    found.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of checkpoints and artifacts"
    )
    found.add_argument("--epochs", type=int, help="instead of the task's")
    found.add_argument("--steps", type=int, help="batches per epoch, instead of the task's")
    found.add_argument("--seed", type=int, default=1)
    return found


def setting(method: str, options: argparse.Namespace) -> Setting:
    """The setting that the arguments describe."""
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    architecture = architectures.load(options.architecture)
    task = base.load(options.task)(options.data, options.runs / "cache")
    changes = {k: getattr(options, k) for k in ("epochs", "steps") if getattr(options, k)}
    plan = replace(zoo.adapted(task.plan, architecture), seed=options.seed, **changes)
    return Setting(
        method, architecture, options.task, task, options.fold, plan, options.runs, options.data
    )


def finish(
    setting: Setting, net: nn.Module, columns: Sequence[tuple[str, Figures]] = (), **about: object
) -> Figures:
    """Judge the network on the fold that was left out, write it as an artifact, and print its
    figures beside those of plain training, if RUNS has them, and of `columns`.
    """
    figures = setting.task.evaluate(predictor(net), setting.fold)
    results = {
        "architecture": setting.architecture.name,
        "task": setting.task_name,
        "fold": setting.fold,
        "method": setting.method,
        "figures": {k: [round(v, 4)] for k, v in figures.items()},
        **about,
    }
    export(net, setting.task.problem, setting.folder / label(setting.fold), results)
    plain = (
        setting.runs
        / f"{setting.architecture.name}-{setting.task_name}"
        / label(setting.fold)
        / "spec.json"
    )
    if plain.exists():
        known = {k: v[0] for k, v in json.loads(plain.read_text())["figures"].items()}
        columns = [("plain training", known), *columns]
    print(table([(setting.method.replace("_", " "), figures), *columns]), flush=True)
    return figures


def table(columns: Sequence[tuple[str, Figures]]) -> str:
    """Figures side by side, in Markdown."""
    names = list(dict.fromkeys(name for _, figures in columns for name in figures))
    lines = [f"| | {' | '.join(name for name, _ in columns)} |", "|---" * (1 + len(columns)) + "|"]
    for name in names:
        cells = [f"{figures[name]:.4g}" if name in figures else "-" for _, figures in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
