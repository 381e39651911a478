"""Detects the format of a file by its content, since names may be wrong."""

from __future__ import annotations

import importlib
import pkgutil
from pathlib import Path

from ingest.errors import BadInputError
from ingest.sources import readers
from ingest.sources.readers import FileReader

WFDB = (".hea", ".dat")
READERS: tuple[FileReader, ...] = tuple(
    importlib.import_module(f"{readers.__name__}.{module.name}").READER
    for module in pkgutil.iter_modules(readers.__path__)
)
ENDINGS = {*WFDB, *(ending for reader in READERS for ending in reader.endings)}
*_FIRST, _LAST = (reader.reads for reader in READERS)
WHAT_IS_READ = (
    "Read are WFDB records (the path without extension, or a PhysioNet name as mitdb/208), "
    f"{', '.join(_FIRST)}, and {_LAST}."
)

# (bytes, at which byte, what it is)
_FOREIGN = (
    (b"ISHNE1.0", 0, "an ISHNE Holter file"),
    (b"ANN  1.0", 0, "an ISHNE annotation file"),
    (b"DICM", 128, "a DICOM file"),
    (b"MATLAB 5.0", 0, "a MATLAB 5 file"),
    (b"\x89HDF", 0, "an HDF5 or MATLAB 7.3 file"),
    (b"SCPECG", 16, "an SCP-ECG file"),
    (b"PK\x03\x04", 0, "a ZIP archive or Excel sheet"),
    (b"\x1f\x8b", 0, "a gzip archive"),
    (b"%PDF", 0, "a PDF"),
    (b"GDF ", 0, "a GDF file"),
    (b"XDF:", 0, "an XDF file of Lab Streaming Layer"),
    (b"CFWB", 0, "a LabChart binary file"),
    (b"<?xml", 0, "an XML file"),
    (b"\x93NUMPY", 0, "a NumPy file"),
    (b"RIFF", 0, "a WAV file"),
    (b"PAR1", 0, "a Parquet file"),
)
SEEN_BYTES = 4096


def reader_of(path: Path) -> FileReader | None:
    """Return the reader of a file, None if there is none. Raises BadInputError if the file cannot
    be opened."""
    head = _head(path)
    known = _is_foreign(head) is not None or path.suffix.lower() in WFDB
    return next((r for r in READERS if r.recognises(head, path, known)), None)


def unknown_format(path: Path) -> BadInputError:
    """The error of a file that no reader can read."""
    head = _head(path)
    if not head:
        return BadInputError(f"{path}: is empty", "Copy or download it again.")
    if (found := _is_foreign(head)) is not None:
        return BadInputError(
            f"{path}: is {found}, which is not read", f"Export or convert it. {WHAT_IS_READ}"
        )
    if path.suffix.lower() == ".hea":
        return BadInputError(f"{path}: is no WFDB header", WHAT_IS_READ)
    if path.suffix.lower() in (".dat", ".mat"):
        return BadInputError(
            f"{path}: its header {path.with_suffix('.hea').name} is not beside it",
            f"Put it there. {WHAT_IS_READ}",
        )
    return BadInputError(
        f"{path}: is in no format that is read", f"Export or convert it. {WHAT_IS_READ}"
    )


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(SEEN_BYTES)
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions."
        ) from error


def _is_foreign(head: bytes) -> str | None:
    return next((what for magic, at, what in _FOREIGN if head[at : at + len(magic)] == magic), None)
