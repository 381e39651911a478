"""Chunks on disk that a device has sent and the server has not yet acknowledged.

A folder per device. Each file belongs to one stream and is only ever appended to; after SEGMENT
bytes the stream goes on in another, so that what is acknowledged can be deleted. The cursor, a file
of its own, moves when the server has acknowledged. A record holds a chunk and the packets that it
was made of, as they came: nothing that arrived is lost for good as long as the chunk is here.

Everything is sent in order: what is left of earlier streams first, then what comes.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import msgspec

from ingest.gateway import log_file
from ingest.gateway.base import Packet
from ingest.wire import Chunk

SEGMENT = 1024 * 1024  # bytes; about 18 minutes of an H10
SUFFIX = ".spool"
_CURSOR = "cursor.json"


class SpoolEntry(msgspec.Struct, frozen=True):
    """One record of a spool."""

    stream: str
    chunk: Chunk
    packets: list[Packet] = []


class Cursor(msgspec.Struct, frozen=True, order=True):
    """Everything before this place has been acknowledged."""

    segment: int = 0
    offset: int = 0


class StreamRename(msgspec.Struct, frozen=True):
    """Renames a stream: from its sample `base` on, `stream` is sent as stream `name`, of which that
    is sample 0."""

    stream: str = ""
    name: str = ""
    base: int = 0


class _Saved(msgspec.Struct, frozen=True):
    cursor: Cursor = Cursor()
    renamed: StreamRename = StreamRename()


class ChunkBatch(NamedTuple):
    """Consecutive chunks of one stream, and the cursor behind each of them."""

    stream: str
    chunks: list[Chunk]
    behind: list[Cursor]


_entries = msgspec.msgpack.Decoder(SpoolEntry)


class Spool:
    """One device's spool. Everything in it is fast but `sync`, which waits for the disk."""

    def __init__(self, root: Path, device: str) -> None:
        self.folder = root / folder_name(device)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.dropped_s = 0.0  # of signal, since the start, because the disk budget was used up
        saved = self._read()
        self._cursor, self._renamed = saved.cursor, saved.renamed
        self._file: log_file.Appender | None = None
        self._writing = max([*self._numbers(), self._cursor.segment])
        self._stream = ""

    @property
    def backlog_bytes(self) -> int:
        """Bytes that are not acknowledged yet."""
        sizes = {n: self.path(n).stat().st_size for n in self._numbers()}
        return max(sum(sizes.values()) - self._cursor.offset, 0) if sizes else 0

    def append(self, stream: str, chunk: Chunk, packets: list[Packet]) -> None:
        """Keep a chunk. Raises OSError if the disk is full."""
        if self._file is None or stream != self._stream or self._file.size >= SEGMENT:
            self._begin(stream)
        assert self._file is not None
        self._file.append(msgspec.msgpack.encode(SpoolEntry(stream, chunk, packets)))

    def next(self, max_chunks: int, max_bytes: int) -> ChunkBatch | None:
        """Return the next chunks to send, of one stream: at least one, within `max_chunks` and
        `max_bytes`; None if all were sent."""
        found: list[tuple[SpoolEntry, Cursor]] = []
        size = 0
        for entry, behind in self._from(self._cursor):
            size += len(entry.chunk.samples) + 100
            if found and (entry.stream != found[0][0].stream or size > max_bytes):
                break
            found.append((entry, behind))
            if len(found) == max_chunks:
                break
        if not found:
            return None
        stream, chunks = found[0][0].stream, [e.chunk for e, _ in found]
        if stream == self._renamed.stream:
            stream, base = self._renamed.name, self._renamed.base
            chunks = [
                msgspec.structs.replace(c, first_sample=c.first_sample - base) for c in chunks
            ]
        return ChunkBatch(stream, chunks, [behind for _, behind in found])

    def rename(self) -> None:
        """Send what is left of the stream that is being sent as a stream of its own."""
        first = next(self._from(self._cursor), None)
        if first is not None:
            entry = first[0]
            self._renamed = StreamRename(entry.stream, str(uuid4()), entry.chunk.first_sample)
            self._save()

    def acknowledge(self, cursor: Cursor) -> None:
        """Record that the server has everything before `cursor`."""
        self._cursor = max(cursor, self._cursor)
        self._save()
        for number in self._numbers():
            if number < self._cursor.segment:
                self.path(number).unlink()

    def drop_oldest(self) -> float:
        """Delete the oldest file, acknowledged or not; returns the seconds of signal given up."""
        numbers = self._numbers()
        if not numbers:
            return 0.0
        oldest = numbers[0]
        lost_s = 0.0
        for entry, behind in self._from(self._cursor):
            if behind.segment != oldest:
                break
            lost_s += entry.chunk.n / entry.chunk.fs_hz
        if oldest == self._writing:
            self.close()
        self.acknowledge(Cursor(oldest + 1, 0))
        self._writing = max(self._writing, oldest + 1)
        self.dropped_s += lost_s
        return lost_s

    def sync(self) -> None:
        """Wait until everything is on the disk itself."""
        if self._file is not None:
            self._file.sync()

    def close(self) -> None:
        """Close the file; a later append opens it again."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def path(self, number: int) -> Path:
        """The file of a number."""
        return self.folder / f"{number:08d}{SUFFIX}"

    def _begin(self, stream: str) -> None:
        self.close()
        self._writing += 1
        self._file, self._stream = log_file.Appender(self.path(self._writing)), stream

    def _from(self, cursor: Cursor) -> Iterator[tuple[SpoolEntry, Cursor]]:
        for number in self._numbers():
            if number < cursor.segment:
                continue
            offset = cursor.offset if number == cursor.segment else 0
            for payload, behind in log_file.records(self.path(number), offset):
                yield _entries.decode(payload), Cursor(number, behind)

    def _numbers(self) -> list[int]:
        return sorted(int(p.stem) for p in self.folder.glob("*" + SUFFIX) if p.stem.isdigit())

    def _save(self) -> None:
        partial = self.folder / (_CURSOR + ".new")
        partial.write_bytes(msgspec.json.encode(_Saved(self._cursor, self._renamed)))
        partial.replace(self.folder / _CURSOR)

    def _read(self) -> _Saved:
        try:
            return msgspec.json.decode((self.folder / _CURSOR).read_bytes(), type=_Saved)
        except (OSError, msgspec.DecodeError):
            return _Saved()  # everything is sent again; the server knows what it has


def keep_within(spools: list[Spool], budget_bytes: int) -> dict[Spool, float]:
    """Drop the oldest files until all spools together fit; the seconds of signal that each gave up.

    What was acknowledged is gone already, so this is the last resort; the server sees a gap.
    """
    lost: dict[Spool, float] = {}
    while sum(s.backlog_bytes for s in spools) > budget_bytes:
        oldest = min((s for s in spools if s.backlog_bytes), key=_age)
        lost[oldest] = lost.get(oldest, 0.0) + oldest.drop_oldest()
    return lost


def folder_name(device: str) -> str:
    """Return a folder name that people can recognise and that no other device has."""
    readable = re.sub(r"[^A-Za-z0-9]+", "-", device).strip("-")[:40]
    return f"{readable}-{zlib.crc32(device.encode()):08x}"


def _age(spool: Spool) -> int:
    """Time of the oldest chunk that is not acknowledged."""
    batch = spool.next(1, 1)
    return batch.chunks[0].t0_ns if batch else 0
