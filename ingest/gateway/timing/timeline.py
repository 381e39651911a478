"""Turns a device's blocks into chunks of streams: disciplined clock, nominal rate, gaps as they
were.

A stream goes on as long as the device's clock does, over lost links too. It ends, and another
begins, when the device has started anew or when somebody set its clock or this machine's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from uuid import uuid4

import numpy as np

from ingest.gateway.base import DeviceReport, LiveBlock, MicroVolts
from ingest.gateway.timing.device_clock import DeviceClock, LinkFaults, RestartedError, TimedBlock
from ingest.gateway.timing.resampler import Resampled, Resampler
from ingest.gateway.timing.wall_clock import ClockSetError, WallClock
from ingest.messages import sample_offset_ns
from ingest.wire import Chunk

COUNTS_PER_MV = 1000.0  # a count is a microvolt
SETTLE_S = 2.0  # of signal before a stream's start is fixed: the first block may have come late
CHUNK_S = 0.4  # a chunk holds at least this much, unless something happens
MAX_FAULT = 200
_INT16 = np.iinfo(np.int16)


class OutgoingChunk(NamedTuple):
    """A chunk, and the stream that it belongs to."""

    stream: str
    chunk: Chunk


class _Stream:
    """State that belongs to one stream and ends with it."""

    def __init__(self, fs_hz: float) -> None:
        self.id = str(uuid4())
        self.device, self.wall = DeviceClock(fs_hz), WallClock()
        self.settling: list[TimedBlock] = []
        self.resampler: Resampler | None = None
        self.start_ns = 0


class Timeline:
    """One device's signal on wall time. `notice` is called with the reason when a stream begins
    anew."""

    def __init__(
        self,
        fs_hz: float,
        lead: str,
        wearing: DeviceReport,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.fs_hz = fs_hz
        self.restarts = 0
        self._lead, self._wearing, self._notice = lead, wearing, notice
        self._stream = _Stream(fs_hz)
        self._before = LinkFaults()  # of earlier streams
        self._pending: list[MicroVolts] = []
        self._pending_first = 0
        self._lead_off = False

    @property
    def true_fs_hz(self) -> float:
        """The rate at which the device really samples, by its own clock."""
        return 1e9 / self._stream.device.period_ns

    @property
    def rate_error(self) -> float:
        """By how much the device's clock is slow against this machine's."""
        return self._stream.wall.rate_error

    @property
    def counts(self) -> LinkFaults:
        """Counts of faults of the link, over all streams."""
        old, new = vars(self._before), vars(self._stream.device.counts)
        return LinkFaults(**{name: old[name] + new[name] for name in old})

    def push(self, block: LiveBlock) -> list[OutgoingChunk]:
        """Chunks that are ready now, in order."""
        try:
            placed = self._stream.device.push(block)
        except RestartedError as error:
            done = self.restart(str(error))
            return done + self._all(self._stream.device.push(block))
        return self._all(placed)

    def unlink(self) -> list[OutgoingChunk]:
        """Complete what has arrived: the link is lost."""
        done = self._all(self._stream.device.unlink())
        resampler = self._stream.resampler
        return done if resampler is None else done + self._gather(resampler.begin()) + self._cut()

    def restart(self, reason: str) -> list[OutgoingChunk]:
        """End the stream; what comes next begins another. Returns the end of the old one."""
        done = self._all(self._stream.device.flush()) + self._open() + self._end()
        self._before = self.counts
        self._stream = _Stream(self.fs_hz)
        self.restarts += 1
        self._notice(reason)
        return done

    def _all(self, placed: list[TimedBlock]) -> list[OutgoingChunk]:
        return [chunk for one in placed for chunk in self._add(one)]

    def _add(self, placed: TimedBlock) -> list[OutgoingChunk]:
        stream = self._stream
        stream.wall.learn(placed.end_ns, placed.block.received_ns)
        if stream.resampler is not None:
            return self._resample(placed)
        stream.settling.append(placed)
        samples = sum(len(p.block.microvolts) for p in stream.settling)
        return self._open() if samples >= SETTLE_S * self.fs_hz else []

    def _open(self) -> list[OutgoingChunk]:
        """Fix the stream's start, and send the signal that has come so far."""
        stream, settling = self._stream, self._stream.settling
        if not settling:
            return []
        stream.settling = []
        first, period_ns = settling[0], stream.device.period_ns  # better known by now
        before_ns = round((len(first.block.microvolts) - 1) * period_ns)
        stream.start_ns = stream.wall.wall_ns(first.end_ns) - before_ns
        stream.resampler = Resampler(stream.start_ns, self.fs_hz)
        return [
            chunk
            for placed in settling
            for chunk in self._resample(placed._replace(period_ns=period_ns))
        ]

    def _resample(self, placed: TimedBlock) -> list[OutgoingChunk]:
        stream = self._stream
        assert stream.resampler is not None
        try:
            end_ns = stream.wall.wall_ns(placed.end_ns)
        except ClockSetError as error:
            done = self.restart(str(error))
            return done + self._all(self._stream.device.push(placed.block))
        out: list[OutgoingChunk] = []
        if not placed.follows:
            out += self._gather(stream.resampler.begin()) + self._cut()
        lead_off = self._wearing.contact is False
        if lead_off != self._lead_off:
            out += self._cut()
            self._lead_off = lead_off
        return out + self._gather(
            stream.resampler.push(placed.block.microvolts, end_ns, placed.period_ns)
        )

    def _gather(self, part: Resampled) -> list[OutgoingChunk]:
        """Join small parts; a chunk when there is enough."""
        if not len(part.microvolts):
            return []
        out: list[OutgoingChunk] = []
        held = sum(map(len, self._pending))
        if held and part.first_sample != self._pending_first + held:
            out, held = self._cut(), 0
        if not held:
            self._pending_first = part.first_sample
        self._pending.append(part.microvolts)
        return out + self._cut() if held + len(part.microvolts) >= CHUNK_S * self.fs_hz else out

    def _cut(self) -> list[OutgoingChunk]:
        if not self._pending:
            return []
        counts = np.clip(np.rint(np.concatenate(self._pending)), _INT16.min, _INT16.max)
        self._pending = []
        first = self._pending_first
        chunk = Chunk(
            first_sample=first,
            t0_ns=self._stream.start_ns + sample_offset_ns(first, self.fs_hz),
            fs_hz=self.fs_hz,
            counts_per_mv=COUNTS_PER_MV,
            samples=counts.astype("<i2").tobytes(),
            lead=self._lead,
            lead_off=self._lead_off,
            battery=self._wearing.battery,
            fault=self._wearing.fault[:MAX_FAULT],
        )
        return [OutgoingChunk(self._stream.id, chunk)]

    def _end(self) -> list[OutgoingChunk]:
        resampler = self._stream.resampler
        return [] if resampler is None else self._gather(resampler.begin()) + self._cut()
