"""`ecgwatch dashboards`: installs the Grafana boards, and pushes live traces to Grafana."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Annotated

import typer

from ecgwatch import options, settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError

if TYPE_CHECKING:
    from dashboards.grafana.push import Grafana

app = typer.Typer(
    no_args_is_help=True, help="Install the Grafana boards, and push live traces to Grafana."
)

Url = Annotated[
    str | None,
    typer.Option(
        "--url", metavar="URL", help="Grafana, such as http://localhost:3000 (ECGWATCH_GRAFANA)."
    ),
]
Token = Annotated[
    str | None,
    typer.Option(
        "--token",
        help="Token of a service account with role Admin, or USER:PASSWORD (ECGWATCH_GRAFANA_TOKEN).",
    ),
]


@app.command()
def push(url: Url = None, token: Token = None, sink: options.Sink = None) -> None:
    """Create or update folders, datasource, boards and alert rules, and list the changes."""
    from dashboards.grafana.push import DataSource
    from ecgwatch.stores import influx_ca

    chosen, _ = settings.load({"grafana": url, "grafana_token": token, "sink": sink})
    scheme, _, address = chosen.sink.partition(":")
    if scheme != "influxdb":
        raise BadInputError(
            f"Grafana reads InfluxDB, and the store is {chosen.sink}",
            "Give --sink influxdb:URL as Grafana reaches it.",
        )
    source = DataSource(
        address, chosen.influx_org, chosen.influx_bucket, chosen.influx_token, influx_ca(chosen)
    )
    for change in _grafana(chosen).push(source):
        typer.echo(f"{change.what}: {change.state}" + (f" ({change.note})" if change.note else ""))


@app.command()
def check(url: Url = None, token: Token = None) -> None:
    """Check that Grafana answers, its datasource works, and boards and alert rules are current.
    Exit status 3 if not."""
    chosen, _ = settings.load({"grafana": url, "grafana_token": token})
    works = True
    for finding in _grafana(chosen).check():
        typer.echo(f"{finding.what}: {'ok' if finding.works else 'PROBLEM'}, {finding.text}")
        works &= finding.works
    if not works:
        raise typer.Exit(UnreachableError.exit_code)


@app.command()
def live(
    patients: Annotated[
        list[str], typer.Argument(metavar="PATIENT", help="Patients whose traces are pushed.")
    ],
    stream: Annotated[
        str, typer.Option(help="Grafana's name of the stream; the patient board shows `ecgwatch`.")
    ] = "ecgwatch",
    url: Url = None,
    token: Token = None,
    broker: options.Broker = None,
) -> None:
    """Push samples of patients to Grafana Live as they arrive, until Ctrl-C; wait while Grafana is
    away."""
    from dashboards.grafana import live as pushing
    from ingest.broker import create_topics

    chosen, _ = settings.load({"grafana": url, "grafana_token": token, "broker": broker})
    pushing.check_names(patients, stream)
    _address(chosen)
    create_topics(chosen.kafka)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(message)s")
    # its many log lines are dropped: this program logs what matters
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    publisher = pushing.Publisher(chosen.grafana, chosen.grafana_token, stream, SystemClock())
    typer.echo(f"pushing {', '.join(patients)} to {chosen.grafana} as stream/{stream}/PATIENT")
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(pushing.publish(pushing.LiveFeed(chosen.kafka, patients), publisher))


def _address(chosen: settings.Settings) -> None:
    """Check that Grafana's address and token are set. Raises BadInputError."""
    if not chosen.grafana.startswith(("http://", "https://")):
        raise BadInputError(
            f"no Grafana URL ({chosen.grafana!r})",
            "Give --url http://HOST:3000 (ECGWATCH_GRAFANA).",
        )
    if not chosen.grafana_token:
        raise BadInputError(
            "no token for Grafana",
            "Give --token TOKEN or --token USER:PASSWORD (ECGWATCH_GRAFANA_TOKEN).",
        )


def _grafana(chosen: settings.Settings) -> Grafana:
    from dashboards.grafana.push import Grafana

    _address(chosen)
    return Grafana(chosen.grafana, chosen.grafana_token)
