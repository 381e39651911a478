"""The RR channel: the stream of a heart rate strap, which has no trace.

It is a lead of its own, named RR, with 100 samples a second, so that spool, tokens, repeats, gaps,
two senders, partitions, snapshots and commits treat it as any other stream (docs/decisions/0010).
Nearly all of its samples are 0:

    v > 0   a heart beat at this sample, which ended an RR interval of v ms
    v < 0   the strap itself says that the heart rate is -v a minute

`counts_per_mv` has no meaning there, and is COUNTS_PER_MV.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable

from ingest.bounds import RR_FS_HZ, RR_LEAD

__all__ = ["COUNTS_PER_MV", "RR_FS_HZ", "RR_LEAD", "is_rr", "rr_samples"]

COUNTS_PER_MV = 1000.0
MAX_RR_MS, MAX_BPM = 32767, 999


def is_rr(lead: str) -> bool:
    """Whether a stream of this lead holds RR intervals instead of a trace."""
    return lead == RR_LEAD


def rr_samples(n: int, beats: Iterable[tuple[int, float]], bpm: int) -> bytes:
    """Return n samples (int16, little-endian): `beats` are (index, RR interval in s); `bpm` is the
    rate that the strap says, 0 for none. A beat on the last sample takes its place."""
    values = array("h", bytes(2 * n))
    values[-1] = -min(bpm, MAX_BPM)
    for at, rr_s in beats:
        values[at] = min(max(round(1000 * rr_s), 1), MAX_RR_MS)
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()
