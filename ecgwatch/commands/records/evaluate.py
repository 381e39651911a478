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
from ecgwatch.writing.atomic import replace_file
from ingest.errors import BadInputError, EcgwatchError

if TYPE_CHECKING:
    from ecgwatch.evaluating.judge import Judgement
    from ecgwatch.evaluating.tables import FigureTable
    from ecgwatch.evaluating.task import EvaluationTask

OUT = Path("var/evaluate")


def evaluate(
    database: Annotated[
        str,
        typer.Argument(
            metavar="mitdb|nstdb|vfdb|cudb|nsrdb|motion_artefact|cinc2011|cinc2015|cinc2017|matrix|FOLDER",
            help="A database in the data folder, a folder of WFDB records, or the simulated matrix.",
        ),
    ],
    records: Annotated[
        list[str] | None,
        typer.Option(
            "--records",
            metavar="NAME",
            help="Only these: names with commas between; may be repeated.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for report.json and report.html.  [default: var/evaluate/DATABASE]"
        ),
    ] = None,
    annotator: Annotated[str, typer.Option(help="Extension of the reference annotations.")] = "atr",
    start: Annotated[
        float,
        typer.Option(
            "--from", metavar="S", min=0, help="Learning time: beats before are not scored."
        ),
    ] = 300.0,
    folds: Annotated[
        bool,
        typer.Option(
            "--folds/--shipped",
            help="Judge by the networks that never saw the patient or record, if there are any; or by the shipped ones.",
        ),
    ] = True,
    jobs: Annotated[int, typer.Option(min=1, help="Records processed at a time.")] = 1,
) -> None:
    """Run annotated records through the whole data path and score beats, rhythm and alarms. Exit
    status 1 if any could not be read."""
    # numpy, scipy, wfdb and onnxruntime: not for the sake of --help
    from ecgwatch.evaluating import summary
    from ecgwatch.evaluating.task import tasks

    held, _ = settings.load({})
    names = [name for several in records or [] for name in several.split(",")]
    if database == "matrix":
        _matrix(held.data, names)
        return
    folder = _folder(database, held.data)
    todo = tasks(folder, names, annotator, start, folds=folds)
    out = out or OUT / folder.name
    _make(out)
    with typer.progressbar(
        _results(todo, jobs), length=len(todo), label="records", file=sys.stderr
    ) as bar:
        results = list(bar)
    failed = [r for r in results if isinstance(r, str)]
    for problem in failed:
        typer.echo(f"error: {problem}", err=True)
    found = [r for r in results if not isinstance(r, str)]
    if found:
        headline, tables, per_record = (
            heading(folder.name, found),
            summary.tables(found),
            summary.records(found),
        )
        for table in tables if any(j.answer or j.labels for j in found) else [per_record, *tables]:
            typer.echo(table.text() + "\n")
        typer.echo(headline)
        write(out, folder.name, headline, tables, per_record, found)
    if failed:
        raise typer.Exit(1)


def _matrix(data: Path, names: list[str]) -> None:
    """Judge the simulated matrix, or the cases whose row or name holds one of these words."""
    from ecgwatch.evaluating import matrix

    found = list(matrix.run(data, names))
    if not found:
        raise BadInputError(f"no case of the matrix holds {names}", "Leave --records out for all.")
    typer.echo(matrix.wrong(found).text() + "\n")
    typer.echo(matrix.table(found).text())


def _folder(database: str, data: Path) -> Path:
    """Return an existing folder, or the database of that name in the data folder."""
    here = Path(database).expanduser()
    return here.resolve() if here.is_dir() or not (data / database).is_dir() else data / database


def _make(out: Path) -> None:
    """Create the report's folder before minutes are spent on its content. Raises BadInputError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInputError(
            f"cannot write to {out}: {error.strerror}", "Choose another folder with --out."
        ) from error


def write(
    out: Path,
    name: str,
    headline: str,
    tables: list[FigureTable],
    per_record: FigureTable,
    found: list[Judgement],
) -> None:
    """Write report.json and report.html, and print their paths."""
    from ecgwatch.evaluating.gallery import moments, strips
    from ecgwatch.evaluating.page import page
    from ecgwatch.evaluating.plain import report

    plain = (
        json.dumps(report(headline, tables, per_record, found), indent=1, allow_nan=False) + "\n"
    )
    html = page(f"ecgwatch on {name}", headline, tables, per_record, found, strips(moments(found)))
    for path, text in ((out / "report.json", plain), (out / "report.html", html)):
        replace_file(path, text.encode())
    typer.echo(f"wrote {out / 'report.json'}")
    typer.echo(
        f"the page with plots, tables and the worst misses: {(out / 'report.html').absolute()}"
    )


def heading(database: str, found: list[Judgement]) -> str:
    """Describe the records, and whether the networks were trained on them."""
    hours = sum(j.duration_s for j in found) / 3600
    seen = sum(j.task.seen for j in found)
    honest = (
        "no beat network had seen its patient"
        if not seen
        else f"{seen} by a beat network that WAS TRAINED ON THE PATIENT"
    )
    if any(j.labels for j in found):
        honest = (
            "the rhythm network had seen no record"
            if not seen
            else f"{seen} records THE RHYTHM NETWORK WAS TRAINED ON"
        )
        return f"{database}: {len(found)} records, {hours:.1f} h; {honest}"
    cpu = sorted(j.cpu_s for j in found)
    spent = f"CPU {cpu[len(cpu) // 2]:.2f} s per record (median; at most {cpu[-1]:.2f})"
    return f"{database}: {len(found)} records, {hours:.1f} h; {honest}; the rhythm network was trained on CinC 2017 only; {spent}"


def _results(todo: list[EvaluationTask], jobs: int) -> Iterator[Judgement | str]:
    if jobs == 1 or len(todo) == 1:
        yield from map(_one, todo)
        return
    with ProcessPoolExecutor(min(jobs, len(todo)), mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(_one, todo)
        except BrokenProcessPool as error:
            raise BadInputError(
                "a process of --jobs was killed, probably for want of memory",
                "Run with fewer --jobs.",
            ) from error


def _one(task: EvaluationTask) -> Judgement | str:
    """Judge a record; return the problem if its files cannot be read."""
    from ecgwatch.evaluating.judge import judge

    try:
        return judge(task)
    except EcgwatchError as error:
        return f"{task.name}: {error.problem}"
