"""ecgwatch annotate: records through the stages of the stream, into files that anyone's tools can score."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from ecgwatch import options, settings
from ecgwatch.writing.files import (
    AlarmEpisodeRow,
    RecordRow,
    RhythmRow,
    alarm_rows,
    rhythm_rows,
    write_csvs,
    write_events,
)
from ingest.errors import BadInputError, EcgwatchError

LABELS = {"N": "N", "AFIB": "A", "O": "O", "~": "~"}  # of a whole record: the classes of CinC 2017


class _How(NamedTuple):
    """How every record of a run is read, and the folder to write to."""

    data: Path
    channel: str | None
    fs_hz: float | None
    unit: str | None
    out: Path


class _Done(NamedTuple):
    record: RecordRow
    alarms: list[AlarmEpisodeRow]
    rhythm: list[RhythmRow]
    notices: list[str]  # what was left out or missing


def annotate(
    records: Annotated[
        list[str],
        typer.Argument(
            metavar="RECORD...",
            help="WFDB paths without extension, PhysioNet names (mitdb/208), EDF, BDF or CSV files.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Folder for NAME.ecw, alarms.csv, rhythm.csv and record.csv.")
    ],
    channel: options.Channel = None,
    fs: options.SamplingHz = None,
    unit: options.Unit = None,
    jobs: Annotated[int, typer.Option(min=1, help="Records processed at a time.")] = 1,
) -> None:
    """Annotate records as the stream would, without a broker. Exit status 1 if any record could not be read."""
    held, _ = settings.load({})
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot write to {out}: {error.strerror}", "Choose another folder with --out."
        ) from error
    done: dict[str, _Done] = {}
    failed = False
    how = _How(held.data, channel, fs, unit, out)
    for result in _results(list(dict.fromkeys(records)), how, jobs):
        row = result.record
        problem = (
            "another record of this run has the same name: annotate it into another folder"
            if row.record in done
            else row.error
        )
        done.setdefault(row.record, result)
        for notice in result.notices:
            typer.echo(f"warning: {notice}", err=True)
        if problem:
            failed = True
            typer.echo(
                f"error: {problem}"
                if problem.startswith(row.record)
                else f"error: {row.record}: {problem}",
                err=True,
            )
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


def _results(records: list[str], how: _How, jobs: int) -> Iterator[_Done]:
    if jobs == 1 or len(records) == 1:
        yield from (_one(record, how) for record in records)
        return
    with ProcessPoolExecutor(min(jobs, len(records)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(_one, records, repeat(how))
        except BrokenProcessPool as error:
            raise BadInputError(
                "a process of --jobs was killed, probably for want of memory",
                "Run with fewer --jobs.",
            ) from error


def _place(record: str) -> str:
    """Return a path that leads to the record from every folder, or its PhysioNet name."""
    path = Path(record).expanduser()
    here = path.exists() or path.with_name(f"{path.name}.hea").exists()
    return str(path.absolute()) if here else record


def _one(record: str, how: _How) -> _Done:
    """Annotate one record and write its .ecw; an error that names the input becomes its row."""
    from ecgwatch.annotate import (
        annotate as run,
    )  # numpy, scipy and onnxruntime: not for the sake of --help
    from ecgwatch.annotate import new_ward
    from ingest.sources.open import open_source

    name = Path(record).name
    notices: list[str] = []
    try:
        source = open_source(
            record,
            data=how.data,
            channel=how.channel,
            fs_hz=how.fs_hz,
            unit=how.unit,
            notice=notices.append,
        )
        found = run(source, new_ward())
        if not found.samples:
            raise BadInputError("the record has no samples", "Leave it out.")
    except (
        EcgwatchError,
        OSError,
        ValueError,
    ) as error:  # the last two: what packages say of broken files
        (how.out / f"{name}.ecw").unlink(missing_ok=True)
        if isinstance(error, EcgwatchError):
            problem = f"{error.problem}. {error.remedy}"
        else:
            problem = f"it cannot be read ({error}). Check that it is complete; copy or download it again."
        return _Done(RecordRow(name, error=problem), [], [], notices)
    write_events(how.out, found.name, found.fs_hz, found.beats, found.rhythm)
    row = RecordRow(
        found.name,
        found.fs_hz,
        found.samples / found.fs_hz,
        found.channel,
        len(found.beats),
        LABELS[found.label],
        found.probability,
        source=_place(record),
    )
    return _Done(
        row, alarm_rows(found.name, found.alarms), rhythm_rows(found.name, found.rhythm), notices
    )
