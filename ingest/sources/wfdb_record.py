"""WFDB records, single- or multi-segment, in any signal format that the wfdb package reads, a minute at a time."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block
from ingest.sources.blocks import Values, blocks_of, check_fs, fit_int16, mv_per_unit, spans
from ingest.sources.channels import choose

_log = logging.getLogger(__name__)

# Bits of a sample in each signal format; its lowest value stands for "no valid sample here" (WFDB signal(5)).
_BITS = {
    "80": 8, "508": 8, "310": 10, "311": 10, "212": 12, "16": 16, "61": 16, "160": 16, "516": 16, "24": 24, "524": 24, "32": 32, "8": 32,
}  # fmt: skip
_DEFAULT_GAIN = 200.0  # what a gain of 0 in a header means


class WfdbSource:
    """One channel of the record whose header is at `path` + .hea, with the annotations of its .atr file if there is one.

    Counts are the file's own, less the baseline; formats wider than 16 bits are scaled as `fit_int16` says. A signal with more samples
    per frame than others keeps its own rate. Multi-segment records are read in physical units and scaled by their first segment's gain.
    Raises BadInputError where the record cannot be used.
    """

    device_id = "wfdb"

    def __init__(self, path: Path, channel: str | int | None = None, name: str | None = None) -> None:
        self._path = str(path)
        self.name = name or path.name
        header = self._call(wfdb.rdheader, self._path, rd_segments=True)
        self._segmented = isinstance(header, wfdb.MultiRecord)
        signals = self._signals(header)
        names, units = [n or "" for n in signals.sig_name or []], [u or "" for u in signals.units or []]
        self._channel = choose(names, units, channel, record=self.name)
        self.lead = names[self._channel] or str(self._channel)
        self._per_frame = int(signals.samps_per_frame[self._channel] or 1)
        self._frame_hz = float(header.fs)
        self.fs_hz = check_fs(self._frame_hz * self._per_frame, self.name)
        self._scale(signals, mv_per_unit(units[self._channel], name=self.name, channel=self.lead))
        self._frames = int(header.sig_len) if header.sig_len is not None else self._count_frames()

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
        found = (
            Annotation(round(s * scale), symbol, note) for s, symbol, note in zip(read.sample.tolist(), read.symbol, notes, strict=True)
        )
        return tuple(sorted(found, key=lambda a: a.sample))

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError where a part of the record cannot be read."""
        start = round(start_s * self.fs_hz)
        parts = (self._read(a, b) for a, b in spans(self._frames * self._per_frame, start, self.fs_hz))
        return blocks_of(parts, start, self.fs_hz, self.annotations)

    def _scale(self, signals: Any, unit_mv: float) -> None:
        """Decide how the file's samples become int16 counts."""
        gain = float(signals.adc_gain[self._channel] or _DEFAULT_GAIN) / unit_mv
        self._baseline = float(signals.baseline[self._channel] or 0)
        self._format = str(signals.fmt[self._channel])
        half = 2.0 ** (_BITS.get(self._format, 32) - 1)
        self._invalid = -half
        factor = fit_int16(abs(gain), -half - self._baseline, half - 1 - self._baseline)
        self.counts_per_mv = abs(gain) * factor
        self._factor = math.copysign(factor, gain)
        self._counts_per_unit = self.counts_per_mv * unit_mv

    def _read(self, first: int, end: int) -> Values:
        """Samples first..end as scaled counts."""
        a, b = first // self._per_frame, -(-end // self._per_frame)
        record = self._call(
            wfdb.rdrecord, self._path, sampfrom=a, sampto=b, channels=[self._channel], physical=self._segmented, smooth_frames=False
        )
        inside = slice(first - a * self._per_frame, end - a * self._per_frame)
        if self._segmented:
            return np.asarray(record.e_p_signal[0][inside] * self._counts_per_unit, dtype=np.float64)
        raw = record.e_d_signal[0][inside].astype(np.float64)
        counts: Values = (raw - self._baseline) * self._factor
        if self._format != "8":  # differences: it has no value for "invalid"
            counts[raw == self._invalid] = np.nan
        return counts

    def _signals(self, header: Any) -> Any:
        """The header that describes the signals: the record's own, or its first segment's that is no gap."""
        if not self._segmented:
            return header
        described = [s for s in header.segments if s is not None and s.n_sig]
        if not described:
            raise BadInputError(f"{self.name}: all of its segments are empty", "Choose a record with an ECG.")
        layout, *segments = described
        if header.layout != "variable" or not segments:
            return layout
        for index, signal in enumerate(layout.sig_name):  # the layout has the order of the channels, the segments have their gains
            holder = next((s for s in segments if signal in s.sig_name), None)
            if holder is not None:
                for field in ("adc_gain", "baseline", "units", "fmt", "samps_per_frame"):
                    getattr(layout, field)[index] = getattr(holder, field)[holder.sig_name.index(signal)]
        return layout

    def _count_frames(self) -> int:
        """A header may leave the length out; then the file is read once to know it."""
        _log.info("%s: the header gives no length; reading it whole", self.name)
        return int(self._call(wfdb.rdrecord, self._path, physical=False).sig_len)

    def _call(self, function: Any, *args: Any, **options: Any) -> Any:
        """Call wfdb, which raises anything at all for a damaged record."""
        try:
            return function(*args, **options)
        except BadInputError:
            raise
        except Exception as error:
            problem = f"record {self._path}: cannot be read ({type(error).__name__}: {error})"
            raise BadInputError(
                problem, "Check that its .hea and signal files are complete and unchanged; copy or download it again."
            ) from error
