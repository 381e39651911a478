"""WFDB records, single- or multi-segment, in every signal format, a minute at a time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

import numpy as np

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block, Notice, ignore_notice
from ingest.sources.blocks import Values, blocks_of, by_second, check_fs, looks, spans
from ingest.sources.channels import choose, lead_name
from ingest.sources.scale import fit
from ingest.sources.units import check_amplitude, names_a_unit
from ingest.sources.wfdb_annotations import read_annotations
from ingest.sources.wfdb_layout import REMEDY, FrameRun, RecordLayout
from ingest.sources.wfdb_signals import DIFFERENCES, read_frames


class WfdbSource:
    """One channel of the record whose header is at `path` + .hea, with the annotations of its .atr file if there is one.

    Counts are the file's own, less the baseline; what int16 cannot hold is scaled as `scale.fit` says. A signal with more samples per
    frame than others keeps its own rate. In a multi-segment record each segment's own gain holds, and what was not recorded is invalid.
    A segment that is not there, a file that is shorter than its header says and annotations that cannot be read are told by `notice`;
    without one they are errors. `unit` overrides the header's. Raises BadInputError if the record cannot be used.
    """

    device_id = "wfdb"

    def __init__(
        self,
        path: Path,
        channel: str | int | None = None,
        *,
        unit: str | None = None,
        notice: Notice = ignore_notice,
    ) -> None:
        self.path, self.name = path, path.name
        self._unit, self._notice = unit, notice
        layout = RecordLayout(path, notice)
        names, units = layout.names, layout.units
        index = choose(names, units, channel, record=self.name, recorded=layout.recorded)
        self.lead = lead_name(names[index], index)
        self._frame_hz = layout.fs_hz
        self._segments = layout.segments(index, unit)
        self._frames = layout.frames(self._segments)
        self._per_frame = self._segments[0].per_frame
        self.fs_hz = check_fs(self._frame_hz * self._per_frame, self.name)
        self._set_scale(said=names_a_unit(units[index]))

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
            if self._notice is ignore_notice:
                raise
            self._notice(f"{error.problem}: the record goes without them")
            annotations = ()
        parts = (
            self._counts(a, b) for a, b in spans(self._frames * self._per_frame, start, self.fs_hz)
        )
        return blocks_of(parts, start, self.fs_hz, annotations, name=self.name, notice=self._notice)

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

    def _read_segment(self, segment: FrameRun, a: int, b: int) -> Values:
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
