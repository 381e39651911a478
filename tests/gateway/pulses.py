"""RR intervals of an imagined wearer, as the notifications of a heart rate strap, and as chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ingest.gateway.base import DeviceReport, RateBlock
from ingest.gateway.timing.rates import RateTimeline
from ingest.gateway.timing.timeline import OutgoingChunk
from ingest.messages import SampleChunk
from tests.gateway.signals import START_NS


def sinus(seconds: float, rate: float = 70.0, seed: int = 3) -> list[float]:
    """Intervals that breathe a little, in 1/1024 s as straps send them."""
    found: list[float] = []
    rng = np.random.default_rng(seed)
    while sum(found) < seconds:
        found.append(round(1024 * 60 / rate * (1 + 0.03 * rng.standard_normal())) / 1024)
    return found


def irregular(seconds: float, rate: float = 100.0, seed: int = 4) -> list[float]:
    """Intervals as in atrial fibrillation."""
    found: list[float] = []
    rng = np.random.default_rng(seed)
    while sum(found) < seconds:
        found.append(round(1024 * 60 / rate * rng.uniform(0.6, 1.5)) / 1024)
    return found


def notifications(
    rr_s: Sequence[float], *, jitter_s: float = 0.2, start_ns: int = START_NS, seed: int = 1
) -> Iterator[RateBlock]:
    """Once a second the beats since the second before; each arrives up to `jitter_s` late. The
    strap's own rate is the mean of the last eight intervals."""
    rng, at_s = np.random.default_rng(seed), np.cumsum(rr_s)
    for second in range(1, int(at_s[-1]) + 2):
        new = [rr for rr, at in zip(rr_s, at_s, strict=True) if second - 1 < at <= second]
        seen = [rr for rr, at in zip(rr_s, at_s, strict=True) if at <= second][-8:]
        bpm = round(60 * len(seen) / sum(seen)) if seen else 0
        arrived_s = second + rng.uniform(0, jitter_s)
        yield RateBlock(start_ns + round(1e9 * arrived_s), bpm, tuple(new))


def sent(blocks: Iterable[RateBlock], line: RateTimeline | None = None) -> list[OutgoingChunk]:
    """The chunks that a gateway makes of the notifications, to the loss of the link."""
    line = line or RateTimeline(DeviceReport(battery=0.8))
    return [out for block in blocks for out in line.push(block)] + line.unlink()


def bound(chunks: Iterable[OutgoingChunk], patient: str = "p") -> list[SampleChunk]:
    """The chunks as the processor reads them."""
    return [out.chunk.bound(patient, "strap", k) for k, out in enumerate(chunks)]
