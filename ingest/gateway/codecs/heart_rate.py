"""Bytes of the standard services that every strap has: heart rate (180D) and battery (180F).

Heart Rate Measurement, 2A37 (Bluetooth SIG, Heart Rate Service 1.0, section 3.1.1): flags, then bit
0 the rate has 16 bits, bit 1 contact, bit 2 contact is supported, bit 3 energy, bit 4 RR intervals.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

from ingest.gateway.base import BadPacketError, DeviceReport

MAX_RR_HELD = 300  # intervals kept for the status line
_WIDE, _CONTACT, _CONTACT_TOLD, _ENERGY, _RR = 1, 2, 4, 8, 16


class HeartRate(NamedTuple):
    """One measurement."""

    bpm: int
    contact: bool | None  # None: the strap does not tell
    rr_s: tuple[float, ...]


def heart_rate(data: bytes) -> HeartRate:
    """Decode a 2A37 notification. Raises BadPacketError for one that is cut."""
    flags = data[0] if data else 0
    at = 3 if flags & _WIDE else 2
    if len(data) < at + (2 if flags & _ENERGY else 0):
        raise BadPacketError(f"a heart rate of {len(data)} bytes with flags {flags:#04x} is cut")
    bpm = int.from_bytes(data[1:at], "little")
    at += 2 if flags & _ENERGY else 0
    rest = data[at:] if flags & _RR else b""
    if len(rest) % 2:
        raise BadPacketError(f"RR intervals of {len(rest)} bytes are cut")
    rr_s = tuple(int.from_bytes(rest[i : i + 2], "little") / 1024 for i in range(0, len(rest), 2))
    contact = bool(flags & _CONTACT) if flags & _CONTACT_TOLD else None
    return HeartRate(bpm, contact, rr_s)


def battery(data: bytes) -> float:
    """The battery level, 0-1. Raises BadPacketError."""
    if len(data) != 1 or data[0] > 100:
        raise BadPacketError(f"battery level {data[:8].hex(' ')} is not one byte from 0 to 100")
    return data[0] / 100


def note(wearing: DeviceReport, channel: str, data: bytes) -> bool:
    """Keep what a packet of one of these services says; False if it is of another channel."""
    if channel == "battery":
        wearing.battery = battery(data)
    elif channel == "heart_rate":
        measured = heart_rate(data)
        wearing.heart_rate, wearing.contact = measured.bpm, measured.contact
        wearing.rr_s = [*wearing.rr_s, *measured.rr_s][-MAX_RR_HELD:]
    else:
        return False
    return True


def irregularity(rr_s: list[float]) -> float | None:
    """Share of successive RR intervals that differ by more than 10 %; None for fewer than 30.

    A hint at an irregular rhythm and no more: without a trace nobody can say which rhythm it is.
    """
    if len(rr_s) < 30:
        return None
    steps = [abs(b - a) > 0.1 * a for a, b in pairwise(rr_s)]
    return sum(steps) / len(steps)
