"""The command line. Each command is a module in a folder of ecgwatch/commands, imported when it is
called; this file lists them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch.called import as_called, called
from ecgwatch.lazy import CommandEntry, lazy_group
from ingest.errors import BadInputError, EcgwatchError

COMMANDS = (
    CommandEntry(
        "services",
        "demo",
        "Start broker, processor, store and page on this machine, with a ward of eight patients.",
    ),
    CommandEntry(
        "services", "simulate", "Stream simulated patients to the broker, or write them as records."
    ),
    CommandEntry(
        "services", "replay", "Stream records to the broker as if they were being recorded now."
    ),
    CommandEntry(
        "services",
        "ingest",
        "Take samples from devices by HTTP, WebSocket and MQTT, check them, and pass them on to Kafka.",
    ),
    CommandEntry(
        "services",
        "process",
        "Process ecg.samples: beats, rhythm, vitals and alarms to their topics and to the store.",
    ),
    CommandEntry(
        "services",
        "monitor",
        "Show the ward in a browser: live traces, heart rate, rhythm and alarms.",
    ),
    CommandEntry("services", "gateway", "Link wearable devices, and send their samples."),
    CommandEntry(
        "services",
        "notify",
        "Notify people of alarms by the rules of the file, and repeat failed attempts; every attempt is an event.",
    ),
    CommandEntry(
        "services",
        "score",
        "Score beats, rhythm and alarms against the annotations of records while they are replayed; scores go to ecg.scores.",
    ),
    CommandEntry("records", "annotate", "Annotate records as the stream would, without a broker."),
    CommandEntry("records", "view", "Open records in the page at record time, without a broker."),
    CommandEntry(
        "records",
        "evaluate",
        "Run annotated records through the whole data path and score beats, rhythm and alarms.",
    ),
    CommandEntry(
        "networks",
        "train",
        "Train a network on a task, judge it on the fold that was left out, and write it for `models compare` and `models deploy`",
    ),
    CommandEntry("records", "export", "Write stored events of patients and a period as files."),
    CommandEntry(
        "records",
        "report",
        "Write a report of a patient and a period: heart rate, rhythm, ectopy, variability, alarms and their strips, as HTML or PDF.",
    ),
    CommandEntry(
        "upkeep",
        "check",
        "Show every setting with its origin, and whether broker, store and Grafana can be reached.",
    ),
    CommandEntry(
        "people",
        "alarms",
        "Alarms: list, acknowledge, silence, follow, set limits, prove that none is missing.",
    ),
    CommandEntry("people", "devices", "Devices: tokens, and the patients who wear them."),
    CommandEntry("people", "patients", "Patients: admit, transfer, discharge."),
    CommandEntry("upkeep", "topics", "The Kafka topics, and how much is left to process."),
    CommandEntry(
        "upkeep", "dashboards", "Install the Grafana boards, and push live traces to Grafana."
    ),
    CommandEntry(
        "networks",
        "models",
        "The networks that ship with the product, and the architectures there are.",
    ),
)

app = typer.Typer(
    name="ecgwatch",
    cls=lazy_group(COMMANDS),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Real-time monitor for single-lead wearable ECG. Not a medical device.",
)


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
        app(prog_name=called())
    except EcgwatchError as error:
        text = f"error: {error.problem}\n{error.remedy}"
        typer.echo(as_called(text, [entry.name for entry in COMMANDS]), err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
