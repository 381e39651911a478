"""`ecgwatch train`: trains an architecture on a task, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ecgwatch.modelling import extra
from ingest.errors import BadInputError

DEPLOYED = "ecgcl"
# of the deployed network, in the order in which it learns them
TASKS = ("qrs", "beat_class", "rhythm", "lethal")
# for the architectures of the zoo alone
ZOO_TASKS = ("rhythm_10s", "beat_sequences", "diagnosis", "diagnosis_lead_i")
PRETRAINING = ("clocs", "cpc", "st_mem")  # without labels, then probed
DISTILLATION = (
    "distil-mvms",
    "distil-mvkt",
    "distil-tucker",
)  # students with and without what their scheme adds


def train(
    task: Annotated[
        str,
        typer.Argument(
            metavar="TASK",
            help=f"A task: {', '.join(TASKS)}, or for the zoo {', '.join(ZOO_TASKS)}. "
            f"Pretraining: {', '.join(PRETRAINING)}. Distillation: {', '.join(DISTILLATION)}.",
        ),
    ],
    architecture: Annotated[str, typer.Option(help="See: ecgwatch models list")] = DEPLOYED,
    fold: Annotated[
        list[int] | None,
        typer.Option(
            min=0, help="Leave this fold out and judge on it; may be repeated. Default: all data."
        ),
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of a pretraining: cmsc, cmlc, cmsmlc; twelve-leads.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the unpacked sets.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and results.")] = Path("runs"),
) -> None:
    """Train a task, judge it on the fold that was left out, and go on from the last checkpoint.
    Needs the extra `train`."""
    from models import architectures  # numpy: not for the sake of --help

    if architecture not in architectures.known():
        raise BadInputError(
            f"no architecture named {architecture!r}",
            f"There are: {', '.join(architectures.known())}.",
        )
    there = (*TASKS, *ZOO_TASKS, *PRETRAINING, *DISTILLATION)
    if task not in there:
        raise BadInputError(f"no task named {task!r}", f"There are: {', '.join(there)}.")
    held, _ = settings.load({})
    plan = (
        zoo_steps(task, fold or [0], runs, variant)
        if task in (*PRETRAINING, *DISTILLATION)
        else steps(task, architecture, fold or [], runs)
    )
    for module, arguments in plan:
        if status := extra.start(module, arguments, data or held.data):
            raise typer.Exit(status)


def zoo_steps(
    task: str, folds: list[int], runs: Path, variant: str | None
) -> list[tuple[str, list[str]]]:
    """Return the steps of a pretraining or a distillation, as `steps` does."""
    kept = ["--runs", str(runs)]
    if task in DISTILLATION:
        scheme = task.removeprefix("distil-")
        return [("distil", [scheme, "--fold", str(k), *kept]) for k in folds]
    seen = ["--variant", variant] if variant else []
    return [("pretrain", [task, "--fold", str(k), *seen, *kept]) for k in folds]


def steps(
    task: str, architecture: str, folds: list[int], runs: Path
) -> list[tuple[str, list[str]]]:
    """Return the modules of models.training to run one after another, with their arguments. Raises
    BadInputError if an earlier task is missing."""
    if task in ZOO_TASKS and architecture == DEPLOYED:
        raise BadInputError(
            f"{task} is for the architectures of the zoo",
            f"Name one: ecgwatch train {task} --architecture mina",
        )
    if architecture != DEPLOYED:
        chosen = [part for k in folds for part in ("--fold", str(k))]
        return [("train_windowed", [architecture, task, *chosen, "--runs", str(runs)])]
    if task == "beat_class":
        if folds:
            raise BadInputError(
                "beat_class trains the networks of all folds at once", "Leave out --fold."
            )
        kept = ["--runs", str(runs / task)]
        module = "tasks.beat_class.train"
        return [(module, ["cache", *kept]), (module, ["train", *kept])]
    names = [f"fold{k}" for k in folds] or ["final"]
    for name in names:
        trunk = runs / DEPLOYED / f"qrs-{name}.pt"
        if task != TASKS[0] and not trunk.exists():
            asked = "".join(f" --fold {k}" for k in folds)
            raise BadInputError(
                f"{task} reads the trunk of qrs, and {trunk} is missing",
                f"First: ecgwatch train qrs{asked} --runs {runs}",
            )
    return [(f"tasks.{task}.train", [*names, "--runs", str(runs / DEPLOYED)])]
