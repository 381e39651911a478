"""Interface of a live source of signal: a device that sends over a link that comes and goes.

A live source has two halves. `packets` is the link: it connects, yields what arrives as bytes, and
ends or raises when the link is lost; the gateway then calls it again. `decode` is the codec: it
turns one packet into samples, knows nothing of the link, and is therefore also what a recording of
packets is played through. docs/devices.md builds one for a device of a user's own.

Unlike the file Source (ingest/sources/base.py), a live source cannot be read again and has gaps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.clock import Clock

MicroVolts = NDArray[np.float64]  # shape (n,)


class Packet(msgspec.Struct, frozen=True, array_like=True):
    """Bytes as they arrived from a device, and when."""

    received_ns: int  # wall time of this machine
    channel: (
        str  # which of the device's data this is: "ecg", "heart_rate", "battery"; "link" ends one
    )
    data: bytes


LINK_LOST = "link"  # channel of the packet that a recording keeps where the link was lost


@dataclass(frozen=True)
class LiveBlock:
    """Consecutive samples of one lead, as a device sent them."""

    microvolts: MicroVolts
    received_ns: int  # wall time at which they arrived here
    last_ns: int | None = None  # time of the last sample by the device's clock, any origin
    first_sample: int | None = None  # the device's own count of samples; 0: it has started anew


@dataclass(frozen=True)
class RateBlock:
    """Heart beats that a strap without a trace has found."""

    received_ns: int  # wall time at which it arrived here
    bpm: int  # the strap's own rate a minute, 0 for none
    rr_s: tuple[float, ...]  # RR intervals since the block before, oldest first
    contact: bool | None = None  # None: the strap does not tell


@dataclass
class DeviceReport:
    """What a device reports beside its samples; the codec keeps it up to date."""

    contact: bool | None = None  # None: the device does not tell
    battery: float | None = None  # 0-1
    heart_rate: int | None = None  # beats per minute, counted by the device itself
    rr_s: list[float] = field(default_factory=list)  # RR intervals not yet read
    fault: str = ""


class BadPacketError(ValueError):
    """Bytes that are no packet of this device's; the text says why. They are counted and dropped."""


class LiveSource(ABC):
    """One device. Subclasses set `fs_hz` and implement `packets` and `decode`.

    `address` is what the user wrote behind the source's name: an address, a name, a port.
    """

    fs_hz: float  # nominal: what samples are resampled to
    lead: str = "ECG"
    trace: bool = True  # False: it sends heart rates only
    needs: tuple[str, ...] = ()  # packages of the extra `gateway`

    def __init__(self, address: str, clock: Clock) -> None:
        self.address, self.clock = address, clock
        self.wearing = DeviceReport()

    @property
    def name(self) -> str:
        """The device's name in status lines and logs."""
        return self.address

    @abstractmethod
    def packets(self) -> AsyncGenerator[Packet, None]:
        """Connect, and yield what arrives until the link is lost. Raises OSError,
        EOFError or LinkError."""

    @abstractmethod
    def decode(self, packet: Packet) -> LiveBlock | RateBlock | None:
        """The samples of a packet, or the beats of a source without a trace; None if it has none. Raises BadPacketError."""

    def packet(self, data: bytes, channel: str = "ecg") -> Packet:
        """Make a packet that has arrived just now."""
        return Packet(self.clock.now_ns(), channel, data)


class LinkError(Exception):
    """A link that could not be made, or was lost: what is wrong and what to do. It is tried again."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(f"{problem}. {remedy}" if remedy else problem)
        self.problem, self.remedy = problem, remedy
