"""The command line. Each command is a module in ecgwatch/commands; this file only registers
them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch.commands import alarms, devices, patients, topics
from ecgwatch.commands import dashboards as dashboards_command
from ecgwatch.commands import models as models_command
from ecgwatch.commands.annotate import annotate
from ecgwatch.commands.check import check
from ecgwatch.commands.demo import demo
from ecgwatch.commands.evaluate import evaluate
from ecgwatch.commands.export import export
from ecgwatch.commands.gateway import gateway
from ecgwatch.commands.ingest import ingest
from ecgwatch.commands.monitor import monitor
from ecgwatch.commands.notify import notify
from ecgwatch.commands.process import process
from ecgwatch.commands.replay import replay
from ecgwatch.commands.report import report
from ecgwatch.commands.score import score
from ecgwatch.commands.simulate import simulate
from ecgwatch.commands.train import train
from ingest.errors import BadInputError, EcgwatchError

app = typer.Typer(
    name="ecgwatch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Real-time monitor for single-lead wearable ECG. Not a medical device.",
)


for command in (
    demo,
    simulate,
    replay,
    ingest,
    process,
    monitor,
    gateway,
    notify,
    score,
    annotate,
    evaluate,
    train,
    export,
    report,
    check,
):
    app.command(command.__name__)(command)
app.add_typer(alarms.app, name="alarms")
app.add_typer(devices.app, name="devices")
app.add_typer(patients.app, name="patients")
app.add_typer(topics.app, name="topics")
app.add_typer(dashboards_command.app, name="dashboards")
app.add_typer(models_command.app, name="models")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ecgwatch {importlib.metadata.version('ecgwatch')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def refuse_strangers() -> None:
    """Check that no other package with one of our generic names (models, ingest, ...) hides ours.
    Raises BadInputError."""
    home = Path(__file__).parents[1]
    for name in ("ingest", "models", "stream_processor", "dashboards"):
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).parents[1] if spec and spec.origin else None
        if found != home:
            raise BadInputError(
                f"the package {name!r} that Python finds in {found} is not ecgwatch's ({home})",
                "Uninstall it, or run ecgwatch in an environment of its own (python3 run.py ...), from a folder without one of that name.",
            )


def main() -> None:
    """Run the command line; errors that a person can correct are printed without a traceback."""
    try:
        refuse_strangers()
        app()
    except EcgwatchError as error:
        typer.echo(f"error: {error.problem}\n{error.remedy}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
