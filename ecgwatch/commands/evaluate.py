"""ecgwatch evaluate: the product judged on annotated records, by EC57 and CinC 2015."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ecgwatch import settings
from ecgwatch.atomic import replace_file
from ingest.errors import BadInputError

if TYPE_CHECKING:
    from ecgwatch.evaluating.judge import Judgement
    from ecgwatch.evaluating.tables import Table
    from ecgwatch.evaluating.task import Task


def evaluate(
    database: Annotated[
        str, typer.Argument(metavar="mitdb|nstdb|vfdb|cinc2015|FOLDER", help="A database in the data folder, or a folder of WFDB records.")
    ],
    records: Annotated[
        list[str] | None, typer.Option("--records", metavar="NAME", help="Only these: names with commas between; may be repeated.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for report.json and report.html.")] = None,
    annotator: Annotated[str, typer.Option(help="Extension of the reference annotations.")] = "atr",
    start: Annotated[float, typer.Option("--from", metavar="S", min=0, help="Learning time: beats before are not scored.")] = 300.0,
    folds: Annotated[
        bool, typer.Option("--folds/--shipped", help="Where there is one, the beat network that never saw the patient; or the shipped one.")
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Records processed at a time.")] = 1,
) -> None:
    """Run annotated records through the whole data path and score beats, rhythm and alarms."""
    from ecgwatch.evaluating import summary  # numpy, scipy, wfdb and onnxruntime: not for the sake of --help
    from ecgwatch.evaluating.task import tasks

    held, _ = settings.load({})
    folder = held.data / database if (held.data / database).is_dir() and not Path(database).is_dir() else Path(database).expanduser()
    todo = tasks(folder, [n for names in records or [] for n in names.split(",")], annotator, start, folds=folds)
    with typer.progressbar(_results(todo, jobs), length=len(todo), label="records", file=sys.stderr) as bar:
        found = list(bar)
    told, tables, per_record = heading(folder.name, found), summary.tables(found), summary.records(found)
    for table in tables if any(j.answer for j in found) else [per_record, *tables]:
        typer.echo(table.text() + "\n")
    typer.echo(told)
    if out is not None:
        for path in write(out, folder.name, told, tables, per_record, found):
            typer.echo(f"wrote {path}")


def write(out: Path, name: str, told: str, tables: list[Table], per_record: Table, found: list[Judgement]) -> list[Path]:
    """Write report.json and report.html; returns their paths."""
    from ecgwatch.evaluating.gallery import moments, strips
    from ecgwatch.evaluating.page import page
    from ecgwatch.evaluating.plain import report

    html = page(f"ecgwatch on {name}", told, tables, per_record, found, strips(moments(found)))
    files = {
        out / "report.json": json.dumps(report(told, tables, per_record, found), indent=1, allow_nan=False) + "\n",
        out / "report.html": html,
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            replace_file(path, text.encode())
    except OSError as error:
        raise BadInputError(f"cannot write to {out}: {error.strerror}", "Choose another folder with --out.") from error
    return list(files)


def heading(database: str, found: list[Judgement]) -> str:
    """Which records, and how honest the figures are."""
    hours = sum(j.duration_s for j in found) / 3600
    seen = sum(j.task.seen for j in found)
    honest = "no beat network had seen its patient" if not seen else f"{seen} by a beat network that WAS TRAINED ON THE PATIENT"
    cpu = sorted(j.cpu_s for j in found)
    spent = f"CPU {cpu[len(cpu) // 2]:.2f} s per record (median; at most {cpu[-1]:.2f})"
    return f"{database}: {len(found)} records, {hours:.1f} h; {honest}; the rhythm network was trained on CinC 2017 only; {spent}"


def _results(todo: list[Task], jobs: int) -> Iterator[Judgement]:
    from ecgwatch.evaluating.judge import judge

    if jobs == 1 or len(todo) == 1:
        yield from map(judge, todo)
        return
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(judge, todo)
        except BrokenProcessPool as error:
            raise BadInputError("a process of --jobs was killed, probably for want of memory", "Run with fewer --jobs.") from error
