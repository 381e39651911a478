"""`ecgwatch check`: shows settings, checks the connections, and names remedies."""

from __future__ import annotations

import typer

from ecgwatch import options, settings
from ingest.errors import UnreachableError


def check(broker: options.Broker = None, sink: options.Sink = None) -> None:
    """Show every setting with its origin, and whether broker, store and Grafana can be reached.
    Exit status 3 if one cannot."""
    from ecgwatch.checks import findings, shown  # seconds of imports

    chosen, source = settings.load({"broker": broker, "sink": sink})
    typer.echo("settings")
    for name, value in shown(chosen).items():
        typer.echo(f"  {name:<14}{value}  ({source[name]})")
    typer.echo("parts")
    found = findings(chosen)
    for one in found:
        typer.echo(f"  {one.part:<14}{'ok' if one.works else 'PROBLEM'}: {one.text}")
        if one.remedy:
            typer.echo(f"  {'':<14}{one.remedy}")
    if not all(one.works for one in found):
        raise typer.Exit(UnreachableError.exit_code)
