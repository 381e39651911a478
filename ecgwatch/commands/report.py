"""ecgwatch report: a period of a patient as a page to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.stores import missing_file, open_sink
from ecgwatch.times import parse_time, show_time
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError
from stream_processor.sinks.base import SinkBusyError


def report(
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="The patient.")],
    from_time: Annotated[
        str,
        typer.Option(
            "--from", metavar="ISO", help="Begin of the period (UTC unless an offset is given)."
        ),
    ],
    to_time: Annotated[str, typer.Option("--to", metavar="ISO", help="End of the period.")],
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="HTML file to write or replace.")
    ],
    sink: options.Sink = None,
) -> None:
    """Write a report of a patient and a period: heart rate, rhythm, ectopy, variability, alarms and
    their strips. One HTML file."""
    from dashboards.report.findings import find
    from dashboards.report.page import report_html

    chosen, _ = settings.load({"sink": sink})
    start_ns, end_ns = parse_time("--from", from_time), parse_time("--to", to_time)
    if start_ns >= end_ns:
        raise BadInputError(f"--from {from_time} is not before --to {to_time}", "Swap them.")
    if missing := missing_file(chosen):
        raise BadInputError(
            f"no events yet: {missing.absolute()} is not there",
            "Process something into it first, or name another --sink.",
        )
    store = open_sink(chosen)
    try:
        found = find(store, patient, start_ns, end_ns)
    except SinkBusyError as error:
        raise UnreachableError("the events cannot be read", str(error)) from error
    finally:
        store.close()
    if not (found.monitored_s or found.beats.time_ns.size or found.alarms):
        raise BadInputError(
            f"nothing is stored of {patient!r} from {show_time(start_ns)} to {show_time(end_ns)}",
            "See whose events there are, and of when, with: ecgwatch export --out DIR",
        )
    try:
        out.write_text(report_html(found, SystemClock().now_ns()), encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"cannot write {out}: {error.strerror}", "Give another --out."
        ) from error
    typer.echo(
        f"{out}: {found.beats.time_ns.size} beats, {len(found.alarms)} alarms, {len(found.strips)} strips"
    )
