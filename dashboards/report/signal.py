"""Stored signal around a moment, for the strips of a report."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.messages import Strip, Waveform, sample_offset_ns
from ingest.packing import MISSING, unpack
from stream_processor.sinks.base import Sink

AROUND_NS = 10 * 10**9  # on either side of a moment
_LONGEST_NS = 10 * 10**9  # of a stored block


class Signal(NamedTuple):
    """Consecutive samples of one lead, shape (n,), MISSING where samples were lost."""

    start_ns: int
    fs_hz: float
    counts_per_mv: float
    samples: npt.NDArray[np.int16]

    @classmethod
    def of(cls, stored: Strip | Waveform) -> Signal:
        """Unpack stored signal."""
        return cls(stored.start_ns, stored.fs_hz, stored.counts_per_mv, unpack(stored.packed))

    def rows(self, seconds: float) -> Iterator[Signal]:
        """The signal in rows of a fixed length; the last one may be shorter."""
        step = round(seconds * self.fs_hz)
        for first in range(0, self.samples.size, step):
            start_ns = self.start_ns + sample_offset_ns(first, self.fs_hz)
            yield self._replace(start_ns=start_ns, samples=self.samples[first : first + step])

    @property
    def end_ns(self) -> int:
        """Time behind the last sample."""
        return self.start_ns + sample_offset_ns(self.samples.size, self.fs_hz)


def around(sink: Sink, patient_id: str, time_ns: int) -> Signal | None:
    """The stored samples from 10 s before to 10 s after a moment; None if there are none.

    If another stream begins in between, the samples are of the stream that has the moment, or else
    of the first.
    """
    start_ns, end_ns = time_ns - AROUND_NS, time_ns + AROUND_NS
    found = [
        signal
        for stored in sink.read(Waveform, patient_id, max(0, start_ns - _LONGEST_NS), end_ns)
        if (signal := Signal.of(stored)).end_ns > start_ns
    ]
    if not found:
        return None
    of_moment = [one for one in found if one.start_ns <= time_ns < one.end_ns] or found
    fs_hz, counts_per_mv = of_moment[0].fs_hz, of_moment[0].counts_per_mv
    whole = np.full(round((end_ns - start_ns) / 1e9 * fs_hz), MISSING, np.int16)
    for one in found:
        if (one.fs_hz, one.counts_per_mv) != (fs_hz, counts_per_mv):
            continue
        first = round((one.start_ns - start_ns) / 1e9 * fs_hz)
        inside = slice(max(0, -first), max(0, min(one.samples.size, whole.size - first)))
        part = one.samples[inside]
        whole[max(0, first) : max(0, first) + part.size] = part
    return Signal(start_ns, fs_hz, counts_per_mv, whole)
