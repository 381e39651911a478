"""What kind of file a file is, by its content: names lie."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from ingest.errors import BadInputError
from ingest.sources.edf_header import BDF_MAGIC, EDF_MAGIC

EDF = (".edf", ".bdf", ".rec")
TEXT = (".csv", ".tsv", ".txt", ".asc")
WFDB = (".hea", ".dat")
PACKETS = b"ecgwatch packets"  # what a gateway recorded
WHAT_IS_READ = (
    "Read are WFDB records (the path without extension, or a PhysioNet name as mitdb/208), EDF, EDF+ and BDF files, text (CSV) of times"
    " and values, or of values alone, and what gateway --record has made."
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
_SEEN_BYTES = 4096


def kind_of_file(path: Path) -> Literal["edf", "packets", "text", "foreign"]:
    """Which of the readers can read it. Raises BadInputError if it cannot be opened."""
    head = _head(path)
    if head[:8] in (EDF_MAGIC, BDF_MAGIC) or (path.suffix.lower() in EDF and not _is_foreign(head)):
        return "edf"
    if PACKETS in head[:64]:
        return "packets"
    if _is_foreign(head) or path.suffix.lower() in WFDB:
        return "foreign"
    return "text" if _is_text(head) else "foreign"


def foreign(path: Path) -> BadInputError:
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
            return file.read(_SEEN_BYTES)
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions."
        ) from error


def _is_foreign(head: bytes) -> str | None:
    return next((what for magic, at, what in _FOREIGN if head[at : at + len(magic)] == magic), None)


def _is_text(head: bytes) -> bool:
    """Whether it can be text: hardly any control characters, zero bytes only as in UTF-16 or behind the end."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    body = head.rstrip(b"\x00")
    zeros = body[::2].count(0), body[1::2].count(0)
    if max(zeros) > len(body) // 4 and min(zeros) == 0:
        return True
    control = sum(body.count(bytes([c])) for c in range(32) if c not in (9, 10, 12, 13))
    return bool(body) and control <= len(body) // 100
