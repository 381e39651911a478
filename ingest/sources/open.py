"""From what a user types to a source."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import BadInputError
from ingest.sources.base import Source
from ingest.sources.csv_file import CsvSource
from ingest.sources.edf_file import EdfSource
from ingest.sources.physionet import NAME, fetch
from ingest.sources.wfdb_record import WfdbSource

_WFDB_SUFFIXES = {".hea", ".dat", ".mat", ".atr"}


def open_source(spec: str, *, data: Path, channel: str | int | None = None, fs_hz: float | None = None, unit: str | None = None) -> Source:
    """The source that `spec` names: a .csv or .edf file, a WFDB record's path without extension, or a PhysioNet name (mitdb/208).

    `data` is the folder that holds PhysioNet records, one folder per database. `channel` is a name or an index; default: the first whose
    name or unit says ECG, else the first. `fs_hz` and `unit` are for CSV files that do not tell. Raises BadInputError, or
    UnreachableError for a PhysioNet record that is neither there nor to be had.
    """
    path = Path(spec).expanduser()
    suffix = path.suffix.lower()
    if suffix in {".csv", ".tsv", ".txt", ".edf"}:
        if not path.is_file():
            raise BadInputError(f"{spec}: no such file", "Check the path.")
        return EdfSource(path, channel) if suffix == ".edf" else CsvSource(path, channel, fs_hz, unit)
    if suffix in _WFDB_SUFFIXES:
        path = path.with_suffix("")
    for place in (path, data / path):
        if place.with_name(place.name + ".hea").is_file():
            return WfdbSource(place, channel)
    if not NAME.fullmatch(spec):
        remedy = "Give a WFDB record's path without extension, a PhysioNet name (mitdb/208), or a .csv or .edf file."
        raise BadInputError(f"{spec}: no such record (there is no {path}.hea)", remedy)
    return WfdbSource(fetch(spec, data), channel)
