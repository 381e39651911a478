"""Chunks that do not go on from their patient's stream, kept until it is clear what they are."""

from __future__ import annotations

from typing import Literal

import msgspec

from ingest.bounds import jump_problem
from ingest.messages import SampleChunk

# rival: another device, lead or rate; ahead: too far after the stream's last sample; moved: samples
# that the stream has had, by another start; repeat: samples that it has had; new: no contender at
# all, a stream begins at once
Why = Literal["rival", "ahead", "moved", "repeat", "new"]
SAME_START_NS = 10**9
AT_LEAST = 2  # one chunk alone never takes over: it may be garbage
MOST = 4  # contenders of a patient


class Contender(msgspec.Struct):
    """Consecutive chunks of one sender, not admitted so far."""

    why: Why
    chunks: list[SampleChunk]

    @property
    def seconds(self) -> float:
        """Seconds of signal."""
        return sum(chunk.n for chunk in self.chunks) / self.chunks[0].fs_hz


def contend(
    contenders: list[Contender], chunk: SampleChunk, why: Why, needed_s: float
) -> Contender | None:
    """Add a chunk to its sender's contender; return that contender if it takes over now, having
    `needed_s` of signal."""
    contender = next((c for c in contenders if _is_of(c, chunk)), None)
    if contender is None:
        contender = Contender(why, [])
        contenders.append(contender)
        del contenders[:-MOST]
    elif chunk.first_sample < contender.chunks[-1].first_sample + contender.chunks[-1].n:
        return None  # its own repeat
    contender.chunks.append(chunk)
    if not needed_s:
        return contender
    enough = contender.seconds >= needed_s and len(contender.chunks) >= AT_LEAST
    return contender if enough else None


def _is_of(contender: Contender, chunk: SampleChunk) -> bool:
    last = contender.chunks[-1]
    same = _sender(last) == _sender(chunk)
    return (
        same
        and abs(chunk.start_ns - last.start_ns) <= SAME_START_NS
        and jump_problem(last.first_sample + last.n, chunk) is None
    )


def _sender(chunk: SampleChunk) -> tuple[str, str, float, float]:
    return chunk.device_id, chunk.lead, chunk.fs_hz, chunk.counts_per_mv
