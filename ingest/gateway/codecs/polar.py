"""Bytes of a Polar H10: its measurement data service (PMD).

The layouts are those of Polar's BLE SDK (technical documentation, "Online measurements"): a frame is

    byte 0      measurement, 0 for ECG
    bytes 1-8   time of the last sample, uint64, nanoseconds since 2000-01-01 by the strap's clock
    byte 9      frame type, 0
    then        samples, signed 24 bit, microvolts; all little-endian
"""

from __future__ import annotations

import numpy as np

from ingest.gateway.base import BadPacketError, MicroVolts

FS_HZ = 130.0
EPOCH_2000_NS = 946_684_800_000_000_000  # 2000-01-01 since 1970-01-01
FACTORY_NS = (
    1_546_300_800_000_000_000  # 2019-01-01: where its clock begins after a minute without power
)
NEEDED_MTU = 232  # 73 samples are 229 bytes, and ATT needs three

ECG = 0
START_ECG = bytes.fromhex("02 00 00 01 82 00 01 01 0E 00")  # 130 Hz, 14 bit
STOP_ECG = bytes([3, ECG])
ANSWER = 0xF0
SUCCESS, BAD_PARAMETER, ALREADY, BAD_MTU = 0, 5, 6, 10
FEATURES = 0x0F

_HEADER = 10


def ecg_frame(data: bytes) -> tuple[int, MicroVolts]:
    """(time of the last sample, ns since 1970 by the strap's clock; samples in uV, shape (n,)).

    Raises BadPacketError for another measurement, another frame type, and for a frame that was cut:
    with an ATT MTU below 232 the strap's frames arrive truncated.
    """
    if len(data) < _HEADER:
        raise BadPacketError(
            f"a frame of {len(data)} bytes is shorter than its header of {_HEADER}"
        )
    if data[0] != ECG:
        raise BadPacketError(f"measurement {data[0]} is not ECG (0)")
    if data[9] != 0:
        raise BadPacketError(f"frame type {data[9]} is not 0, the only one with plain samples")
    if len(data) == _HEADER or (len(data) - _HEADER) % 3:
        raise BadPacketError(
            f"a frame of {len(data)} bytes does not hold whole samples: it was cut. The connection's MTU must be at least {NEEDED_MTU}"
        )
    last_ns = int.from_bytes(data[1:9], "little") + EPOCH_2000_NS
    return last_ns, int24(data[_HEADER:])


def int24(data: bytes) -> MicroVolts:
    """Signed 24-bit little-endian values, shape (len(data) / 3,)."""
    raw = np.frombuffer(data, np.uint8).reshape(-1, 3)
    wide = np.zeros((len(raw), 4), np.uint8)
    wide[:, 1:] = raw  # into the high bytes, so that the sign is int32's
    return (wide.view("<i4")[:, 0] >> 8).astype(np.float64)


def check_answer(data: bytes, order: int) -> None:
    """Raise BadPacketError if the control point refused an order (2 start, 3 stop).

    "Already in that state" is no refusal: the strap may still stream from an earlier connection.
    """
    if len(data) < 4 or data[0] != ANSWER or data[1] != order:
        raise BadPacketError(f"control point answered {data[:8].hex(' ')} to order {order}")
    status = data[3]
    if status == BAD_MTU:
        raise BadPacketError(f"the strap refuses this connection's MTU; it needs {NEEDED_MTU}")
    if status not in (SUCCESS, ALREADY):
        raise BadPacketError(f"the strap refused order {order} with status {status}")


def has_ecg(features: bytes) -> bool:
    """Whether the control point's features say that the strap can stream ECG: the H9 cannot."""
    return len(features) > 1 and features[0] == FEATURES and bool(features[1] & 1)
