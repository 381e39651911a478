"""Where the signals of a WFDB record lie: its segments, their headers, and the files those name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ingest.errors import BadInputError
from ingest.sources.base import Notice, ignore_notice
from ingest.sources.blocks import looks
from ingest.sources.units import mv_per_unit
from ingest.sources.wfdb_header import DEFAULT_FS_HZ, NOT_RECORDED, Header, read_header
from ingest.sources.wfdb_signals import BITS, SignalFile, count_frames, read_frames

REMEDY = (
    "Check that its .hea and signal files are complete and unchanged; copy or download it again."
)


class FrameRun(NamedTuple):
    """A run of frames of one signal."""

    first: int  # frame of the record
    frames: int
    file: SignalFile
    skew: int
    gain: float  # counts per mV, negative for a signal that was stored upside down
    baseline: float

    @property
    def lowest(self) -> float:
        """The count that means "no valid sample", and the least there is."""
        return -(2.0 ** (BITS[self.file.fmt] - 1))

    @property
    def per_frame(self) -> int:
        """Samples of the signal in a frame."""
        return self.file.per_frame[self.file.which]


class _Part(NamedTuple):
    """A segment of a record, or the record itself if it has none."""

    first: int  # frame of the record
    frames: int | None  # None: the header does not say
    header: Header


class RecordLayout:
    """The headers of a record; `notice` is called with what is missing; without it, that is an
    error. Raises BadInputError."""

    def __init__(self, path: Path, notice: Notice) -> None:
        self._path, self._notice = path, notice
        self._header = header = read_header(path.with_name(path.name + ".hea"))
        self.fs_hz = header.fs_hz  # frames per second
        self._parts = list(self._read_parts())
        signals = next((p.header.signals for p in self._parts if p.header.signals), ())
        self.names, self.units = [s.name for s in signals], [s.unit for s in signals]

    def recorded(self, channel: int) -> bool:
        """Whether a channel has more than one value, in the stretches looked at: one that was not recorded is constant."""
        return any(_moves(_file(part.header, i)) for part, i in self._where(channel))

    def segments(self, channel: int, unit: str | None) -> list[FrameRun]:
        """The channel's segments, in order; `unit` overrides the headers'. Raises BadInputError if there are none."""
        found = [self._segment(part, i, unit) for part, i in self._where(channel)]
        if not found:
            remedy = "Choose another channel with --channel, or another record."
            raise BadInputError(
                f"{self._path.name}: {self.names[channel]} was never recorded", remedy
            )
        if len({segment.per_frame for segment in found}) > 1:
            problem = f"{self._path.name}: {self.names[channel]} changes its sampling frequency"
            raise BadInputError(problem, "Read its segments one by one.")
        return found

    def frames(self, segments: list[FrameRun]) -> int:
        """Length of the record: what the header says, but of a single segment no more than its file holds."""
        if not self._header.segments:
            return segments[0].frames
        return self._header.frames or sum(segment.frames for segment in self._header.segments)

    def _read_parts(self) -> Iterator[_Part]:
        header = self._header
        if not header.segments:
            yield _Part(0, header.frames, header)
            return
        first = 0
        for segment in header.segments:
            path = header.path.parent / f"{segment.name}.hea"
            if segment.name != NOT_RECORDED:
                if self._notice is ignore_notice or path.is_file():
                    yield _Part(first, segment.frames, read_header(path))
                else:
                    self._notice(
                        f"{self._path.name}: its segment {segment.name} is not there, and counts as a gap"
                    )
            first += segment.frames

    def _where(self, channel: int) -> Iterator[tuple[_Part, int]]:
        """The parts in which the channel was recorded, and its index there."""
        fixed = not self._header.segments or self._header.segments[0].frames > 0
        name = self.names[channel]
        for part in self._parts:
            signals = part.header.signals
            named = next((i for i, signal in enumerate(signals) if signal.name == name), None)
            i = channel if fixed else named
            if i is None or i >= len(signals) or part.frames == 0:
                continue
            if signals[i].file != NOT_RECORDED and signals[i].fmt != "0":
                yield part, i

    def _segment(self, part: _Part, i: int, unit: str | None) -> FrameRun:
        line, name = part.header.signals[i], self._path.name
        unit_mv = mv_per_unit(line.unit if unit is None else unit, name=name, channel=line.name)
        gain = 1 / unit_mv if unit is not None and "/" in unit else line.gain / unit_mv
        file = _file(part.header, i)
        try:
            held = count_frames(file)
        except OSError as error:
            raise BadInputError(f"record {self._path}: cannot be read ({error})", REMEDY) from error
        frames = held if part.frames is None else min(held, part.frames)
        if part.frames is not None and held < part.frames:
            problem = (
                f"{name}: its header promises {part.frames} samples, {file.path.name} holds {held}"
            )
            if self._notice is ignore_notice:
                raise BadInputError(problem, REMEDY)
            self._notice(f"{problem}: the rest is missing")
        return FrameRun(part.first, frames, file, line.skew, gain, line.baseline)


def _file(header: Header, index: int) -> SignalFile:
    """Where a signal lies. Raises BadInputError."""
    line = header.signals[index]
    if line.fmt not in BITS:
        known = ", ".join(sorted(BITS, key=int))
        raise BadInputError(
            f"{header.path}: {line.name} is in format {line.fmt}",
            f"WFDB formats that are read: {known}.",
        )
    together = [i for i, other in enumerate(header.signals) if other.file == line.file]
    place = header.path.parent / line.file
    if not place.is_file():  # the header was moved, or names a folder of somebody else's
        place = header.path.parent / PurePosixPath(line.file.replace("\\", "/")).name
    if not place.is_file():
        problem = f"record {header.path.with_suffix('')}: cannot be read (its header names the signal file {line.file}, which is not there)"
        raise BadInputError(problem, f"Put it beside {header.path.name}.")
    first = header.signals[together[0]]
    per_frame = tuple(header.signals[i].per_frame for i in together)
    return SignalFile(
        place, line.fmt, first.offset, per_frame, together.index(index), line.first_value
    )


def _moves(file: SignalFile) -> bool:
    """Whether a signal has more than one value, in the stretches looked at: one that was not recorded is constant."""
    try:
        frames = count_frames(file)
        seen = [read_frames(file, a, b) for a, b in looks(frames, DEFAULT_FS_HZ)]
    except (OSError, ValueError):
        return True  # whoever reads it will say what is wrong
    return bool(seen) and min(int(s.min()) for s in seen) < max(int(s.max()) for s in seen)
