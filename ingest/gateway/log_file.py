"""An append-only file of records: length and checksum before each, so that a torn end is seen.

Each record is (uint32 length, uint32 CRC-32, payload), little-endian. What a power cut left half
written at the end is cut off when the file is opened for appending, and not read.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

MAX_RECORD = 16 * 1024 * 1024
_HEAD = struct.Struct("<II")


def record(payload: bytes) -> bytes:
    """The bytes of a record."""
    return _HEAD.pack(len(payload), zlib.crc32(payload)) + payload


def records(path: Path, offset: int = 0) -> Iterator[tuple[bytes, int]]:
    """(payload, offset behind it) of each whole record from `offset` on, up to the first torn one."""
    with path.open("rb") as file:
        file.seek(offset)
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            length, checksum = _HEAD.unpack(head)
            payload = file.read(length) if length <= MAX_RECORD else b""
            if len(payload) < length or zlib.crc32(payload) != checksum:
                return
            offset += _HEAD.size + length
            yield payload, offset


class Appender:
    """A log file to add to: made if it is missing, without a torn end. A record is one write."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.size = 0
        if path.exists():
            for _, behind in records(path):
                self.size = behind
            os.truncate(path, self.size)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        self._file = os.open(path, flags, 0o600)  # it is somebody's heart

    def append(self, payload: bytes) -> None:
        """Add a record. Raises OSError if the disk is full."""
        data = record(payload)
        try:
            while data:
                data = data[os.write(self._file, data) :]
        except OSError:
            os.truncate(self._file, self.size)  # what comes behind a torn record is never read
            raise
        self.size += _HEAD.size + len(payload)

    def sync(self) -> None:
        """Wait until everything is on the disk itself."""
        os.fsync(self._file)

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
