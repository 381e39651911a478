"""Opens the source that a user names."""

from __future__ import annotations

import difflib
from pathlib import Path

from ingest.errors import BadInputError
from ingest.sources.base import Notice, Source, ignore_notice
from ingest.sources.formats import ENDINGS, WHAT_IS_READ, reader_of, unknown_format
from ingest.sources.physionet import NAME, fetch
from ingest.sources.readers import FileOptions
from ingest.sources.wfdb_record import WfdbSource

_WFDB_FILES = {".hea", ".dat", ".mat", ".atr", ".qrs", ".ecg", ".d0"}


def open_source(
    spec: str,
    *,
    data: Path,
    channel: str | int | None = None,
    fs_hz: float | None = None,
    unit: str | None = None,
    notice: Notice = ignore_notice,
) -> Source:
    """The source that `spec` names: a file, a WFDB record's path without extension, or a PhysioNet name (mitdb/208).

    `data` is the folder that holds PhysioNet records, one folder per database. `channel` is a name or an index; by default the ECG is
    found as `channels.choose` says. `fs_hz` is for text files that do not tell; `unit` overrides what a file says. `notice` is told what
    was left out or missing; without it some of that is an error (see each source). Raises BadInputError, or UnreachableError for a
    PhysioNet record that is neither there nor to be had.
    """
    path = Path(spec).expanduser()
    source = _open(spec, path, data, channel, fs_hz, unit, notice)
    if fs_hz is not None and source.fs_hz != fs_hz:
        problem = f"{spec}: its header says {source.fs_hz:g} Hz, --fs says {fs_hz:g}"
        raise BadInputError(
            problem, "Leave --fs out: it is for text files without a sampling frequency."
        )
    return source


def _open(
    spec: str,
    path: Path,
    data: Path,
    channel: str | int | None,
    fs_hz: float | None,
    unit: str | None,
    notice: Notice,
) -> Source:
    record = _record_of(path, data)
    if record is not None:
        return WfdbSource(record, channel, unit=unit, notice=notice)
    if path.is_file():
        reader = reader_of(path)
        if reader is None:
            raise unknown_format(path)
        return reader.open(path, FileOptions(channel, fs_hz, unit, notice))
    if path.is_dir():
        there = ", ".join(sorted(p.stem for p in path.glob("*.hea"))[:10])
        problem = f"{spec}: is a folder"
        raise BadInputError(
            problem,
            f"Name a record in it: {there}." if there else f"Name a file in it. {WHAT_IS_READ}",
        )
    if (
        (path.suffix and path.suffix.lower() in ENDINGS)
        or spec.startswith(("/", ".", "~"))
        or not NAME.fullmatch(spec)
    ):
        raise _missing(spec, path)
    if (
        path.parent.is_dir() and str(path.parent) != "."
    ):  # a folder of the user's own, not a database
        raise _missing(spec, path)
    return WfdbSource(fetch(spec, data), channel, unit=unit, notice=notice)


def _record_of(path: Path, data: Path) -> Path | None:
    """The WFDB record that is there under this path (with or without the ending of one of its files), in this folder or `data`."""
    for place in (path, data / path):
        if place.with_name(place.name + ".hea").is_file():
            return place
        if place.suffix.lower() in _WFDB_FILES and place.with_suffix(".hea").is_file():
            return place.with_suffix("")
    return None


def _missing(spec: str, path: Path) -> BadInputError:
    """Return the error for a path at which nothing was found."""
    if not path.parent.is_dir():
        return BadInputError(
            f"{spec}: no such file (there is no folder {path.parent})", "Check the path."
        )
    there = {
        p.stem if p.suffix == ".hea" else p.name
        for p in path.parent.iterdir()
        if not p.name.startswith(".")
    }
    near = difflib.get_close_matches(path.name, sorted(there), n=3)
    what = (
        "no such file"
        if path.suffix
        else f"no such record (there is no {path.name}.hea in {path.parent})"
    )
    remedy = f"Did you mean {' or '.join(near)}?" if near else f"Check the path. {WHAT_IS_READ}"
    return BadInputError(f"{spec}: {what}", remedy)
