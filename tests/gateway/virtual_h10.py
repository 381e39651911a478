"""A virtual Polar H10 without radio: bleak talks to it through bumble, in one process.

    PolarH10 (ours) - bleak - Backend - bumble central <- LocalLink -> bumble peripheral - VirtualH10

It proves the whole client but radio timing, BlueZ's MTU, and the frames of a real strap.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Sequence
from typing import Any

from bleak import BleakClient
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bumble.controller import Controller
from bumble.core import BaseBumbleError as BumbleError
from bumble.device import Connection, Device, Peer
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink

from ingest.gateway.ble import Radio
from ingest.gateway.codecs.polar import EPOCH_2000_NS

PMD = "FB005C8{}-02E7-F387-1CAD-8ACD2D8DF0C8"
PER_FRAME = 73
DO = Characteristic.Properties


def bumble_device(link: LocalLink, address: str, name: str) -> Device:
    controller = Controller(name, link=link, public_address=address)
    return Device(
        name=name, address=Address(address), host=Host(controller, AsyncPipeSink(controller))
    )


class Air:
    """The radio that straps and the gateway share. `mtu` is what both sides agree on."""

    def __init__(self) -> None:
        self.link = LocalLink()
        self.central = bumble_device(self.link, "F1:F1:F1:F1:F1:F1", "central")
        self.mtu = 247
        self.connecting = asyncio.Lock()

    async def power_on(self) -> None:
        await self.central.power_on()


class VirtualStrap:
    """A strap with the two standard services: heart rate and battery."""

    def __init__(self, air: Air, name: str, address: str) -> None:
        self.name, self.address = name, address
        self._device = bumble_device(air.link, address, name)
        self._rate = Characteristic("2A37", DO.NOTIFY, Characteristic.READABLE, b"")
        level = Characteristic("2A19", DO.READ | DO.NOTIFY, Characteristic.READABLE, bytes([93]))
        self._device.add_services([Service("180D", [self._rate]), Service("180F", [level])])

    async def power_on(self) -> None:
        await self._device.power_on()
        await self._device.start_advertising(auto_restart=True)

    async def lose_link(self) -> None:
        """Out of reach."""
        for connection in list(self._device.connections.values()):
            await connection.disconnect()

    async def send_rate(self, bpm: int, contact: bool, rr_s: Sequence[float] | None = None) -> None:
        """A heart rate, with its RR intervals: one that fits the rate unless others are given."""
        flags = 0x10 | 0x04 | 0x02 * contact
        rr = [61440 // bpm] if rr_s is None else [round(1024 * one_s) for one_s in rr_s]
        data = struct.pack(f"<BB{len(rr)}H", flags, bpm, *rr)
        await self._device.notify_subscribers(self._rate, data)


class VirtualH10(VirtualStrap):
    """The H10: its answers at the control point, and the frames that a test makes."""

    def __init__(self, air: Air, number: int = 1) -> None:
        address = ":".join([f"F0:{number:02X}"] + ["F0"] * 4)
        super().__init__(air, f"Polar H10 {number:08d}", address)
        self.streaming = asyncio.Event()
        self.orders: list[str] = []
        self.refuse_with = 0
        both = Characteristic.READABLE | Characteristic.WRITEABLE
        features = CharacteristicValue(
            read=lambda _: bytes([0x0F, 0x05]) + bytes(15), write=self._answer
        )
        self._control = Characteristic(
            PMD.format(1), DO.READ | DO.WRITE | DO.INDICATE, both, features
        )
        self._data = Characteristic(PMD.format(2), DO.NOTIFY, Characteristic.READABLE, b"")
        self._device.add_services([Service(PMD.format(0), [self._control, self._data])])

    async def lose_link(self) -> None:
        """Out of reach."""
        self.streaming.clear()
        await super().lose_link()

    async def send(self, microvolts: list[int], last_ns: int) -> None:
        """An ECG frame; `last_ns` since 1970 by the strap's clock."""
        packed = b"".join(v.to_bytes(3, "little", signed=True) for v in microvolts)
        head = b"\0" + struct.pack("<Q", last_ns - EPOCH_2000_NS) + b"\0"
        await self._device.notify_subscribers(self._data, head + packed)

    def _answer(self, _: Connection, request: bytes) -> None:
        self.orders.append(request.hex(" "))
        status = self.refuse_with or (6 if request[0] == 2 and self.streaming.is_set() else 0)
        if not status and request[0] == 2:
            self.streaming.set()
        if request[0] == 3:
            self.streaming.clear()
        said = bytes([0xF0, request[0], request[1], status, 0])
        asyncio.ensure_future(self._device.indicate_subscribers(self._control, said))  # noqa: RUF006


def _uuid128(uuid: Any) -> str:
    text = uuid.to_hex_str("-").lower()
    return text if len(uuid.to_bytes()) == 16 else f"0000{text}-0000-1000-8000-00805f9b34fb"


def backend_of(air: Air) -> type[BaseBleakClient]:
    """bleak over bumble's GATT client."""

    class Backend(BaseBleakClient):
        connection: Connection | None = None
        peer: Peer

        name = property(lambda self: self.address)
        mtu_size = property(lambda self: self.peer.gatt_client.mtu)
        is_connected = property(lambda self: self.connection is not None)

        async def connect(self, pair: bool, **_: Any) -> None:
            try:
                async with air.connecting:  # a controller makes one connection at a time
                    self.connection = await air.central.connect(self.address)
            except BumbleError as error:
                raise BleakError(str(error)) from error
            self.connection.on("disconnection", lambda *_: self._gone())
            self.peer = Peer(self.connection)
            await self.peer.request_mtu(air.mtu)
            await self.peer.discover_services()
            self.services = BleakGATTServiceCollection()
            for s in self.peer.services:
                service = BleakGATTService(s, s.handle, _uuid128(s.uuid))
                self.services.add_service(service)
                for c in await s.discover_characteristics():
                    can = [p.name.lower().replace("_", "-") for p in DO if c.properties & p]
                    it = BleakGATTCharacteristic(
                        c, c.handle, _uuid128(c.uuid), can, lambda: 20, service
                    )
                    self.services.add_characteristic(it)

        def _gone(self) -> None:
            self.connection = None
            if self._disconnected_callback:
                self._disconnected_callback()

        async def disconnect(self) -> None:
            if self.connection:
                await self.connection.disconnect()

        async def read_gatt_char(self, c: Any, **_: Any) -> bytearray:
            return bytearray(await self.peer.read_value(c.obj))

        async def write_gatt_char(self, c: Any, data: Any, response: bool) -> None:
            await self.peer.write_value(c.obj, bytes(data), with_response=response)

        async def start_notify(self, c: Any, callback: Any, **_: Any) -> None:
            await self.peer.subscribe(c.obj, lambda value: callback(bytearray(value)))

        async def stop_notify(self, c: Any) -> None:
            await self.peer.unsubscribe(c.obj)

        async def pair(self, *_: Any, **__: Any) -> None:
            raise NotImplementedError

        async def unpair(self) -> None:
            raise NotImplementedError

        async def read_gatt_descriptor(self, *_: Any, **__: Any) -> bytearray:
            raise NotImplementedError

        async def write_gatt_descriptor(self, *_: Any) -> None:
            raise NotImplementedError

    return Backend


class BumbleRadio(Radio):
    """Finds the virtual straps of the air by name or address, and connects them through bleak."""

    def __init__(self, air: Air, straps: Sequence[VirtualStrap]) -> None:
        self.air, self.straps = air, straps

    async def find(self, address: str, service: str, prefix: str) -> BLEDevice:
        strap = next(s for s in self.straps if s.name.endswith(address) or s.address == address)
        return BLEDevice(strap.address, strap.name, details=None)

    def client_class(self) -> Any:
        backend = backend_of(self.air)

        class Client(BleakClient):
            def __init__(self, device: Any, **more: Any) -> None:
                super().__init__(device, backend=backend, **more)

        return Client
