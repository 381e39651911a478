"""ecgwatch view: records in the monitor's page, at record time, without a broker."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import quote

import typer

from ecgwatch import options, settings
from ecgwatch.ports import free_port
from ecgwatch.streaming import unique, warn
from ingest.clock import SystemClock
from ingest.errors import BadInputError

if TYPE_CHECKING:
    from ecgwatch.viewing.annotated import AnnotatedRecord
    from ingest.sources.base import Source

DEFAULT_PORT = 8070
FOLDER = Path("var/view")


def view(
    records: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORD|FOLDER",
            help="A WFDB record, PhysioNet name (mitdb/208), EDF, BDF or CSV file; or a folder of WFDB records, or one that annotate wrote.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where edited beats are saved, as NAME.ecw.")
    ] = FOLDER,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page.")] = True,
    port: Annotated[int | None, options.page_port(DEFAULT_PORT)] = None,
    channel: options.Channel = None,
    fs: options.SamplingHz = None,
    unit: options.Unit = None,
) -> None:
    """Open records in the page at record time, without a broker. Play, pause, go to; our beats
    beside the reference; edit them, save them as WFDB annotations. Ctrl-C ends it."""
    from ecgwatch.viewing.annotated import record_zero_ns
    from ingest.sources.open import open_source

    chosen, _ = settings.load({})
    specs = [spec for text in records for spec in records_of(text)]
    sources = [
        open_source(spec, data=chosen.data, channel=channel, fs_hz=fs, unit=unit, notice=warn)
        for spec in specs
    ]
    unique([source.name for source in sources])
    zero_ns = record_zero_ns()
    opened = [_annotated(source, zero_ns) for source in sources]
    _serve(opened, out, free_port(DEFAULT_PORT) if port is None else port, browser)


def records_of(text: str) -> list[str]:
    """Return the records that a path, a PhysioNet name or a folder stands for. Raises
    BadInputError for a folder without any."""
    folder = Path(text).expanduser()
    if not folder.is_dir():
        return [text]
    table = folder / "record.csv"
    if table.exists():
        with table.open(newline="", encoding="utf-8") as file:
            found = [row.get("source") or "" for row in csv.DictReader(file)]
        if not all(found):
            raise BadInputError(
                f"{table} does not say where the records are", "Run annotate again, then view."
            )
    else:
        found = [str(path.with_suffix("")) for path in sorted(folder.glob("*.hea"))]
    if not found:
        raise BadInputError(
            f"{text}: no WFDB record (.hea) and no record.csv is in this folder",
            "Name a record, or a folder that annotate wrote.",
        )
    return found


def _annotated(source: Source, zero_ns: int) -> AnnotatedRecord:
    """Annotate a record, with a bar of progress."""
    from ecgwatch.viewing.annotated import annotated

    seconds = round(source.duration_s or 0)
    with typer.progressbar(
        length=seconds, label=f"annotating {source.name}", file=sys.stderr
    ) as bar:
        return annotated(source, FOLDER, zero_ns, lambda at_s: bar.update(round(at_s) - bar.pos))


def _serve(records: list[AnnotatedRecord], out: Path, port: int, browser: bool) -> None:
    from dashboards.monitor.http.serve import serve
    from ecgwatch.viewing.app import create_view

    path = f"patient?id={quote(records[0].name)}" if len(records) == 1 else ""

    def announce(address: str) -> None:
        typer.echo(f"view: {address}{path}")
        typer.echo(f"Edited beats are saved to {out}, by the page's Save. Ctrl-C ends it.")
        if browser:
            webbrowser.open(address + path)

    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(create_view(records, SystemClock(), out), "127.0.0.1", port, announce))
