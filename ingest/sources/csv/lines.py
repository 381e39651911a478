"""The lines of a text file, in whatever encoding it was saved."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

from ingest.errors import BadInputError

_SEEN_BYTES = 65_536
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


class TextFile:
    """A text file: UTF-8, UTF-16 or Latin-1, by its first bytes. Raises BadInputError if it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.read(_SEEN_BYTES)
            self.size = path.stat().st_size
        except OSError as error:
            raise _unreadable(path, error) from error
        self.encoding = _encoding(head)

    @property
    def seekable(self) -> bool:
        """Whether reading may begin after any newline byte: not in UTF-16, where a newline has two
        bytes."""
        return not self.encoding.startswith("utf-16")

    def head(self, n: int) -> list[str]:
        """The first n lines, without their ends and without the zero bytes that a power cut leaves."""
        with self.open() as file:
            return [stripped(line) for line in islice(file, n)]

    def sample_lines(self, share: float, n: int) -> list[str]:
        """Up to n whole lines from about this share of the file on (0-1); none if there are fewer."""
        with self.path.open("rb") as file:
            file.seek(int(self.size * share))
            if share > 0:
                file.readline()
            return [
                stripped(line.decode(self.encoding, errors="replace")) for line in islice(file, n)
            ]

    @contextmanager
    def open(self) -> Iterator[TextIO]:
        """The file, opened for reading text."""
        try:
            file = self.path.open(encoding=self.encoding, errors="replace")
        except OSError as error:
            raise _unreadable(self.path, error) from error
        with file:
            yield file


def stripped(line: str) -> str:
    """A line without its end and without zero bytes."""
    return line.replace("\x00", "").rstrip("\r\n")


def _encoding(head: bytes) -> str:
    for bom, encoding in _BOMS:
        if head.startswith(bom):
            return encoding
    text = head.rstrip(b"\x00")
    if len(text) > 3 and text[1::2].count(0) > len(text) // 4:
        return "utf-16-le"
    if len(text) > 3 and text[::2].count(0) > len(text) // 4:
        return "utf-16-be"
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def _unreadable(path: Path, error: OSError) -> BadInputError:
    return BadInputError(
        f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions."
    )
