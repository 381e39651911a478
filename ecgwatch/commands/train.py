"""ecgwatch train: a task learned by an architecture, in a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ecgwatch.modelling import extra
from ingest.errors import BadInputError

DEPLOYED = "ecgcl"
TASKS = ("qrs", "beat_class", "rhythm", "lethal")  # of the deployed network, in the order in which it learns them


def train(
    task: Annotated[str, typer.Argument(metavar="|".join(TASKS), help="What to learn.")],
    architecture: Annotated[str, typer.Option(help="See: ecgwatch models list")] = DEPLOYED,
    fold: Annotated[
        list[int] | None, typer.Option(min=0, help="Leave this fold out and judge on it; may be repeated. Default: all data.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the unpacked sets.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and results.")] = Path("runs"),
) -> None:
    """Train a task, judge it on the fold that was left out, and go on from the last checkpoint. Needs the extra `train`."""
    from models import architectures  # numpy: not for the sake of --help

    if architecture not in architectures.known():
        raise BadInputError(f"no architecture named {architecture!r}", f"There are: {', '.join(architectures.known())}.")
    if task not in TASKS:
        raise BadInputError(f"no task named {task!r}", f"There are: {', '.join(TASKS)}.")
    held, _ = settings.load({})
    folders = ["--data", str(data or held.data)]
    if architecture == DEPLOYED:
        names = [f"fold{k}" for k in fold] if fold else ["final"]
        status = extra.start(f"tasks.{task}", [*names, *folders, "--runs", str(runs / DEPLOYED)])
    else:
        chosen = [part for k in fold or [] for part in ("--fold", str(k))]
        status = extra.start("plain", [architecture, task, *chosen, *folders, "--runs", str(runs)])
    if status:
        raise typer.Exit(status)
