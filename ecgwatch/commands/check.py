"""`ecgwatch check`: what holds, what can be reached, and what to do about the rest."""

from __future__ import annotations

import typer

from ecgwatch import options, settings
from ingest.errors import UnreachableError


def check(broker: options.Broker = None, sink: options.Sink = None) -> None:
    """Show every setting and where it came from, and whether broker, store and Grafana can be
    reached. Exit status 3 where one cannot."""
    from ecgwatch.checks import findings, shown  # seconds of imports that no other command needs

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
