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
    seed: Annotated[int, typer.Option(min=1, help="Seed of the random numbers.")] = 1,
    epochs: Annotated[
        int | None, typer.Option(min=1, help="Epochs, instead of the task's.")
    ] = None,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Batches per epoch, instead of the task's.")
    ] = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights to begin with, as a pretraining leaves them.")
    ] = None,
    variant: Annotated[
        str | None, typer.Option(help="Of a pretraining: cmsc, cmlc, cmsmlc; twelve-leads.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the unpacked sets.")] = None,
    runs: Annotated[Path, typer.Option(help="Folder of checkpoints and results.")] = Path("runs"),
) -> None:
    """Train a network on a task, judge it on the fold that was left out, and write it for `models
    compare` and `models deploy`; goes on from the last checkpoint. Needs the extra `train`."""
    from models import architectures  # numpy: not for the sake of --help

    if architecture not in architectures.known():
        raise BadInputError(
            f"no architecture named {architecture!r}",
            f"There are: {', '.join(architectures.known())}.",
        )
    there = (*TASKS, *ZOO_TASKS, *PRETRAINING, *DISTILLATION)
    if task not in there:
        raise BadInputError(f"no task named {task!r}", f"There are: {', '.join(there)}.")
    if task in TASKS and architecture == DEPLOYED and (epochs or steps):
        raise BadInputError(
            f"{DEPLOYED} learns {task} in several trainings, each with steps of its own",
            "Leave out --epochs and --steps, or name another --architecture.",
        )
    chosen: dict[str, object] = {
        "--seed": seed,
        "--epochs": epochs,
        "--steps": steps,
        "--start": start,
        "--variant": variant,
        "--runs": runs,
    }
    given = [task, "--architecture", architecture]
    given += [part for k in fold or [] for part in ("--fold", str(k))]
    given += [p for name, v in chosen.items() if v is not None for p in (name, str(v))]
    held, _ = settings.load({})
    if status := extra.start("command", given, data or held.data):
        raise typer.Exit(status)
