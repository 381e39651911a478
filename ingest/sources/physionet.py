"""PhysioNet records by name (`mitdb/208`): from the data folder, else downloaded once by wfdb and kept there."""

from __future__ import annotations

import contextlib
import difflib
import io
import re
import shutil
import tempfile
from pathlib import Path, PurePosixPath

from ingest.errors import BadInputError, UnreachableError
from ingest.sources.wfdb_header import NOT_RECORDED, read_header

# Databases of ECGs that people name most, for a hint: PhysioNet has many more.
_KNOWN = (
    "adfecgdb", "afdb", "afpdb", "aftdb", "apnea-ecg", "butqdb", "challenge-2015", "challenge-2017", "cudb", "ecgrdvq", "edb", "fantasia",
    "incartdb", "iafdb", "ltafdb", "ltdb", "ltstdb", "ludb", "mimicdb", "mitdb", "mghdb", "nsrdb", "nsr2db", "nstdb", "ptb-xl", "ptbdb",
    "qtdb", "sddb", "shareedb", "slpdb", "stdb", "svdb", "szdb", "twadb", "vfdb",
)  # fmt: skip
NAME = re.compile(r"[a-z0-9][a-z0-9-]*(/[\w.-]+)+")


def fetch(name: str, data: Path) -> Path:
    """Path without extension of the named record in the data folder, downloaded into it if it is
    not there yet.

    Raises UnreachableError, naming the folder to put the record in, if there is no network;
    BadInputError where there is no such record.
    """
    target = data / name
    if target.with_name(target.name + ".hea").exists():
        return target
    database, _, record = name.partition("/")
    with (
        tempfile.TemporaryDirectory(prefix="ecgwatch-") as folder,
        contextlib.redirect_stdout(io.StringIO()),
    ):  # wfdb prints as it goes
        _download(database, record, Path(folder), target)
        target.parent.mkdir(parents=True, exist_ok=True)
        files = sorted((Path(folder) / record).parent.iterdir(), key=lambda f: f.suffix == ".hea")
        for file in files:  # the header last: it is what says that the record is here
            shutil.move(file, target.parent / file.name)
    return target


def _download(database: str, record: str, folder: Path, target: Path) -> None:
    """Bring the header, the signal files it names (its segments' too), and the annotations if there
    are any."""
    import wfdb  # with pandas slow to import

    hint = _hint(database, target)
    remedy = f"{hint}Put its files into {target.parent} ({target.name}.hea and what that names), or name another folder with ECGWATCH_DATA."
    try:
        _download_signals(database, record, folder)
        with contextlib.suppress(FileNotFoundError):
            wfdb.dl_files(database, str(folder), [f"{record}.atr"])
    except FileNotFoundError as error:
        raise BadInputError(
            f"record {database}/{record}: not in {target.parent}, and unknown to PhysioNet", remedy
        ) from error
    except (
        OSError,
        IndexError,
        ValueError,
        BadInputError,
    ) as error:  # the last three: an answer of somebody else's, a proxy's page
        problem = f"record {database}/{record}: not in {target.parent}, and PhysioNet cannot be reached to ask for it"
        raise UnreachableError(problem, remedy) from error


def _hint(database: str, target: Path) -> str:
    """Return a hint at a similar name that is known or present."""
    there = (
        sorted(path.stem for path in target.parent.glob("*.hea")) if target.parent.is_dir() else []
    )
    near = [
        str(Path(database, name))
        for name in difflib.get_close_matches(target.name, there, n=3, cutoff=0.5)
    ]
    if not near and database not in _KNOWN:
        near = [
            f"{name}/{target.name}"
            for name in difflib.get_close_matches(database, _KNOWN, n=1, cutoff=0.7)
        ]
    return f"Did you mean {' or '.join(near)}? " if near else ""


def _download_signals(database: str, record: str, folder: Path) -> None:
    import wfdb

    wfdb.dl_files(database, str(folder), [f"{record}.hea"])
    header = read_header(folder / f"{record}.hea")
    place = PurePosixPath(record).parent
    for segment in dict.fromkeys(s.name for s in header.segments if s.name != NOT_RECORDED):
        _download_signals(database, str(place / segment), folder)
    if names := sorted({s.file for s in header.signals} - {NOT_RECORDED}):
        wfdb.dl_files(database, str(folder), [str(place / n) for n in names])
