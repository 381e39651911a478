"""WFDB records, single- or multi-segment, in any signal format that the wfdb package reads, a
minute at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import wfdb

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block
from ingest.sources.blocks import Values, blocks_of, check_fs, fit_int16, mv_per_unit, spans
from ingest.sources.channels import choose

# Bits of a sample in each signal format; its lowest value stands for "no valid sample here" (WFDB
# signal(5)).
_BITS = {
    "80": 8,
    "508": 8,
    "310": 10,
    "311": 10,
    "212": 12,
    "16": 16,
    "61": 16,
    "160": 16,
    "516": 16,
    "24": 24,
    "524": 24,
    "32": 32,
    "8": 32,
}
# the one format without such a value, and that can only be read from its beginning
_DIFFERENCES = "8"
_DEFAULT_GAIN = 200.0  # what a gain of 0 in a header means


class _Segment(NamedTuple):
    """One signal of a run of frames that lies in one file; a record has one or more."""

    path: str | None  # None: nothing was recorded
    first: int  # frame of the record
    frames: int
    channel: int = 0
    per_frame: int = 1  # samples
    gain: float = 1.0  # counts per mV, negative for a signal that was stored upside down
    baseline: float = 0.0
    lowest: float = 0.0
    differences: bool = False


class WfdbSource:
    """One channel of the record whose header is at `path` + .hea, with the annotations of its .atr
    file if there is one.

    Counts are the file's own, less the baseline; formats wider than 16 bits are scaled as
    `fit_int16` says. A signal with more samples per frame than others keeps its own rate. In a
    multi-segment record the first segment's gain holds for all, and what was not recorded is
    invalid. Raises BadInputError where the record cannot be used.
    """

    device_id = "wfdb"

    def __init__(self, path: Path, channel: str | int | None = None) -> None:
        self._path = str(path)
        self.name = path.name
        header = self._call(wfdb.rdheader, self._path, rd_segments=True)
        parts = (
            [s for s in header.segments if s is not None and s.n_sig]
            if isinstance(header, wfdb.MultiRecord)
            else [header]
        )
        names, units = [
            list(map(str, values or []))
            for values in ((parts[0].sig_name, parts[0].units) if parts else ([], []))
        ]
        index = choose(names, units, channel, record=self.name)
        self.lead = names[index]
        self._frame_hz = float(header.fs)
        self._frames = int(header.sig_len) if header.sig_len is not None else self._count_frames()
        self._segments = self._find_segments(header, index)
        first = next((s for s in self._segments if s.path is not None), None)
        if first is None:
            raise BadInputError(
                f"{self.name}: {self.lead} was never recorded",
                "Choose another channel with --channel, or another record.",
            )
        self._per_frame = first.per_frame
        self.fs_hz = check_fs(self._frame_hz * self._per_frame, self.name)
        self.counts_per_mv = abs(first.gain) * fit_int16(
            abs(first.gain), first.lowest - first.baseline, -first.lowest - first.baseline
        )

    @property
    def duration_s(self) -> float:
        """Length of the record in seconds."""
        return self._frames / self._frame_hz

    @cached_property
    def annotations(self) -> tuple[Annotation, ...]:
        """The reference annotations, in order; none where there is no .atr file."""
        if not Path(self._path + ".atr").exists():
            return ()
        read = self._call(wfdb.rdann, self._path, "atr")
        scale = self.fs_hz / float(read.fs or self._frame_hz)
        notes = (note.strip("\x00") for note in read.aux_note)
        rows = zip(read.sample.tolist(), read.symbol, notes, strict=True)
        return tuple(
            sorted(Annotation(round(sample * scale), symbol, note) for sample, symbol, note in rows)
        )

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError where a part of the record cannot be read."""
        start = round(start_s * self.fs_hz)
        parts = (
            self._read(a, b) for a, b in spans(self._frames * self._per_frame, start, self.fs_hz)
        )
        return blocks_of(parts, start, self.fs_hz, self.annotations)

    def _read(self, first: int, end: int) -> Values:
        """Samples first..end as counts at `counts_per_mv`."""
        a, b = first // self._per_frame, -(-end // self._per_frame)  # frames
        values = np.full((b - a) * self._per_frame, np.nan)
        for segment in self._segments:
            low, high = max(a, segment.first), min(b, segment.first + segment.frames)
            if segment.path is not None and low < high:
                at = slice((low - a) * self._per_frame, (high - a) * self._per_frame)
                values[at] = self._read_segment(segment, low - segment.first, high - segment.first)
        return values[first - a * self._per_frame : end - a * self._per_frame]

    def _read_segment(self, segment: _Segment, a: int, b: int) -> Values:
        begin = 0 if segment.differences else a
        read = self._call(
            wfdb.rdrecord,
            segment.path,
            sampfrom=begin,
            sampto=b,
            channels=[segment.channel],
            physical=False,
            smooth_frames=False,
        )
        raw = read.e_d_signal[0][(a - begin) * segment.per_frame :].astype(np.float64)
        counts: Values = (raw - segment.baseline) * (self.counts_per_mv / segment.gain)
        if not segment.differences:
            counts[raw == segment.lowest] = np.nan
        return counts

    def _find_segments(self, header: Any, channel: int) -> list[_Segment]:
        """The record's runs of frames, without its layout segment."""
        if not isinstance(header, wfdb.MultiRecord):
            return [self._describe(header, self._path, channel, 0, self._frames)]
        found, first = [], 0
        for name, n, part in zip(header.seg_name, header.seg_len, header.segments, strict=True):
            inside = channel if header.layout == "fixed" else self._index(part)
            if part is None or inside is None:
                found.append(_Segment(None, first, n))
            elif n:
                found.append(
                    self._describe(part, str(Path(self._path).with_name(name)), inside, first, n)
                )
            first += n
        return found

    def _index(self, part: Any) -> int | None:
        names = part.sig_name or [] if part is not None else []
        return names.index(self.lead) if self.lead in names else None

    def _describe(self, header: Any, path: str, i: int, first: int, frames: int) -> _Segment:
        unit_mv = mv_per_unit(header.units[i] or "", name=self.name, channel=self.lead)
        form = str(header.fmt[i])
        return _Segment(
            path=path,
            first=first,
            frames=frames,
            channel=i,
            per_frame=int(header.samps_per_frame[i] or 1),
            gain=float(header.adc_gain[i] or _DEFAULT_GAIN) / unit_mv,
            baseline=float(header.baseline[i] or 0),
            lowest=-(2.0 ** (_BITS.get(form, 32) - 1)),
            differences=form == _DIFFERENCES,
        )

    def _count_frames(self) -> int:
        """A header may leave the length out; then the file is read once to know it."""
        return int(self._call(wfdb.rdrecord, self._path, physical=False).sig_len)

    def _call(self, function: Any, *args: Any, **options: Any) -> Any:
        """Call wfdb, which raises anything at all for a damaged record."""
        try:
            return function(*args, **options)
        except Exception as error:
            problem = f"record {self._path}: cannot be read ({type(error).__name__}: {error})"
            remedy = "Check that its .hea and signal files are complete and unchanged; copy or download it again."
            raise BadInputError(problem, remedy) from error
