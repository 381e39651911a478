"""The command line. One module per command in ecgwatch/commands; this file only names them."""

from __future__ import annotations

import importlib.metadata
import sys
from typing import Annotated

import typer

from ecgwatch.commands import models as models_command
from ecgwatch.commands import topics
from ecgwatch.commands.annotate import annotate
from ecgwatch.commands.check import check
from ecgwatch.commands.demo import demo
from ecgwatch.commands.export import export
from ecgwatch.commands.monitor import monitor
from ecgwatch.commands.process import process
from ecgwatch.commands.replay import replay
from ecgwatch.commands.simulate import simulate
from ingest.errors import EcgwatchError

app = typer.Typer(
    name="ecgwatch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Real-time monitor for single-lead wearable ECG. Not a medical device.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ecgwatch {importlib.metadata.version('ecgwatch')}")
        raise typer.Exit


app.command("annotate")(annotate)
app.add_typer(models_command.app, name="models")
app.command("demo")(demo)
app.command("monitor")(monitor)
app.command("check")(check)
app.command("export")(export)
app.command("replay")(replay)
app.command("simulate")(simulate)
app.add_typer(topics.app, name="topics")


@app.callback()
def _options(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    pass


app.command("process")(process)


def main() -> None:
    """Run the command line; errors a person can mend are printed without a traceback."""
    try:
        app()
    except EcgwatchError as error:
        typer.echo(f"error: {error.problem}\n{error.remedy}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
