"""ecgwatch annotate: records through the stages of the stream, into files that anyone's tools can
score."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ecgwatch import settings
from ecgwatch.files import (
    AlarmRow,
    RecordRow,
    RhythmRow,
    alarm_rows,
    rhythm_rows,
    write_csvs,
    write_events,
)
from ingest.errors import BadInputError, EcgwatchError

LABELS = {"N": "N", "AFIB": "A", "O": "O", "~": "~"}  # of a whole record: the classes of CinC 2017


class _Done(NamedTuple):
    record: RecordRow
    alarms: list[AlarmRow]
    rhythm: list[RhythmRow]


def annotate(
    records: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORD...",
            help="WFDB paths without extension, or PhysioNet names (mitdb/208).",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for NAME.ecw, alarms.csv, rhythm.csv and record.csv.")
    ],
    channel: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|INDEX", help="Default: the first that says ECG, else the first."
        ),
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Records processed at a time.")] = 1,
) -> None:
    """Annotate records as the stream would, without a broker. Exit status 1 if any record could not
    be read."""
    held, _ = settings.load({})
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot write to {out}: {error.strerror}", "Choose another folder with --out."
        ) from error
    done: dict[str, _Done] = {}
    failed = False
    for result in _results(list(dict.fromkeys(records)), held.data, channel, out, jobs):
        row = result.record
        problem = (
            "another record of this run has the same name: annotate it into another folder"
            if row.record in done
            else row.error
        )
        done.setdefault(row.record, result)
        if problem:
            failed = True
            typer.echo(f"error: {row.record}: {problem}", err=True)
        else:
            rhythm = f"{row.label} ({row.probability:.2f})"
            typer.echo(
                f"{row.record}: {row.duration_s:.1f} s, {row.beats} beats, rhythm {rhythm}, {len(result.alarms)} alarms"
            )
    alarms, spans = (
        [a for d in done.values() for a in d.alarms],
        [r for d in done.values() for r in d.rhythm],
    )
    write_csvs(out, list(done), alarms, spans, [d.record for d in done.values()])
    if failed:
        raise typer.Exit(1)


def _results(
    records: list[str], data: Path, channel: str | None, out: Path, jobs: int
) -> Iterator[_Done]:
    if jobs == 1 or len(records) == 1:
        yield from (_one(record, data, channel, out) for record in records)
        return
    with ProcessPoolExecutor(min(jobs, len(records)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(_one, records, repeat(data), repeat(channel), repeat(out))
        except BrokenProcessPool as error:
            raise BadInputError(
                "a process of --jobs was killed, probably for want of memory",
                "Run with fewer --jobs.",
            ) from error


def _one(record: str, data: Path, channel: str | None, out: Path) -> _Done:
    """Annotate one record and write its .ecw; an error that names the input becomes its row."""
    # numpy, scipy and onnxruntime: not for the sake of --help
    from ecgwatch.annotate import annotate as run
    from ecgwatch.annotate import new_ward
    from ingest.sources.open import open_source

    name = Path(record).name
    try:
        found = run(open_source(record, data=data, channel=channel), new_ward())
        if not found.samples:
            raise BadInputError("the record has no samples", "Leave it out.")
    # OSError and ValueError: what wfdb says of broken files
    except (EcgwatchError, OSError, ValueError) as error:
        (out / f"{name}.ecw").unlink(missing_ok=True)
        return _Done(
            RecordRow(
                name, error=error.problem if isinstance(error, EcgwatchError) else str(error)
            ),
            [],
            [],
        )
    write_events(out, found.name, found.fs_hz, found.beats, found.rhythm)
    row = RecordRow(
        found.name,
        found.fs_hz,
        found.samples / found.fs_hz,
        found.channel,
        len(found.beats),
        LABELS[found.label],
        found.probability,
    )
    return _Done(row, alarm_rows(found.name, found.alarms), rhythm_rows(found.name, found.rhythm))
