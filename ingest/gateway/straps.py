"""Bluetooth devices that people wear: Polar H10, Movesense, and any heart rate strap (RR only)."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator

from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.gateway.base import BadPacketError, LinkError, LiveBlock, LiveSource, Packet, RateBlock
from ingest.gateway.ble import BleConnection, Radio, check_wanted, connected
from ingest.gateway.codecs import heart_rate, movesense, polar
from ingest.messages.rr_channel import RR_FS_HZ

_BLUETOOTH = "0000{}-0000-1000-8000-00805f9b34fb"
HEART_RATE, BATTERY = _BLUETOOTH.format("2a37"), _BLUETOOTH.format("2a19")
HEART_RATE_SERVICE = _BLUETOOTH.format("180d")
_PMD = "fb005c8{}-02e7-f387-1cad-8acd2d8df0c8"
PMD_CONTROL, PMD_DATA = _PMD.format(1), _PMD.format(2)
_MOVESENSE = "3480{}-7185-4d5d-b431-630e7050e8f0"
MOVESENSE_SERVICE = _MOVESENSE.format("2252")
MOVESENSE_WRITE, MOVESENSE_NOTIFY = _MOVESENSE.format("0001"), _MOVESENSE.format("0002")
ANSWER_S = 10.0
CUT_FRAMES = 4  # unusable frames in a row after which the link is made anew


class Strap(LiveSource):
    """Base of all straps: heart rate, contact and battery by the standard services."""

    needs = ("bleak", "bleak_retry_connector")

    prefix, service = "", HEART_RATE_SERVICE
    default_name = "heart rate strap"

    def __init__(self, address: str, clock: Clock, radio: Radio | None = None) -> None:
        super().__init__(address, clock)
        self._radio = radio or Radio()

    @property
    def name(self) -> str:
        return self.address or self.default_name

    async def packets(self) -> AsyncGenerator[Packet, None]:
        leave = self._stop
        at = connected(self._radio, self.clock, self.address, self.service, self.prefix, leave)
        async with at as link:
            if link.has(BATTERY):
                link.add("battery", await link.read(BATTERY))
            await link.subscribe({"battery": BATTERY, "heart_rate": HEART_RATE})
            await self._start(link)
            check_wanted()
            async for packet in link.packets():
                yield packet

    def decode(self, packet: Packet) -> LiveBlock | RateBlock | None:
        if heart_rate.note(self.wearing, packet.channel, packet.data):
            return None
        return self._samples(packet)

    async def _start(self, link: BleConnection) -> None:
        """Ask for the trace."""

    async def _stop(self, link: BleConnection) -> None:
        """Tell the strap to stop sending."""

    def _samples(self, packet: Packet) -> LiveBlock | None:
        raise BadPacketError(f"nothing is known of channel {packet.channel!r}")


class HeartRateStrap(Strap):
    """Any strap with the standard heart rate service: rate and RR intervals, no trace."""

    trace = False
    fs_hz = RR_FS_HZ

    def decode(self, packet: Packet) -> RateBlock | None:
        if not heart_rate.note(self.wearing, packet.channel, packet.data):
            raise BadPacketError(f"nothing is known of channel {packet.channel!r}")
        if packet.channel != "heart_rate":
            return None
        bpm, contact, rr_s = heart_rate.heart_rate(packet.data)
        return RateBlock(packet.received_ns, bpm, rr_s, contact)


class PolarH10(Strap):
    """ECG at 130 Hz. The strap says nothing of its electrodes but by the contact of 2A37."""

    fs_hz = polar.FS_HZ
    prefix = "Polar H10"
    default_name = "Polar H10"

    def __init__(self, address: str, clock: Clock, radio: Radio | None = None) -> None:
        super().__init__(address, clock, radio)
        self._cut = 0

    async def _start(self, link: BleConnection) -> None:
        if not link.has(PMD_CONTROL) or not polar.has_ecg(await link.read(PMD_CONTROL)):
            raise LinkError(
                "this device streams no ECG", "Name it as a heart rate strap: heartrate:ADDRESS."
            )
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

        def on_notification(_: object, data: bytearray) -> None:
            if not answer.done() and data[1:3] == polar.START_ECG[:2]:
                answer.set_result(bytes(data))

        await link.client.start_notify(PMD_CONTROL, on_notification)
        await link.subscribe({"ecg": PMD_DATA})
        await link.write(PMD_CONTROL, polar.START_ECG)
        try:
            async with asyncio.timeout(ANSWER_S):
                polar.check_answer(await answer, polar.START_ECG[0])
        except (TimeoutError, BadPacketError) as error:
            raise LinkError(f"the strap does not start: {error or 'no answer'}") from error

    async def _stop(self, link: BleConnection) -> None:
        await link.write(PMD_CONTROL, polar.STOP_ECG)  # else it goes on sending, and drains

    def _samples(self, packet: Packet) -> LiveBlock:
        try:
            last_ns, microvolts = polar.ecg_frame(packet.data)
        except BadPacketError as error:
            self._cut += 1
            if self._cut % CUT_FRAMES == 0:
                remedy = "It is made anew; if it stays so, see docs/devices.md on the MTU."
                raise LinkError(f"no frame of this link can be used: {error}", remedy) from error
            raise
        self._cut = 0
        return LiveBlock(microvolts, packet.received_ns, last_ns)


class Movesense(Strap):
    """ECG at 200 Hz. The address may end in "@" and the microvolts of one count, because 0.38 is one
    client's assumption (ingest/gateway/codecs/movesense.py). Raises BadInputError if that is no number.
    """

    fs_hz = movesense.FS_HZ
    prefix, service = "Movesense", MOVESENSE_SERVICE
    default_name = "Movesense"

    def __init__(self, address: str, clock: Clock, radio: Radio | None = None) -> None:
        address, at, scale = address.partition("@")
        super().__init__(address, clock, radio)
        self._decoder = movesense.Decoder(
            _microvolts(scale) if at else movesense.MICROVOLTS_PER_COUNT
        )

    async def _start(self, link: BleConnection) -> None:
        if not link.has(MOVESENSE_NOTIFY):
            raise LinkError(
                "this device has no Movesense service", "Is its firmware the default one?"
            )
        await link.subscribe({"ecg": MOVESENSE_NOTIFY})
        await link.write(MOVESENSE_WRITE, movesense.SUBSCRIBE)

    async def _stop(self, link: BleConnection) -> None:
        await link.write(MOVESENSE_WRITE, movesense.UNSUBSCRIBE)

    def _samples(self, packet: Packet) -> LiveBlock | None:
        found = self._decoder.ecg(packet.data)
        return found and LiveBlock(found[1], packet.received_ns, found[0])


def _microvolts(text: str) -> float:
    try:
        scale = float(text)
    except ValueError:
        scale = math.nan
    if not 0 < scale < math.inf:
        raise BadInputError(
            f"movesense: @{text} is no scale",
            "Write microvolts per count behind the @: movesense:NAME@0.38.",
        )
    return scale
