"""EDF, EDF+ and BDF."""

from __future__ import annotations

from pathlib import Path

from ingest.sources.base import Source
from ingest.sources.edf_header import BDF_MAGIC, EDF_MAGIC
from ingest.sources.readers import FileOptions, FileReader

ENDINGS = (".edf", ".bdf", ".rec")


def _recognises(head: bytes, path: Path, foreign: bool) -> bool:
    return head[:8] in (EDF_MAGIC, BDF_MAGIC) or (path.suffix.lower() in ENDINGS and not foreign)


def _open(path: Path, options: FileOptions) -> Source:
    from ingest.sources.edf_file import EdfSource

    return EdfSource(path, options.channel, unit=options.unit, notice=options.notice)


READER = FileReader("EDF, EDF+ and BDF files", ENDINGS, _recognises, _open)
