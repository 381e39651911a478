"""An ECG stream of the lab streaming layer (LSL): OpenBCI, BITalino, simulators.

The inlet synchronises the sender's clock with this machine's, smooths its timestamps and keeps them
in order (flags clocksync, dejitter, monotonize). A stream that vanishes and comes back under the
same name is the same device.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import msgspec
import numpy as np

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.gateway.base import BadPacketError, LinkError, LiveBlock, LiveSource, Packet
from ingest.gateway.extra import library

FIND_S, PULL_S = 5.0, 0.2
MAX_SAMPLES = 1024  # of a pull
_MICROVOLTS = {
    "v": 1e6,
    "volts": 1e6,
    "mv": 1e3,
    "millivolts": 1e3,
    "uv": 1.0,
    "µv": 1.0,
    "μv": 1.0,
}
_MICROVOLTS |= {"microvolts": 1.0, "microvolt": 1.0, "millivolt": 1e3, "volt": 1e6, "nv": 1e-3}


class LslFormat(msgspec.Struct, frozen=True):
    """The format of a stream, in a packet of its own at the beginning of a link."""

    fs_hz: float
    microvolts_per_unit: float


class LslSamples(msgspec.Struct, frozen=True):
    """Samples of the ECG channel, float64 little-endian, and the time of the last one."""

    last_s: float
    values: bytes


class Lsl(LiveSource):
    """`address` is the stream's name; "": the first of type ECG."""

    needs = ("pylsl",)

    fs_hz = 0.0  # set from the stream's header
    _scale = 1.0

    @property
    def name(self) -> str:
        return self.address or "LSL stream"

    async def packets(self) -> AsyncGenerator[Packet, None]:
        pylsl = library("pylsl", "lsl")
        inlet, channel, format_ = await asyncio.to_thread(self._open, pylsl)
        try:
            yield self.packet(msgspec.msgpack.encode(format_), "format")
            while True:
                try:
                    values, times = await asyncio.to_thread(inlet.pull_chunk, PULL_S, MAX_SAMPLES)
                except pylsl.util.LostError as error:
                    raise LinkError("the LSL stream has vanished") from error
                if times:
                    lead = np.array(values, "<f8")[:, channel]
                    pulled = LslSamples(times[-1], lead.tobytes())
                    yield self.packet(msgspec.msgpack.encode(pulled), "ecg")
        finally:
            await asyncio.shield(asyncio.to_thread(inlet.close_stream))

    def decode(self, packet: Packet) -> LiveBlock | None:
        try:
            if packet.channel == "format":
                announced = msgspec.msgpack.decode(packet.data, type=LslFormat)
                self.fs_hz, self._scale = announced.fs_hz, announced.microvolts_per_unit
                return None
            pulled = msgspec.msgpack.decode(packet.data, type=LslSamples)
            values = np.frombuffer(pulled.values, "<f8")
        except (msgspec.MsgspecError, ValueError) as error:
            raise BadPacketError(f"not a packet of LSL: {error}") from error
        if not len(values) or not np.isfinite(values).all():
            raise BadPacketError("samples that are no numbers")
        return LiveBlock(values * self._scale, packet.received_ns, round(pulled.last_s * 1e9))

    def _open(self, pylsl: Any) -> tuple[Any, int, LslFormat]:
        """(inlet, index of the ECG channel, format). Raises LinkError."""
        key, value = ("name", self.address) if self.address else ("type", "ECG")
        found = pylsl.resolve_byprop(key, value, 1, FIND_S)
        if not found:
            raise LinkError(
                f"no LSL stream of {key} {value!r}", "Is its program running, on this network?"
            )
        flags = pylsl.proc_clocksync | pylsl.proc_dejitter | pylsl.proc_monotonize
        inlet = pylsl.StreamInlet(found[0], max_buflen=60, recover=False, processing_flags=flags)
        try:
            info = inlet.info(FIND_S)
            inlet.open_stream(FIND_S)
        except (pylsl.util.LostError, pylsl.util.TimeoutError) as error:
            raise LinkError("the LSL stream has vanished") from error
        fs_hz = float(info.nominal_srate())
        if not MIN_FS_HZ <= fs_hz <= MAX_FS_HZ:
            raise LinkError(
                f"the LSL stream {info.name()!r} has {fs_hz:g} Hz",
                f"Streams of {MIN_FS_HZ:g} to {MAX_FS_HZ:g} Hz can be used.",
            )
        channel, unit = _ecg_channel(info)
        scale = _MICROVOLTS.get(unit.lower())
        if scale is None:
            raise LinkError(
                f"the LSL stream {info.name()!r} says its unit is {unit!r}",
                "Its description must give the channel's unit: microvolts, millivolts or volts.",
            )
        return inlet, channel, LslFormat(fs_hz, scale)


def _ecg_channel(info: Any) -> tuple[int, str]:
    """(index, unit) of the first channel of type ECG, else of the first channel."""
    units: list[tuple[str, str]] = []
    channel = info.desc().child("channels").child("channel")
    for _ in range(info.channel_count()):
        units.append((channel.child_value("type"), channel.child_value("unit")))
        channel = channel.next_sibling("channel")
    index = next((i for i, (kind, _) in enumerate(units) if kind.upper() == "ECG"), 0)
    return index, units[index][1] if units else ""
