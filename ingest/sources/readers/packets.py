"""Reader of a gateway's recordings."""

from __future__ import annotations

from pathlib import Path

from ingest.sources.base import Source
from ingest.sources.readers import FileOptions, FileReader

MAGIC = b"ecgwatch packets"


def _recognises(head: bytes, path: Path, foreign: bool) -> bool:
    return MAGIC in head[:64]


def _open(path: Path, options: FileOptions) -> Source:
    from ingest.gateway.recorded import RecordedSource

    return RecordedSource(path)


READER = FileReader("what gateway --record has made", (), _recognises, _open)
