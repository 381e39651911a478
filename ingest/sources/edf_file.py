"""EDF, EDF+, BDF and BDF+ files, a minute at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block, Notice, ignore_notice
from ingest.sources.blocks import (
    LOOKS,
    MAX_GAP_S,
    Values,
    blocks_of,
    by_second,
    check_fs,
    looks,
    spans,
)
from ingest.sources.channels import choose, lead_name
from ingest.sources.edf_annotations import EdfAnnotation, read_notes
from ingest.sources.edf_header import ANNOTATIONS, EdfSignal, read_header
from ingest.sources.scale import fit
from ingest.sources.units import check_amplitude, mv_per_unit, names_a_unit

_SYMBOLS = frozenset(
    'NLRaVFJASEj/Q~|sT*D"=pB^t+u?![]en@xf()r'
)  # of WFDB's annotations, annot(5) of its applications guide
_COMMENT = '"'  # WFDB's symbol for a note


class EdfSource:
    """One signal of an EDF or BDF file. Annotations of EDF+ whose text is a WFDB symbol (N, V, ...) become that, others a note.

    EDF has no value for "invalid"; holes in a discontinuous file (EDF+D) are invalid. Counts are
    the file's own less its offset; what int16 cannot hold is scaled as `scale.fit` says. `notice`
    is called if a file ends before its header says; without it, that is an error. `unit`
    overrides the header's. Raises BadInputError if the file cannot be used.
    """

    device_id = "edf"

    def __init__(
        self,
        path: Path,
        channel: str | int | None = None,
        *,
        unit: str | None = None,
        notice: Notice = ignore_notice,
    ) -> None:
        self._path, self._notice = path, notice
        self.name = path.stem
        self._header = header = read_header(path)
        signals = [s for s in header.signals if s.label not in ANNOTATIONS and s.samples]
        names, units = [s.label for s in signals], [s.unit for s in signals]
        index = choose(
            names, units, channel, record=path.name, recorded=lambda i: self._moves(signals[i])
        )
        self._signal = signal = signals[index]
        self.lead = lead_name(signal.label, index)
        if not header.records:
            raise BadInputError(
                f"{path}: holds no whole data record",
                "Copy or download the file again, it is incomplete.",
            )
        if header.seconds <= 0:
            raise BadInputError(
                f"{path}: the duration of its data records is {header.seconds:g} s",
                "Correct it in the header.",
            )
        if header.records < header.promised:
            self._note_truncated(
                f"{path.name}: its header promises {header.promised} data records, it holds {header.records}"
            )
        self.fs_hz = check_fs(signal.samples / header.seconds, path.name)
        onsets, notes = read_notes(path, header)
        self._starts = self._record_starts(
            onsets
        )  # sample of the recording at which each data record begins
        self._n = int(self._starts[-1]) + signal.samples
        begin_s = onsets[0] if onsets else 0.0
        self._annotations = tuple(sorted(_annotation(note, begin_s, self.fs_hz) for note in notes))
        self._set_scale(unit)

    @property
    def duration_s(self) -> float:
        """Length of the recording in seconds, holes included."""
        return self._n / self.fs_hz

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError if a part of the file cannot be read."""
        start = round(start_s * self.fs_hz)
        parts = (self._counts(a, b) for a, b in spans(self._n, start, self.fs_hz))
        return blocks_of(
            parts, start, self.fs_hz, self._annotations, name=self._path.name, notice=self._notice
        )

    def _set_scale(self, unit: str | None) -> None:
        signal, name = self._signal, self._path.name
        unit_mv = mv_per_unit(signal.unit if unit is None else unit, name=name, channel=self.lead)
        (low, high), (digital_low, digital_high) = signal.physical, signal.digital
        if low == high or digital_low == digital_high:
            problem = f"{self._path}: {self.lead!r} runs from {low:g} to {high:g} {signal.unit}, {digital_low} to {digital_high} in counts"
            raise BadInputError(
                problem, "Choose another channel with --channel, or correct the header."
            )
        gain = (digital_high - digital_low) / ((high - low) * unit_mv)
        zero = digital_low - low * unit_mv * gain
        edge = 2.0 ** (8 * self._header.sample_bytes - 1)
        self._zero, self._factor = zero, math.copysign(1.0, gain)
        looked: list[Values] = []

        def look() -> list[Values]:
            looked.extend(
                [] if looked else [self._counts(a, b) for a, b in looks(self._n, self.fs_hz)]
            )
            return looked

        ends = sorted((end - zero) * self._factor for end in (-edge, edge - 1))
        scale = fit(abs(gain), ends[0], ends[1], look, name)
        if unit is None:
            seconds = [s / abs(gain) for s in by_second(look(), self.fs_hz)]
            check_amplitude(
                seconds,
                said=names_a_unit(signal.unit),
                name=name,
                channel=self.lead,
                notice=self._notice,
            )
        self._zero += scale.offset * self._factor
        self._factor *= scale.factor
        self.counts_per_mv = abs(gain) * scale.factor

    def _record_starts(self, onsets: list[float]) -> NDArray[np.int64]:
        """Sample at which each data record begins; the records of a discontinuous file by their onsets."""
        samples = self._signal.samples
        if not self._header.discontinuous or len(onsets) < 2:
            return np.arange(self._header.records, dtype=np.int64) * samples
        starts = [0]
        late = 0.0  # seconds by which the records so far lie behind a file without holes
        for number, (before, onset) in enumerate(pairwise(onsets), 1):
            gap = onset - before - self._header.seconds
            if not -self._header.seconds < gap <= MAX_GAP_S:
                problem = f"{self._path}: data record {number + 1} begins {onset - before:g} s after the one before"
                raise BadInputError(
                    problem,
                    "Write what lies more than a day apart, or in another order, into files of its own.",
                )
            late += gap
            starts.append(max(starts[-1] + samples, number * samples + round(late * self.fs_hz)))
        return np.array(starts, dtype=np.int64)

    def _counts(self, first: int, end: int) -> Values:
        """Samples first..end of the recording, NaN in holes."""
        samples, starts = self._signal.samples, self._starts
        low = max(int(np.searchsorted(starts, first, side="right")) - 1, 0)
        high = int(np.searchsorted(starts, end, side="left"))
        digital = self._records(self._signal, low, high)
        values = np.full(end - first, np.nan)
        for record, start in enumerate(starts[low:high].tolist()):
            a, b = max(start, first), min(start + samples, end)
            if a < b:
                values[a - first : b - first] = digital[record, a - start : b - start]
        counts: Values = (values - self._zero) * self._factor
        return counts

    def _moves(self, signal: EdfSignal) -> bool:
        """Whether a signal has more than one value, in the data records looked at: one that was not recorded is constant."""
        n = self._header.records
        seen = [
            self._records(signal, at, at + 1)
            for at in sorted({round(i * (n - 1) / LOOKS) for i in range(LOOKS + 1)})
            if n
        ]
        return bool(seen) and min(int(s.min()) for s in seen) < max(int(s.max()) for s in seen)

    def _records(self, signal: EdfSignal, low: int, high: int) -> NDArray[np.int32]:
        """A signal's samples of data records low..high, shape (records, samples)."""
        header = self._header
        wanted = (high - low) * header.record_bytes
        try:
            data = np.fromfile(
                self._path, "u1", count=wanted, offset=header.begin + low * header.record_bytes
            )
        except OSError as error:
            raise BadInputError(
                f"{self._path}: cannot be read ({error.strerror})",
                "Check the path and its permissions.",
            ) from error
        if len(data) < wanted:
            raise BadInputError(
                f"{self._path}: it has become shorter while it was read",
                "Copy or download the file again.",
            )
        ours = data.reshape(high - low, -1)[
            :, signal.at : signal.at + signal.samples * header.sample_bytes
        ]
        ours = (
            np.ascontiguousarray(ours)
            .reshape(high - low, signal.samples, header.sample_bytes)
            .astype(np.int32)
        )
        value = np.zeros(ours.shape[:2], dtype=np.int32)
        for i in range(header.sample_bytes):
            value |= ours[..., i] << 8 * i
        sign = 1 << (8 * header.sample_bytes - 1)
        return (value ^ sign) - sign

    def _note_truncated(self, problem: str) -> None:
        if self._notice is ignore_notice:
            raise BadInputError(problem, "Copy or download the file again, it is incomplete.")
        self._notice(f"{problem}: the rest is missing")


def _annotation(note: EdfAnnotation, begin_s: float, fs_hz: float) -> Annotation:
    sample = round((note.onset_s - begin_s) * fs_hz)
    return (
        Annotation(sample, note.text)
        if note.text in _SYMBOLS
        else Annotation(sample, _COMMENT, note.text)
    )
