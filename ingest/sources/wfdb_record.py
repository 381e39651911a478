"""WFDB records, single- or multi-segment, in every signal format, a minute at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block, Notice, unheard
from ingest.sources.blocks import Values, blocks_of, by_second, check_fs, looks, spans
from ingest.sources.channels import choose, lead_name
from ingest.sources.scale import fit
from ingest.sources.units import check_amplitude, is_said, mv_per_unit
from ingest.sources.wfdb_annotations import read_annotations
from ingest.sources.wfdb_header import DEFAULT_FS_HZ, NOT_RECORDED, Header, SignalLine, read_header
from ingest.sources.wfdb_signals import BITS, DIFFERENCES, SignalFile, count_frames, read_frames

REMEDY = (
    "Check that its .hea and signal files are complete and unchanged; copy or download it again."
)


class _Segment(NamedTuple):
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


class WfdbSource:
    """One channel of the record whose header is at `path` + .hea, with the annotations of its .atr file if there is one.

    Counts are the file's own, less the baseline; what int16 cannot hold is scaled as `scale.fit` says. A signal with more samples per
    frame than others keeps its own rate. In a multi-segment record each segment's own gain holds, and what was not recorded is invalid.
    A segment that is not there, a file that is shorter than its header says and annotations that cannot be read are told by `notice`;
    without one they are errors.
    `unit` overrides the header's. Raises BadInputError if the record cannot be used.
    """

    device_id = "wfdb"

    def __init__(
        self,
        path: Path,
        channel: str | int | None = None,
        *,
        unit: str | None = None,
        notice: Notice = unheard,
    ) -> None:
        self.path, self.name = path, path.name
        self._unit, self._notice = unit, notice
        header = read_header(path.with_name(path.name + ".hea"))
        parts = [(first, frames, self._part(at)) for first, frames, at in _parts(header)]
        found = [part for _, _, part in parts if part is not None and part.signals]
        names, units = (
            (
                list(column)
                for column in zip(*((s.name, s.unit) for s in found[0].signals), strict=True)
            )
            if found
            else ([], [])
        )
        fixed = not header.segments or header.segments[0].frames > 0

        def lines(i: int) -> list[tuple[int, int | None, Header, int]]:
            """Where channel i was recorded: (first frame, frames, header, index there)."""
            rows = [
                (first, frames, part, i if fixed else _index(part, names[i]))
                for first, frames, part in parts
                if part is not None
            ]
            return [
                (a, n, p, j)
                for a, n, p, j in rows
                if j is not None and j < len(p.signals) and _is_recorded(p.signals[j]) and n != 0
            ]

        index = choose(
            names,
            units,
            channel,
            record=self.name,
            recorded=lambda i: any(_moves(_file(p, j)) for _, _, p, j in lines(i)),
        )
        self.lead = lead_name(names[index], index)
        self._frame_hz = header.fs_hz
        self._segments = [self._describe(*line) for line in lines(index)]
        if not self._segments:
            raise BadInputError(
                f"{self.name}: {self.lead} was never recorded",
                "Choose another channel with --channel, or another record.",
            )
        self._frames = self._length(header, parts)
        self._per_frame = self._segments[0].file.per_frame[self._segments[0].file.which]
        self.fs_hz = check_fs(self._frame_hz * self._per_frame, self.name)
        self._set_scale(said=is_said(units[index]))

    @property
    def duration_s(self) -> float:
        """Length of the record in seconds."""
        return self._frames / self._frame_hz

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """The reference annotations, in order; none if there is no .atr file. Raises BadInputError for one that cannot be read."""
        return read_annotations(self.path, "atr", self.fs_hz, self._frame_hz)

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError if a part of the record cannot be read."""
        start = round(start_s * self.fs_hz)
        try:
            annotations = self.annotations
        except BadInputError as error:
            if self._notice is unheard:
                raise
            self._notice(f"{error.problem}: the record goes without them")
            annotations = ()
        parts = (
            self._counts(a, b) for a, b in spans(self._frames * self._per_frame, start, self.fs_hz)
        )
        return blocks_of(parts, start, self.fs_hz, annotations, name=self.name, notice=self._notice)

    def _part(self, path: Path | None) -> Header | None:
        """The header of a segment; None for a gap, and for a segment that was not copied, if somebody is told."""
        if path is None or (self._notice is not unheard and not path.is_file()):
            if path is not None:
                self._notice(
                    f"{self.name}: its segment {path.stem} is not there, and counts as a gap"
                )
            return None
        return read_header(path)

    def _set_scale(self, *, said: bool) -> None:
        """Choose gain and offset for the whole record, by the limits of its formats or by looking at it."""
        gain = max(abs(s.gain) for s in self._segments)
        bounds = [
            (gain / s.gain) * (edge - s.baseline)
            for s in self._segments
            for edge in (s.lowest, -s.lowest - 1)
        ]
        wide = any(s.file.fmt == DIFFERENCES for s in self._segments)
        self.counts_per_mv, self._offset, looked = gain, 0.0, list[Values]()

        def look() -> list[Values]:
            if not looked:
                whole = self._frames * self._per_frame
                looked.extend(
                    [self._counts(0, whole)]
                    if wide
                    else [self._counts(a, b) for a, b in looks(whole, self.fs_hz)]
                )
            return looked

        scale = fit(gain, min(bounds), max(bounds), look, self.name)
        if self._unit is None:
            seconds = [s / gain for s in by_second(look(), self.fs_hz)]
            check_amplitude(
                seconds, said=said, name=self.name, channel=self.lead, notice=self._notice
            )
        self.counts_per_mv, self._offset = gain * scale.factor, scale.offset * scale.factor

    def _counts(self, first: int, end: int) -> Values:
        """Samples first..end as counts at `counts_per_mv`, less the offset."""
        a, b = first // self._per_frame, -(-end // self._per_frame)  # frames
        values = np.full((b - a) * self._per_frame, np.nan)
        for segment in self._segments:
            low, high = max(a, segment.first), min(b, segment.first + segment.frames)
            if low < high:
                at = slice((low - a) * self._per_frame, (high - a) * self._per_frame)
                values[at] = self._read_segment(segment, low - segment.first, high - segment.first)
        return values[first - a * self._per_frame : end - a * self._per_frame] - self._offset

    def _read_segment(self, segment: _Segment, a: int, b: int) -> Values:
        end = min(
            b + segment.skew, segment.frames
        )  # what skew would fetch from beyond the end is not there
        values = np.full((b - a) * self._per_frame, np.nan)
        if a + segment.skew >= end:
            return values
        try:
            raw = read_frames(segment.file, a + segment.skew, end)
        except (OSError, ValueError) as error:
            raise BadInputError(f"record {self.path}: cannot be read ({error})", REMEDY) from error
        found = (raw - segment.baseline) * (self.counts_per_mv / segment.gain)
        if segment.file.fmt != DIFFERENCES:
            found[raw == segment.lowest] = np.nan
        values[: len(found)] = found
        return values

    def _length(self, header: Header, parts: list[tuple[int, int | None, Header | None]]) -> int:
        """Frames of the record: what the header says, but of a single segment no more than the file holds."""
        if header.segments:
            return header.frames or parts[-1][0] + (parts[-1][1] or 0)
        return self._segments[0].frames

    def _describe(self, first: int, frames: int | None, header: Header, index: int) -> _Segment:
        line = header.signals[index]
        unit_mv = mv_per_unit(
            line.unit if self._unit is None else self._unit, name=self.name, channel=line.name
        )
        gain = 1 / unit_mv if self._unit is not None and "/" in self._unit else line.gain / unit_mv
        file = _file(header, index)
        try:
            held = count_frames(file)
        except OSError as error:
            raise BadInputError(f"record {self.path}: cannot be read ({error})", REMEDY) from error
        if frames is not None and held < frames:
            problem = (
                f"{self.name}: its header promises {frames} samples, {file.path.name} holds {held}"
            )
            if self._notice is unheard:
                raise BadInputError(problem, REMEDY)
            self._notice(f"{problem}: the rest is missing")
        return _Segment(
            first,
            min(held, frames) if frames is not None else held,
            file,
            line.skew,
            gain,
            line.baseline,
        )


def _parts(header: Header) -> Iterator[tuple[int, int | None, Path | None]]:
    """(first frame, frames, header file) of every segment; the record itself if it has none. No header file: a gap."""
    if not header.segments:
        yield 0, header.frames, header.path
        return
    first = 0
    for segment in header.segments:
        yield (
            first,
            segment.frames,
            None if segment.name == NOT_RECORDED else header.path.parent / f"{segment.name}.hea",
        )
        first += segment.frames


def _index(part: Header, name: str) -> int | None:
    return next((i for i, signal in enumerate(part.signals) if signal.name == name), None)


def _is_recorded(line: SignalLine) -> bool:
    return line.file != NOT_RECORDED and line.fmt != "0"


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
