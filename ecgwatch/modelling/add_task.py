"""`ecgwatch models add-task` and `ecgwatch models deploy`: teach the model a new task, and deploy
it to processors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import settings
from ecgwatch.called import command
from ecgwatch.modelling import extra


def add_task(
    name: Annotated[str, typer.Argument(help="Name of the task: small letters, digits, hyphens.")],
    folder: Annotated[
        Path,
        typer.Argument(
            help="WFDB records, and labels.csv with the columns record and label; 10 records of each class."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The model folder to write; it must not be there yet.")],
    base: Annotated[
        str,
        typer.Option(
            help="A shipped model, or a model folder: all that it answers stays as it is."
        ),
    ] = "ecgcl",
    seconds: Annotated[int, typer.Option(min=4, max=120, help="How far the task looks back.")] = 30,
    epochs: Annotated[int, typer.Option(min=1, help="Of 40 steps each.")] = 12,
) -> None:
    """Learn a new task from labelled records beside the tasks there are, and export the model.
    Needs the extra `train`."""
    from models.serving import catalogue

    training = extra.training("release.add_task")
    held, _ = settings.load({})
    start = catalogue.find(base).folder
    spec, figures = training.add_task(
        name,
        folder.expanduser(),
        start,
        out.expanduser(),
        seconds,
        epochs,
        held.data / "nstdb",
        typer.echo,
    )
    typer.echo("\nOn the records held out, every fifth of each class:")
    for row in zip(
        figures.classes,
        figures.records,
        figures.sensitivity,
        figures.precision,
        figures.f1,
        strict=True,
    ):
        typer.echo("  {:24} {:5} records   Se {:.3f}   +P {:.3f}   F1 {:.3f}".format(*row))
    typer.echo(
        f"  accuracy {figures.accuracy:.3f}; always the most frequent class: {figures.chance:.3f}"
    )
    typer.echo(
        f"\n{out}: version {spec.version}, tasks {', '.join(task.name for task in spec.tasks)}"
    )
    typer.echo(f"To have it used: {command('models', 'deploy', str(out))}")


def deploy(
    folder: Annotated[
        str,
        typer.Argument(
            help="A model folder, the name of a shipped model, or the folder of a network that `ecgwatch train` left."
        ),
    ],
) -> None:
    """Check a model and put it where ECGWATCH_MODEL says; processors that run with that setting
    take it up within seconds. A network of another architecture runs beside the tasks of the model
    there, and its answers are findings; the model's own folder, deployed again, takes it out."""
    from ecgwatch.modelling.deploying import deploy as put
    from ecgwatch.stores import model_folder
    from models.serving import catalogue

    place = model_folder(settings.load({})[0])
    before, now = put(catalogue.find(folder).folder, place)
    old = f" in the place of {before.version}" if before else ""
    typer.echo(
        f"{place}: version {now.version}{old}, tasks {', '.join([*(task.name for task in now.tasks), *(n.name for n in now.networks)])}"
    )
