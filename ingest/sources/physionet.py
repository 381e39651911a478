"""PhysioNet records by name (`mitdb/208`): from the data folder, else downloaded once by wfdb and
kept there."""

from __future__ import annotations

import contextlib
import io
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath

import wfdb

from ingest.errors import BadInputError, UnreachableError

NAME = re.compile(r"[a-z0-9][a-z0-9-]*(/[\w.-]+)+")


def fetch(name: str, data: Path) -> Path:
    """Path without extension of the named record in the data folder, downloaded into it where it is
    not there yet.

    Raises UnreachableError, naming the folder to put the record in, where there is no network;
    BadInputError where there is no such record.
    """
    target = data / name
    if target.with_name(target.name + ".hea").exists():
        return target
    database, _, record = name.partition("/")
    # wfdb prints as it goes
    with (
        tempfile.TemporaryDirectory(prefix="ecgwatch-") as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):
        _download(database, record, Path(folder), target)
        target.parent.mkdir(parents=True, exist_ok=True)
        files = sorted((Path(folder) / record).parent.iterdir(), key=lambda f: f.suffix == ".hea")
        for file in files:  # the header last: it is what says that the record is here
            shutil.move(file, target.parent / file.name)
    return target


def _download(database: str, record: str, folder: Path, target: Path) -> None:
    """Bring the header, the signal files it names (its segments' too), and the annotations where
    there are any."""
    remedy = f"Put its files into {target.parent} ({target.name}.hea and what that names), or name another folder with ECGWATCH_DATA."
    try:
        _download_signals(database, record, folder)
        with contextlib.suppress(FileNotFoundError):
            wfdb.dl_files(database, str(folder), [f"{record}.atr"])
    except FileNotFoundError as error:
        raise BadInputError(
            f"record {database}/{record}: not in {target.parent}, and unknown to PhysioNet", remedy
        ) from error
    # an answer that is not PhysioNet's (a proxy's page) fails in wfdb's parsing
    except (OSError, IndexError, ValueError) as error:
        raise UnreachableError(
            f"record {database}/{record}: not in {target.parent}, and PhysioNet cannot be reached",
            remedy,
        ) from error


def _download_signals(database: str, record: str, folder: Path) -> None:
    wfdb.dl_files(database, str(folder), [f"{record}.hea"])
    header = wfdb.rdheader(str(folder / record))
    place = PurePosixPath(record).parent
    if isinstance(header, wfdb.MultiRecord):
        for segment in dict.fromkeys(s for s in header.seg_name if s != "~"):
            _download_signals(database, str(place / segment), folder)
    elif names := sorted({n for n in header.file_name or [] if n != "~"}):
        wfdb.dl_files(database, str(folder), [str(place / n) for n in names])
