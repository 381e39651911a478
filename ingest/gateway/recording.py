"""Packets as they came from a device, in a file: to send with a bug report, and to play again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from ingest.errors import BadInputError
from ingest.gateway import log_file
from ingest.gateway.base import Packet

SUFFIX = ".ecgpackets"
VERSION = 1


class Head(msgspec.Struct, frozen=True):
    """The first record of a recording."""

    format: str  # "ecgwatch packets"
    version: int
    device: str  # as the user wrote it: h10:NAME, lsl:NAME, module:Class


_FORMAT = "ecgwatch packets"


class Recorder:
    """Writes a recording; goes on with one of the same device."""

    def __init__(self, path: Path, device: str) -> None:
        if path.exists() and path.stat().st_size and read_head(path).device != device:
            raise BadInputError(
                f"{path} is a recording of {read_head(path).device}, not of {device}",
                "Name another file with --record.",
            )
        self._file = log_file.Appender(path)
        if self._file.size == 0:
            self._file.append(msgspec.msgpack.encode(Head(_FORMAT, VERSION, device)))

    def write(self, packet: Packet) -> None:
        """Add a packet."""
        self._file.append(msgspec.msgpack.encode(packet))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_head(path: Path) -> Head:
    """Read the first record of a recording. Raises BadInputError."""
    try:
        first = next(log_file.records(path), None)
        head = msgspec.msgpack.decode(first[0], type=Head) if first else None
    except (OSError, msgspec.DecodeError) as error:
        raise BadInputError(
            f"{path}: {error}", "Name a file that gateway --record has made."
        ) from error
    if head is None or head.format != _FORMAT or head.version != VERSION:
        raise BadInputError(
            f"{path} is no recording of this version", "Name a file that gateway --record has made."
        )
    return head


def read_packets(path: Path) -> Iterator[Packet]:
    """All packets of a recording, in order. Raises BadInputError."""
    read_head(path)
    decoder = msgspec.msgpack.Decoder(Packet)
    for number, (payload, _) in enumerate(log_file.records(path)):
        if number:
            yield decoder.decode(payload)
