"""Packs samples into compact bytes for storage: successive differences, then zlib (about half the
size of the int16 samples)."""

from __future__ import annotations

import zlib

import numpy as np
import numpy.typing as npt

MISSING = -32768  # value of a sample that never arrived
_LEVEL = 1


def pack(counts: npt.NDArray[np.int16]) -> bytes:
    """Pack samples (n,) into bytes; `unpack` restores them exactly."""
    # a difference beyond int16 wraps around, and `unpack` wraps it back
    steps = np.diff(counts.astype("<i2", copy=False), prepend=np.int16(0))
    return zlib.compress(steps.tobytes(), _LEVEL)


def unpack(packed: bytes) -> npt.NDArray[np.int16]:
    """Unpack samples (n,). Raises ValueError for bytes that `pack` did not make."""
    try:
        steps = np.frombuffer(zlib.decompress(packed), dtype="<i2")
    except zlib.error as error:
        raise ValueError(f"not packed samples: {error}") from error
    return np.cumsum(steps, dtype=np.int16)
