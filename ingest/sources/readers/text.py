"""Text of times and values."""

from __future__ import annotations

from pathlib import Path

from ingest.sources.base import Source
from ingest.sources.readers import FileOptions, FileReader

ENDINGS = (".csv", ".tsv", ".txt", ".asc")


def _recognises(head: bytes, path: Path, foreign: bool) -> bool:
    return not foreign and _is_text(head)


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


def _open(path: Path, options: FileOptions) -> Source:
    from ingest.sources.csv.source import CsvSource

    return CsvSource(path, options.channel, options.fs_hz, options.unit, notice=options.notice)


READER = FileReader(
    "text (CSV) of times and values, or of values alone", ENDINGS, _recognises, _open
)
