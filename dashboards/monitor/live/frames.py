"""Samples on the wire to the browser: one binary WebSocket message per chunk, little-endian, a
header of 48 bytes and then int16 samples.

    offset type     field
    0      uint8    1: a frame of samples
    1      uint8    flags: 1 lead off, 2 end of the stream, 4 sent before and sent again to a page that begins to watch
    2      uint16   0
    4      uint32   number of the patient in this server (the "patient" message names it)
    8      uint32   number of the stream: it changes when the patient's stream starts again, and the old trace is then wiped
    12     uint32   n, number of samples
    16     float64  time of the first sample, milliseconds since the Unix epoch
    24     float64  index of the first sample since the start of the stream, at the frame's own sampling frequency
    32     float64  sampling frequency, Hz, at most 250
    40     float32  counts per mV
    44     uint32   0
    48     int16    n samples; sample i belongs to index first + i

Streams above 250 Hz are thinned by a whole factor k on a grid fixed by the stream's sample 0. Of
each k samples the one farthest from the chunk's median is sent, so that the height of an R peak is
kept and every point drawn is a sample that was measured; it is drawn at most (k - 1)/fs (3 ms at
1000 Hz) from its time. This is for the eye only: nothing is ever measured on it.
"""

from __future__ import annotations

import math
import struct
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ingest.messages import SampleChunk, sample_offset_ns

MAX_FS_HZ = 250.0
LEAD_OFF, END, PAST = 1, 2, 4
_HEADER = struct.Struct("<BBHIIIdddfI")
_KIND = 1


class Frame(NamedTuple):
    """A decoded frame, as the page sees it."""

    patient: int
    stream: int
    t0_ms: float
    first: int
    fs_hz: float
    counts_per_mv: float
    samples: npt.NDArray[np.int16]
    flags: int


def encode_chunk(chunk: SampleChunk, patient: int, stream: int, *, past: bool = False) -> bytes:
    """Encode a chunk as a frame. A chunk without samples (the end of a stream) gives a frame
    without samples."""
    k = max(1, math.ceil(chunk.fs_hz / MAX_FS_HZ))
    first, samples = decimate(chunk.counts(), chunk.first_sample, k)
    t0_ns = chunk.t0_ns + sample_offset_ns(first * k - chunk.first_sample, chunk.fs_hz)
    flags = (LEAD_OFF if chunk.lead_off else 0) | (END if chunk.end else 0) | (PAST if past else 0)
    header = _HEADER.pack(
        _KIND,
        flags,
        0,
        patient,
        stream,
        samples.size,
        t0_ns / 1e6,
        first,
        chunk.fs_hz / k,
        chunk.counts_per_mv,
        0,
    )
    return header + samples.astype("<i2", copy=False).tobytes()


def decode_frame(data: bytes) -> Frame:
    """Decode a frame, for tests and other clients. Raises ValueError if the bytes are no frame."""
    if len(data) < _HEADER.size:
        raise ValueError(f"{len(data)} bytes are no frame")
    kind, flags, _, patient, stream, n, t0_ms, first, fs_hz, counts_per_mv, _ = _HEADER.unpack_from(
        data
    )
    if kind != _KIND or len(data) != _HEADER.size + 2 * n:
        raise ValueError(f"kind {kind}, {n} samples and {len(data)} bytes are no frame")
    return Frame(
        patient,
        stream,
        t0_ms,
        int(first),
        fs_hz,
        counts_per_mv,
        np.frombuffer(data, "<i2", offset=_HEADER.size),
        flags,
    )


def decimate(x: npt.NDArray[np.int16], first: int, k: int) -> tuple[int, npt.NDArray[np.int16]]:
    """Keep one of k samples: (index of the first kept one on the thinned grid, the samples).

    x is (n,), first the index of x[0]. A group of k that the chunk's end cuts belongs to the chunk
    in which it begins.
    """
    index = -(-first // k)
    if k == 1 or x.size == 0:
        return index, x
    x = x[index * k - first :]
    if x.size == 0:
        return index, x
    groups = np.pad(x, (0, -x.size % k), mode="edge").reshape(-1, k)
    farthest = np.abs(groups - float(np.median(x))).argmax(axis=1)
    return index, groups[np.arange(len(groups)), farthest]
