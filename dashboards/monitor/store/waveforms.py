"""Stored signal for pages: every sample, or the range of values in each column of a screen.

Blocks on the wire, one after another: uint32 little-endian length of a header, the header as JSON,
then int16 little-endian values.

    {"t0", "fs", "counts_per_mv", "n"}                       n samples; -32768 is missing
    {"t0", "dt_ms", "counts_per_mv", "n", "envelope": true}  n pairs (lowest, highest), each of dt_ms; both -32768 where nothing is
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from dashboards.monitor.live.views import ms
from ingest.messages import Strip, Waveform, sample_offset_ns
from ingest.packing import MISSING, unpack
from stream_processor.sinks.base import Sink

LONGEST_NS = 11 * 10**9  # the longest stored block
_LENGTH = struct.Struct("<I")
Counts = npt.NDArray[np.int16]


class WaveformBlock(NamedTuple):
    """Consecutive samples."""

    start_ns: int
    fs_hz: float
    counts_per_mv: float
    samples: Counts


def blocks(sink: Sink, patient_id: str, start_ns: int, end_ns: int) -> Iterator[WaveformBlock]:
    """The stored samples with start_ns <= time < end_ns, in order of time."""
    for stored in sink.read(Waveform, patient_id, max(0, start_ns - LONGEST_NS), end_ns):
        first = max(0, _samples_before(start_ns - stored.start_ns, stored.fs_hz))
        last = min(stored.n, _samples_before(end_ns - stored.start_ns, stored.fs_hz))
        if first < last:
            begin_ns = stored.start_ns + sample_offset_ns(first, stored.fs_hz)
            yield WaveformBlock(
                begin_ns, stored.fs_hz, stored.counts_per_mv, unpack(stored.packed)[first:last]
            )


def strip_block(strip: Strip) -> WaveformBlock:
    """The samples of a strip."""
    return WaveformBlock(strip.start_ns, strip.fs_hz, strip.counts_per_mv, unpack(strip.packed))


def encode_block(block: WaveformBlock) -> bytes:
    """Encode a block of samples for the wire."""
    header = {
        "t0": ms(block.start_ns),
        "fs": block.fs_hz,
        "counts_per_mv": block.counts_per_mv,
        "n": block.samples.size,
    }
    return _encode(header, block.samples)


def envelope(sink: Sink, patient_id: str, start_ns: int, end_ns: int, columns: int) -> bytes:
    """The period in at most `columns` columns: one block of pairs, or every sample if there are
    fewer; no block if nothing is stored."""
    step_ns = (end_ns - start_ns) / columns
    low, high = np.full(columns, 32767, np.int16), np.full(columns, MISSING, np.int16)
    scale: float | None = None
    raw: list[bytes] = []
    for block in blocks(sink, patient_id, start_ns, end_ns):
        if step_ns * block.fs_hz < 2e9:
            raw.append(encode_block(block))
            continue
        scale = scale or block.counts_per_mv
        _put(block, start_ns, step_ns, scale, low, high)
    if scale is None:
        return b"".join(raw)
    low[high == MISSING] = MISSING
    header = {
        "t0": ms(start_ns),
        "dt_ms": step_ns / 1e6,
        "counts_per_mv": scale,
        "n": columns,
        "envelope": True,
    }
    return b"".join([_encode(header, np.column_stack([low, high])), *raw])


def decode_blocks(data: bytes) -> Iterator[tuple[dict[str, float], Counts]]:
    """(header, values) of each block: samples (n,) or pairs (n, 2). For tests and other clients."""
    at = 0
    while at < len(data):
        (length,) = _LENGTH.unpack_from(data, at)
        header = msgspec.json.decode(data[at + 4 : at + 4 + length])
        at += 4 + length
        width = 2 if header.get("envelope") else 1
        values = np.frombuffer(data, "<i2", header["n"] * width, at)
        at += values.nbytes
        yield header, values.reshape(-1, 2) if width == 2 else values


def _put(
    block: WaveformBlock, start_ns: int, step_ns: float, scale: float, low: Counts, high: Counts
) -> None:
    """Extend the range of each column by the block's samples."""
    x = block.samples
    if block.counts_per_mv != scale:
        scaled = np.clip(np.round(x * (scale / block.counts_per_mv)), -32767, 32767).astype(
            np.int16
        )
        x = np.where(x == MISSING, np.int16(MISSING), scaled)
    step, offset = 1e9 / block.fs_hz, block.start_ns - start_ns
    begin = int(offset / step_ns)
    stop = min(low.size, int((offset + (x.size - 1) * step) / step_ns) + 1)
    edges = (
        np.ceil((np.arange(begin, stop) * step_ns - offset) / step)
        .astype(np.int64)
        .clip(0, x.size - 1)
    )
    high[begin:stop] = np.maximum(high[begin:stop], np.maximum.reduceat(x, edges))
    known = np.where(x == MISSING, np.int16(32767), x)
    low[begin:stop] = np.minimum(low[begin:stop], np.minimum.reduceat(known, edges))


def _encode(header: Mapping[str, object], values: npt.NDArray[np.int16]) -> bytes:
    encoded = msgspec.json.encode(header)
    return _LENGTH.pack(len(encoded)) + encoded + values.astype("<i2", copy=False).tobytes()


def _samples_before(offset_ns: int, fs_hz: float) -> int:
    """Number of a block's samples before this time since its first sample."""
    n = max(0, int(offset_ns * fs_hz / 1e9))
    return n + 1 if sample_offset_ns(n, fs_hz) < offset_ns else n
