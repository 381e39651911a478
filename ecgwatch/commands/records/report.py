"""ecgwatch report: a period of a patient as a page to print."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.stores import missing_file, open_sink
from ecgwatch.times import DAY_NS, parse_when, show_time
from ecgwatch.writing.pdf import print_pdf
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError
from stream_processor.sinks.base import SinkBusyError


def report(
    patient: Annotated[str, typer.Argument(metavar="PATIENT", help="The patient.")],
    from_time: options.From = None,
    to_time: options.To = "now",
    out: Annotated[
        Path,
        typer.Option(
            "--out", metavar="FILE", help="File to write or replace: .html, or .pdf (by Chromium)."
        ),
    ] = Path("report.html"),
    sink: options.Sink = None,
) -> None:
    """Write a report of a patient and a period: heart rate, rhythm, ectopy, variability, alarms and
    their strips, as HTML or PDF. Without --from: the last 24 h before --to."""
    from dashboards.report.findings import find
    from dashboards.report.page import report_html

    chosen, _ = settings.load({"sink": sink})
    now_ns = SystemClock().now_ns()
    end_ns = parse_when("--to", to_time, now_ns)
    start_ns = parse_when("--from", from_time, now_ns) if from_time else max(0, end_ns - DAY_NS)
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
        if out.suffix == ".pdf":
            print_pdf(report_html(found, now_ns), out)
        else:
            out.write_text(report_html(found, now_ns), encoding="utf-8")
    except OSError as error:
        raise BadInputError(
            f"cannot write {out}: {error.strerror}", "Give another --out."
        ) from error
    typer.echo(
        f"{out}: {found.beats.time_ns.size} beats, {len(found.alarms)} alarms, {len(found.strips)} strips"
    )
