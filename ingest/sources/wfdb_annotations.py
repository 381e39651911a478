"""WFDB annotation files, by the wfdb package."""

from __future__ import annotations

from pathlib import Path

from ingest.errors import BadInputError
from ingest.sources.base import Annotation


def read_annotations(
    record: Path, extension: str, fs_hz: float, default_hz: float
) -> tuple[Annotation, ...]:
    """The annotations of RECORD.extension, in order, in samples at `fs_hz`; none if there is no such file.

    `default_hz` is what the file counts in if it does not say. Raises BadInputError if it cannot be read.
    """
    path = record.with_name(f"{record.name}.{extension}")
    if not path.exists():
        return ()
    import wfdb  # with pandas slow to import: only if it is needed

    try:
        read = wfdb.rdann(str(record), extension)
        scale = fs_hz / float(read.fs or default_hz)
        notes = (note.strip("\x00") for note in read.aux_note)
        rows = zip(read.sample.tolist(), read.symbol, notes, strict=True)
        return tuple(
            sorted(Annotation(round(sample * scale), symbol, note) for sample, symbol, note in rows)
        )
    except Exception as error:  # wfdb raises anything at all for a damaged file
        problem = f"{path}: its annotations cannot be read ({type(error).__name__}: {error})"
        raise BadInputError(problem, "Copy or download the file again, or take it away.") from error
