"""`ecgwatch export`: stored events as files."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ecgwatch import options, settings
from ecgwatch.stores import missing_file, open_sink
from ecgwatch.times import parse_when, show_time
from ecgwatch.writing.exporting import export_records
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError
from stream_processor.sinks.base import FOREVER_NS, Sink, SinkBusyError


class ExportFormat(StrEnum):
    """File formats of `export`."""

    ECW = "ecw"
    CSV = "csv"
    PARQUET = "parquet"


def export(
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder to write into; created if missing.")
    ],
    patient: Annotated[
        list[str] | None,
        typer.Option(
            "--patient", metavar="ID", help="Only this patient (may be repeated; default: all)."
        ),
    ] = None,
    from_time: options.From = None,
    to_time: options.End = None,
    form: Annotated[
        ExportFormat,
        typer.Option(
            "--format", help="ecw: the files of annotate; csv, parquet: every field of every event."
        ),
    ] = ExportFormat.ECW,
    sink: options.Sink = None,
) -> None:
    """Write stored events of patients and a period as files."""
    chosen, _ = settings.load({"sink": sink})
    now_ns = SystemClock().now_ns()
    start_ns = 0 if from_time is None else parse_when("--from", from_time, now_ns)
    end_ns = FOREVER_NS if to_time is None else parse_when("--to", to_time, now_ns)
    if missing := missing_file(chosen):
        raise BadInputError(
            f"no events yet: {missing.absolute()} is not there",
            "Process something into it first, or name another --sink.",
        )
    store = open_sink(chosen)
    try:
        patients = _present(store, patient, chosen.sink)
        if form is ExportFormat.ECW:
            for done in export_records(store, patients, out, start_ns, end_ns):
                counts = f"{done.beats} beats, {done.rhythm} rhythm episodes, {done.alarms} alarms"
                typer.echo(f"{done.path}: from {show_time(done.start_ns)}, {counts}")
        else:
            # half a second of imports that no other command needs
            from ecgwatch.writing.tables import export_tables

            for path, rows in export_tables(store, patients, out, form.value, start_ns, end_ns):
                typer.echo(f"{path}: {rows} rows")
    except SinkBusyError as error:
        raise UnreachableError("the events cannot be read", str(error)) from error
    except OSError as error:
        raise BadInputError(
            f"cannot write into {out}: {error}", "Give another --out, or make room."
        ) from error
    finally:
        store.close()


def _present(store: Sink, wanted: list[str] | None, place: str) -> list[str]:
    """Return the patients to export. Raises BadInputError for a patient without stored events."""
    stored = store.patients()
    missing = [name for name in wanted or [] if name not in stored]
    if missing or not stored:
        who = f"events of {', '.join(map(repr, missing))}" if missing else "events"
        known = (
            f"Stored are: {', '.join(stored[:20])}{', ...' if len(stored) > 20 else ''}."
            if stored
            else "It is empty."
        )
        raise BadInputError(f"no {who} in {place}", f"{known} Another store: --sink.")
    return list(dict.fromkeys(wanted)) if wanted else stored
