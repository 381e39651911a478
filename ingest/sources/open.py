"""From what a user types to a source."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import BadInputError
from ingest.sources.base import Source
from ingest.sources.csv_file import CsvSource

_FILES = {".csv", ".tsv", ".txt", ".edf"}
_WFDB_FILES = {".hea", ".dat", ".mat", ".atr"}


def open_source(
    spec: str,
    *,
    data: Path,
    channel: str | int | None = None,
    fs_hz: float | None = None,
    unit: str | None = None,
) -> Source:
    """The source that `spec` names: a .csv or .edf file, a WFDB record's path without extension, or
    a PhysioNet name (mitdb/208).

    `data` is the folder that holds PhysioNet records, one folder per database. `channel` is a name
    or an index; default: the first whose name or unit says ECG, else the first. `fs_hz` and `unit`
    are for CSV files that do not tell. Raises BadInputError, or UnreachableError for a PhysioNet
    record that is neither there nor to be had.
    """
    path = Path(spec).expanduser()
    suffix = path.suffix.lower()
    if suffix in _FILES:
        return _open_file(path, suffix, channel, fs_hz, unit)
    return _open_record(
        spec, path.with_suffix("") if suffix in _WFDB_FILES else path, data, channel
    )


def _open_file(
    path: Path, suffix: str, channel: str | int | None, fs_hz: float | None, unit: str | None
) -> Source:
    if not path.is_file():
        raise BadInputError(f"{path}: no such file", "Check the path.")
    if suffix == ".edf":
        # like wfdb, slow to import: only when it is needed
        from ingest.sources.edf_file import EdfSource

        return EdfSource(path, channel)
    return CsvSource(path, channel, fs_hz, unit)


def _open_record(spec: str, path: Path, data: Path, channel: str | int | None) -> Source:
    from ingest.sources.physionet import NAME, fetch
    from ingest.sources.wfdb_record import WfdbSource

    for place in (path, data / path):
        if place.with_name(place.name + ".hea").is_file():
            return WfdbSource(place, channel)
    if not NAME.fullmatch(spec):
        remedy = "Give a WFDB record's path without extension, a PhysioNet name (mitdb/208), or a .csv or .edf file."
        raise BadInputError(f"{spec}: no such record (there is no {path}.hea)", remedy)
    return WfdbSource(fetch(spec, data), channel)
