"""The raw signal of each patient, kept for a while: cut into blocks for history, and into a strip
around every alarm.

Blocks lie on a grid of 10 s from the stream's sample 0, at the stream's own rate. A block that has
any sample is emitted whole, once the signal has reached its end; a stream's last block ends with
the stream. Lost samples are MISSING. A strip is emitted once the signal has reached 10 s after the
alarm's onset, or the stream ends.

What is kept follows from the signal alone, so that any cut into chunks gives the same strips: at
least KEPT_S before the end of the push before the present one. Where an alarm comes so late that
its onset is more than LATE_S back, its strip is the oldest 20 s within LATE_S.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from ingest.messages import AlarmKind
from ingest.packing import MISSING, pack, unpack
from models.signal.stage import Rows, State, StructStage

BLOCK_S = 10.0
AROUND_S = 10.0  # length of a strip before the onset, and after it
KEPT_S = 90.0
LATE_S = 80.0  # less than KEPT_S by more than any alarm comes after the last sample that it needed
_INT16 = np.dtype("<i2")
_HOLE = np.array([MISSING], dtype=_INT16).tobytes()


class SamplePiece(NamedTuple):
    """Consecutive samples of one row as they came; what lies between a piece and the one before was
    lost."""

    row: int
    first_sample: int  # since the start of the stream
    counts: npt.NDArray[np.int16]  # (n,)


class PackedBlock(NamedTuple):
    """Samples of one row, packed (ingest/packing.py)."""

    row: int
    start: int  # index of the first sample since the start of the stream
    n: int
    packed: bytes


class StripRequest(NamedTuple):
    """The part of the signal that is an alarm's strip: samples `start` to `end`, as far as there
    are any."""

    alarm_id: str
    kind: AlarmKind
    onset: int  # the alarm's onset, in samples since the start of the stream
    start: int
    end: int


class AlarmStrip(NamedTuple):
    """The strip of an alarm."""

    row: int
    wanted: StripRequest
    block: PackedBlock


class _Recording(msgspec.Struct):
    """The samples kept of a row."""

    first: int | None = None  # the first sample that came
    end: int = 0  # one past the last sample that came
    tail_start: int = 0  # where the block that is being filled begins
    # its samples so far, int16, little-endian
    tail: bytearray = msgspec.field(default_factory=bytearray)
    # before it: start, number of samples, packed; missing where there was no sample
    blocks: list[tuple[int, int, bytes]] = []
    wanted: list[StripRequest] = []  # strips that the signal has not reached the end of


class WaveformRecorder(StructStage[_Recording]):
    """Stage: SamplePieces in, blocks and alarm strips out."""

    def __init__(self) -> None:
        super().__init__(_Recording)
        self._fs: dict[int, float] = {}

    def open(self, patient: str, fs: float) -> int:
        """A fresh row for a stream of fs Hz."""
        row = super().open(patient, fs)
        self._fs[row] = fs
        return row

    def push(self, batch: Iterable[SamplePiece]) -> list[PackedBlock | AlarmStrip]:
        """Blocks and strips that these samples complete."""
        found: list[PackedBlock | AlarmStrip] = []
        for piece in batch:
            if len(piece.counts):
                recording = self._state[piece.row]
                self._add(recording, piece, found)
                if recording.wanted:
                    found += self._cut(piece.row, recording.end)
        return found

    def request_strip(
        self, row: int, alarm_id: str, kind: AlarmKind, onset_sample: int, raised_sample: int
    ) -> list[AlarmStrip]:
        """Cut a strip around the onset of this alarm: now if the signal has come far enough, else
        later.

        `raised_sample` is the last sample that was needed to raise it.
        """
        recording, around = self._state[row], round(AROUND_S * self._fs[row])
        oldest = min(raised_sample, recording.end) - round(LATE_S * self._fs[row])
        start = max(onset_sample - around, oldest)
        recording.wanted.append(
            StripRequest(alarm_id, kind, onset_sample, start, start + 2 * around)
        )
        return self._cut(row, recording.end)

    def flush(self, rows: Rows) -> list[PackedBlock | AlarmStrip]:
        """At the end of the stream: the block that is being filled, and the strips that no more
        signal will complete."""
        found: list[PackedBlock | AlarmStrip] = []
        for row in rows.tolist():
            recording = self._state[row]
            if recording.tail:
                found.append(
                    PackedBlock(
                        row,
                        recording.tail_start,
                        len(recording.tail) // 2,
                        pack(_samples(recording.tail)),
                    )
                )
            found += self._cut(row, None)
        return found

    def snapshot(self, row: int) -> State:
        """Return the state of the row as plain data."""
        recording = self._state[row]
        self._forget(recording, recording.end - round(KEPT_S * self._fs[row]))
        state: State = msgspec.to_builtins(recording, builtin_types=(bytes, bytearray))
        return state

    def _add(
        self, recording: _Recording, piece: SamplePiece, found: list[PackedBlock | AlarmStrip]
    ) -> None:
        """Fill blocks with what came, and MISSING for what was lost before it."""
        at, data = piece.first_sample, piece.counts.astype(_INT16, copy=False).tobytes()
        size = round(BLOCK_S * self._fs[piece.row])
        before = recording.end
        if recording.first is None:
            recording.first = recording.tail_start = at
        elif at > before:
            self._skip(recording, piece.row, at, size, found)
        recording.end = at + len(data) // 2
        if (room := 2 * (size - at % size)) > len(data):
            recording.tail += data
            return
        while room <= len(data):
            recording.tail += data[:room]
            data = data[room:]
            _complete(recording, piece.row, found)
            room = 2 * size
        recording.tail += data
        self._forget(recording, before - round(KEPT_S * self._fs[piece.row]))

    def _skip(
        self,
        recording: _Recording,
        row: int,
        at: int,
        size: int,
        found: list[PackedBlock | AlarmStrip],
    ) -> None:
        """Samples before `at` were lost. A block that would have none at all is left out."""
        grid = at - at % size
        if recording.tail_start < grid:
            if recording.tail:
                recording.tail += _HOLE * (size - recording.end % size)
                _complete(recording, row, found)
            recording.tail_start = grid
        recording.tail += _HOLE * (at - recording.tail_start - len(recording.tail) // 2)

    def _forget(self, recording: _Recording, before: int) -> None:
        """Drop blocks before this sample, except those that a pending strip needs."""
        oldest = min([before, *[w.start for w in recording.wanted]])
        recording.blocks = [block for block in recording.blocks if block[0] + block[1] > oldest]

    def _cut(self, row: int, reached: int | None) -> list[AlarmStrip]:
        """Return the strips that are complete once the signal has reached a sample (None: the
        stream has ended)."""
        recording = self._state[row]
        ready = [w for w in recording.wanted if reached is None or w.end <= reached]
        recording.wanted = [
            w for w in recording.wanted if not (reached is None or w.end <= reached)
        ]
        strips = [
            (w, _strip(recording, max(w.start, recording.first or 0), min(w.end, recording.end)))
            for w in ready
        ]
        return [
            AlarmStrip(
                row,
                w,
                PackedBlock(row, max(w.start, recording.first or 0), len(samples), pack(samples)),
            )
            for w, samples in strips
            if len(samples)
        ]


def _complete(recording: _Recording, row: int, found: list[PackedBlock | AlarmStrip]) -> None:
    """Return the block being filled, which is full."""
    n, packed = len(recording.tail) // 2, pack(_samples(recording.tail))
    recording.blocks.append((recording.tail_start, n, packed))
    found.append(PackedBlock(row, recording.tail_start, n, packed))
    recording.tail_start += n
    recording.tail = bytearray()


def _strip(recording: _Recording, start: int, end: int) -> npt.NDArray[np.int16]:
    """The samples from `start` to `end`, MISSING for those that are lost."""
    samples = np.full(max(end - start, 0), MISSING, dtype=np.int16)
    parts: Sequence[tuple[int, int, bytes | bytearray]] = [
        *recording.blocks,
        (recording.tail_start, len(recording.tail) // 2, recording.tail),
    ]
    for at, n, data in parts:
        if at < end and at + n > start:
            counts = _samples(data) if isinstance(data, bytearray) else unpack(data)
            samples[max(at - start, 0) : at + n - start] = counts[max(start - at, 0) : end - at]
    return samples


def _samples(data: bytearray) -> npt.NDArray[np.int16]:
    return np.frombuffer(bytes(data), dtype=_INT16)
