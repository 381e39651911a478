"""Bytes of a Movesense sensor: its GATT sensor data service.

    subscribe   01 REF "/Meas/ECG/200"       stop   02 REF
    data        02 REF, uint32 milliseconds of the first sample, 16 x int32 counts; little-endian

Unverified, because no sensor was at hand: 0.38 uV per count is what one client assumes (therefore a
setting, ingest/gateway/straps.py), and that the time is that of the packet's first sample.
"""

from __future__ import annotations

import numpy as np

from ingest.gateway.base import BadPacketError, MicroVolts

FS_HZ = 200.0
MICROVOLTS_PER_COUNT = 0.38
SAMPLES = 16
REFERENCE = 99  # names the subscription; any byte
SUBSCRIBE = bytes([1, REFERENCE]) + b"/Meas/ECG/200"
UNSUBSCRIBE = bytes([2, REFERENCE])

_DATA, _HEADER = 2, 6
_WRAP_MS = 2**32


class Decoder:
    """Keeps how often the sensor's 32-bit milliseconds have wrapped around: every 49.7 days."""

    def __init__(self, microvolts_per_count: float = MICROVOLTS_PER_COUNT) -> None:
        self._scale, self._wraps, self._before_ms = microvolts_per_count, 0, 0

    def ecg(self, data: bytes) -> tuple[int, MicroVolts] | None:
        """(time of the last sample, ns by the sensor's clock; samples in uV); None for an answer.

        Raises BadPacketError.
        """
        if len(data) < 2 or data[1] != REFERENCE:
            raise BadPacketError(f"{data[:8].hex(' ')} does not belong to subscription {REFERENCE}")
        if data[0] != _DATA:
            return None
        if len(data) != _HEADER + 4 * SAMPLES:
            raise BadPacketError(
                f"a packet of {len(data)} bytes does not hold {SAMPLES} samples: it was cut"
            )
        ms = int.from_bytes(data[2:_HEADER], "little")
        if ms + _WRAP_MS // 2 < self._before_ms:
            self._wraps += 1
        self._before_ms = ms
        first_ns = (ms + self._wraps * _WRAP_MS) * 1_000_000
        counts = np.frombuffer(data, "<i4", offset=_HEADER).astype(np.float64)
        return first_ns + round((SAMPLES - 1) * 1e9 / FS_HZ), counts * self._scale
