"""Turns a heart rate strap's notifications into chunks of the RR channel (ingest/messages/rr_channel.py).

Such a strap has no clock: its RR intervals follow each other, and a notification comes once a
second. The newest beat is put where its notification arrived, and the beats after it one interval
behind the other, for as long as they fit the times of arrival. Where they do not (the strap has left
out a beat that it could not tell), the distance of two beats differs from the interval, by which the
processor sees that something is missing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import uuid4

from ingest.gateway.base import DeviceReport, RateBlock
from ingest.gateway.timing.timeline import OutgoingChunk
from ingest.messages import sample_offset_ns
from ingest.messages.rr_channel import COUNTS_PER_MV, RR_FS_HZ, RR_LEAD, rr_samples
from ingest.wire import Chunk

HELD_S = 0.5  # the channel is sent up to here before the newest arrival: radio delays vary
AHEAD_S = 2.0  # beats further ahead of their arrival are placed anew
GAP_S = 5.0  # without a notification for longer, the time between is a gap
FIRST_S = 2.0  # of the stream that come before its first notification


@dataclass
class _Stream:
    """State that belongs to one stream and ends with it."""

    id: str = field(default_factory=lambda: str(uuid4()))
    start_ns: int | None = None
    next: int = 0  # everything before this sample has been sent
    beats: list[tuple[int, float]] = field(default_factory=list)  # (sample, RR interval), not sent
    last: float | None = None  # the newest beat, in s since the start


class RateTimeline:
    """One strap's beats on wall time. A stream goes on over lost links."""

    def __init__(self, wearing: DeviceReport) -> None:
        self.restarts = 0
        self._wearing = wearing
        self._stream = _Stream()

    def push(self, block: RateBlock) -> list[OutgoingChunk]:
        """Return the chunk that is ready now, if any."""
        if self._stream.start_ns is None:
            self._stream.start_ns = block.received_ns - round(FIRST_S * 1e9)
        arrived = self._index(block.received_ns)
        end = arrived - round(HELD_S * RR_FS_HZ)
        out: list[OutgoingChunk] = []
        if end - self._stream.next > GAP_S * RR_FS_HZ:
            out = self.unlink()
            self._stream.next = end - round(RR_FS_HZ)
        off = block.contact is False
        if off:
            self._stream.beats, self._stream.last = [], None
        else:
            self._place(block.rr_s, arrived)
        return out + self._cut(end, off, block.bpm)

    def unlink(self) -> list[OutgoingChunk]:
        """Complete what has arrived: the link is lost."""
        self._stream.last = None
        return self._cut(self._stream.beats[-1][0] + 1, False, 0) if self._stream.beats else []

    def restart(self) -> list[OutgoingChunk]:
        """End the stream; what comes next begins another. Returns the end of the old one."""
        done = self.unlink()
        self._stream = _Stream()
        self.restarts += 1
        return done

    def _place(self, rr_s: tuple[float, ...], arrived: int) -> None:
        if not rr_s:
            return
        now_s, sent_s, length_s = arrived / RR_FS_HZ, self._stream.next / RR_FS_HZ, sum(rr_s)
        at_s = now_s - length_s if self._stream.last is None else self._stream.last
        if at_s + rr_s[0] < sent_s or at_s + length_s > now_s + AHEAD_S:
            at_s = now_s - length_s
        taken = self._stream.beats[-1][0] if self._stream.beats else self._stream.next - 1
        for one_s in rr_s:
            at_s += one_s
            at = round(at_s * RR_FS_HZ)
            if at > taken:
                self._stream.beats.append((at, one_s))
                taken = at
        self._stream.last = at_s

    def _cut(self, end: int, lead_off: bool, bpm: int) -> list[OutgoingChunk]:
        """Send the channel up to this sample."""
        first, n = self._stream.next, end - self._stream.next
        if n <= 0 or self._stream.start_ns is None:
            return []
        ready = [(at - first, rr_s) for at, rr_s in self._stream.beats if at < end]
        self._stream.beats = self._stream.beats[len(ready) :]
        self._stream.next = end
        chunk = Chunk(
            first_sample=first,
            t0_ns=self._stream.start_ns + sample_offset_ns(first, RR_FS_HZ),
            fs_hz=RR_FS_HZ,
            counts_per_mv=COUNTS_PER_MV,
            samples=rr_samples(n, ready, bpm),
            lead=RR_LEAD,
            lead_off=lead_off,
            battery=self._wearing.battery,
        )
        return [OutgoingChunk(self._stream.id, chunk)]

    def _index(self, wall_ns: int) -> int:
        assert self._stream.start_ns is not None
        return round((wall_ns - self._stream.start_ns) * RR_FS_HZ / 1e9)
