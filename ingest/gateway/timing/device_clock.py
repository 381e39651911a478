"""Places each block on the device's own clock: what was lost, and what its timestamps got wrong.

Samples are counted; timestamps only correct the count. Where the two part by more than half a
sample (more, if the device's timestamps jitter by more), the block is held until the next one says
which of them is right:

- the next block agrees with the count: the timestamp was wrong (repeated, or jumped back);
- it agrees with the timestamp: samples were lost, if the time of arrival allows that much to have
  passed, else the device's clock was set, and the count goes on.

So nothing that arrived is dropped but exact repeats of a block.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ingest.bounds import MAX_JUMP_S
from ingest.gateway.base import LiveBlock
from ingest.gateway.timing.slope import SlopeMeter

YOUNG = 8  # blocks until the device's true rate is known well enough
RATE_SLACK = 0.03  # how far the true rate may be from the nominal one
GAIN = 0.1  # of a timestamp over the count
HOLD = 2  # blocks held at most
EARLY_NS = 300_000_000  # a block cannot arrive so much earlier than the fastest one did
LATE_NS = 10_000_000_000  # after a reconnection: later than that, and the device's clock was set
MAX_AWAY_NS = 0.99e9 * MAX_JUMP_S  # a stream cannot go on after a longer gap
RECENT = 60  # blocks among which the fastest one is looked for
REPEATS = 8  # blocks among which an exact repeat is looked for


@dataclass
class LinkFaults:
    """Counts of faults of the link since the start."""

    repeats: int = 0  # blocks that came twice
    bad_times: int = 0  # timestamps that did not fit, repeated or jumped back
    clock_steps: int = 0  # times that the device's clock was set while it was connected
    gaps: int = 0
    missing: int = 0  # samples


class TimedBlock(NamedTuple):
    """A block, and when its last sample was taken."""

    block: LiveBlock
    end_ns: float  # by the device's clock, made steady; any origin
    period_ns: float
    follows: bool  # False: a gap, or the stream's beginning, lies before it


class RestartedError(Exception):
    """The device has started anew, or its clock was set: its time cannot go on."""


class DeviceClock:
    """One device's blocks on one time. `fs_hz` is nominal."""

    def __init__(self, fs_hz: float) -> None:
        self.counts = LinkFaults()
        self._nominal_ns = 1e9 / fs_hz
        self._slope = SlopeMeter(self._nominal_ns, RATE_SLACK)
        self._at: float | None = None  # end of the last block placed
        self._shift = 0.0  # by how much the device's clock was set back while it was connected
        self._held: list[tuple[LiveBlock, float]] = []
        self._delays: deque[float] = deque(maxlen=RECENT)  # arrival less device time
        self._jitter = 0.0  # of timestamps, in samples
        self._seen: deque[tuple[int, bytes]] = deque(maxlen=REPEATS)
        self._base: float | None = None  # of a device without a clock: when its link was made
        self._count = 0
        self._linked = False

    @property
    def period_ns(self) -> float:
        """The device's true sampling interval by its own clock."""
        return self._slope.period_ns

    def push(self, block: LiveBlock) -> list[TimedBlock]:
        """Blocks that can now be placed, in order. Raises RestartedError if a new stream begins."""
        if self._repeated(block):
            self.counts.repeats += 1
            return []
        n, stamp = len(block.microvolts), self._stamp(block) + self._shift
        if self._at is None:
            self._linked = True
            return [self._place(block, stamp, follows=False)]
        if block.first_sample == 0:
            raise RestartedError("the device counts its samples from 0 again")
        if not self._linked:
            return self._resume(block, stamp)
        counted = self._at + (sum(len(b.microvolts) for b, _ in self._held) + n) * self.period_ns
        off = (stamp - counted) / self.period_ns  # in samples
        if abs(off) <= self._tolerance(n):
            return [*self.flush(), self._keep(block, stamp, off)]
        if self._held and self._agrees(stamp - self._held[-1][1], n):
            return self._step(block, stamp, off)
        if len(self._held) < HOLD:
            self._held.append((block, stamp))
            return []
        placed = self.flush()
        self.counts.bad_times += 1
        return [*placed, self._place(block, self._at + n * self.period_ns)]

    def flush(self) -> list[TimedBlock]:
        """Place what is held by the count: its timestamps were wrong."""
        held, self._held = self._held, []
        self.counts.bad_times += len(held)
        return [
            self._place(b, (self._at or 0.0) + len(b.microvolts) * self.period_ns) for b, _ in held
        ]

    def unlink(self) -> list[TimedBlock]:
        """Place the held blocks, because the link is lost. The next block comes on a new link."""
        placed = self.flush()
        self._linked, self._base = False, None
        self._slope.end_run()
        return placed

    def _resume(self, block: LiveBlock, stamp: float) -> list[TimedBlock]:
        """The first block on a new link: is the device's clock the same as before?"""
        assert self._at is not None
        n = len(block.microvolts)
        late_ns = block.received_ns - stamp - self._fastest()
        away_ns = stamp - self._at
        if away_ns <= 0:
            raise RestartedError("the device's clock is back at an earlier time")
        if away_ns > MAX_AWAY_NS:
            raise RestartedError(f"the device was away for {away_ns / 3.6e12:.1f} hours")
        if not -EARLY_NS - away_ns * RATE_SLACK <= late_ns <= LATE_NS + away_ns * RATE_SLACK:
            raise RestartedError("the device's clock was set while it was away")
        self._linked = True
        self._delays.clear()  # it may have drifted while it was away
        lost = round(away_ns / self.period_ns) - n
        if lost <= 0:
            return [self._keep(block, stamp, 0.0)]
        self._lost(lost)
        return [self._place(block, stamp, follows=False)]

    def _step(self, block: LiveBlock, stamp: float, off: float) -> list[TimedBlock]:
        """Two blocks agree that time has moved on by `off` samples beyond the count."""
        (first, first_stamp), self._held = self._held[-1], self._held[:-1]
        wrong = self.flush()  # an older one that was held agreed with neither
        possible = block.received_ns - stamp >= self._fastest() - EARLY_NS
        if 0 < off * self.period_ns < MAX_AWAY_NS and possible:
            self._lost(round(off))
            self._slope.end_run()
            return [
                *wrong,
                self._place(first, first_stamp, follows=False),
                self._keep(block, stamp, 0.0),
            ]
        self.counts.clock_steps += 1
        step = off * self.period_ns
        self._shift -= step
        return [
            *wrong,
            self._keep(first, first_stamp - step, 0.0),
            self._keep(block, stamp - step, 0.0),
        ]

    def _keep(self, block: LiveBlock, stamp: float, off: float) -> TimedBlock:
        """Place a block that follows the last one; its timestamp draws the count towards itself."""
        counted = (self._at or 0.0) + len(block.microvolts) * self.period_ns
        if self._slope.steps < YOUNG:  # the count is not to be trusted: its rate is not known
            return self._place(block, stamp, stamp=stamp)
        self._jitter += 0.05 * (min(abs(off), 3.0) - self._jitter)
        return self._place(block, counted + GAIN * (stamp - counted), stamp=stamp)

    def _place(
        self, block: LiveBlock, end: float, *, follows: bool = True, stamp: float | None = None
    ) -> TimedBlock:
        true = stamp if stamp is not None else end
        if not follows or stamp is not None:
            self._delays.append(block.received_ns - true)
        if not follows:
            self._slope.begin_run(true)
        else:
            self._slope.add(len(block.microvolts), stamp)
        self._at = end
        return TimedBlock(block, end, self.period_ns, follows)

    def _stamp(self, block: LiveBlock) -> float:
        n = len(block.microvolts)
        if block.last_ns is not None:
            return float(block.last_ns)
        if block.first_sample is not None:
            return (block.first_sample + n - 1) * self._nominal_ns
        if self._base is None:
            self._base, self._count = float(block.received_ns), 0
        self._count += n
        return self._base + self._count * self._nominal_ns

    def _repeated(self, block: LiveBlock) -> bool:
        key = block.last_ns if block.last_ns is not None else block.first_sample
        if key is None or not np.ptp(block.microvolts):  # flat blocks are all alike
            return False
        seen = (key, block.microvolts.tobytes())
        if seen in self._seen:
            return True
        self._seen.append(seen)
        return False

    def _tolerance(self, n: int) -> float:
        young = RATE_SLACK * n if self._slope.steps < YOUNG else 0.0
        return 0.5 + 4 * self._jitter + young

    def _agrees(self, passed_ns: float, n: int) -> bool:
        return abs(passed_ns / self.period_ns - n) <= self._tolerance(n)

    def _fastest(self) -> float:
        return min(self._delays)

    def _lost(self, samples: int) -> None:
        self.counts.gaps += 1
        self.counts.missing += samples
