"""Bluetooth Low Energy links: find a device, subscribe, and yield its notifications until it is gone.

By bleak (Linux with BlueZ, macOS, Windows) and bleak-retry-connector, which knows the errors of
adapters that are worth another try. Commands to the device are left to the caller.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from ingest.clock import Clock
from ingest.gateway.base import LinkError, Packet
from ingest.gateway.extra import library

log = logging.getLogger(__name__)

SCAN_S = 15.0
ATTEMPTS = 3
LEAVE_S = 3.0  # for a last word to a device that may be gone
_HEART_RATE_SERVICE = "0000180d-0000-1000-8000-00805f9b34fb"


class Radio:
    """How devices are found and connected; tests put a virtual device in its place."""

    async def find(self, address: str, service: str, prefix: str) -> Any:
        """The device of an address or name (or its end); the first that offers a service if "".

        Raises LinkError if none is there.
        """
        bleak = library("bleak", "by Bluetooth")

        def wanted(device: Any, advert: Any) -> bool:
            name = device.name or advert.local_name or ""
            if address:
                return device.address.lower() == address.lower() or name.endswith(address)
            return name.startswith(prefix) and service in (*advert.service_uuids, "")

        try:
            found = await bleak.BleakScanner.find_device_by_filter(wanted, timeout=SCAN_S)
        except (bleak.exc.BleakError, OSError) as error:
            raise LinkError(
                f"Bluetooth does not work here: {error}", "Is an adapter there, and on?"
            ) from error
        if found is None:
            raise LinkError(
                f"no {address or prefix or 'heart rate strap'} in reach",
                "Wear it, wet its electrodes, and close other apps that are connected to it.",
            )
        return found

    async def connect(self, device: Any, disconnected: Callable[[Any], None]) -> Any:
        """A connected bleak client. Raises LinkError."""
        bleak = library("bleak", "by Bluetooth")
        retry = library("bleak_retry_connector", "by Bluetooth")
        try:
            return await retry.establish_connection(
                self.client_class(), device, device.name or device.address,
                disconnected_callback=disconnected, max_attempts=ATTEMPTS,
            )  # fmt: skip
        except (bleak.exc.BleakError, OSError, TimeoutError) as error:
            raise LinkError(
                f"{device.name or device.address} cannot be connected: {error}"
            ) from error

    def client_class(self) -> Any:
        """The class whose instances are clients."""
        return library("bleak", "by Bluetooth").BleakClient


class BleConnection:
    """A connected device: subscribe, ask, and wait for packets."""

    def __init__(self, client: Any, clock: Clock) -> None:
        self.client = client
        self._clock = clock
        self._queue: asyncio.Queue[Packet | None] = asyncio.Queue()

    def mark_disconnected(self) -> None:
        """Record that the link is lost."""
        self._queue.put_nowait(None)

    def has(self, uuid: str) -> bool:
        """Whether the device has a characteristic."""
        return self.client.services.get_characteristic(uuid) is not None

    async def read(self, uuid: str) -> bytes:
        """Read a characteristic's value."""
        return bytes(await self.client.read_gatt_char(uuid))

    async def write(self, uuid: str, data: bytes) -> None:
        """Write a characteristic, and wait for the device to say so."""
        await self.client.write_gatt_char(uuid, data, response=True)

    async def subscribe(self, channels: Mapping[str, str]) -> None:
        """Let notifications of {channel: characteristic} come as packets, as far as there are any."""
        for channel, uuid in channels.items():
            if self.has(uuid):
                await self.client.start_notify(uuid, self._taker(channel))

    def add(self, channel: str, data: bytes) -> None:
        """A packet as if it had been notified."""
        self._queue.put_nowait(Packet(self._clock.now_ns(), channel, data))

    async def packets(self) -> AsyncIterator[Packet]:
        """Yield notifications as packets. Raises LinkError when the link is lost."""
        while (packet := await self._queue.get()) is not None:
            yield packet
        raise LinkError("the Bluetooth link was lost")

    def _taker(self, channel: str) -> Callable[[Any, bytearray], None]:
        return lambda _, data: self.add(channel, bytes(data))


@asynccontextmanager
async def connected(
    radio: Radio, clock: Clock, address: str, service: str, prefix: str,
    leave: Callable[[BleConnection], Awaitable[None]],
) -> AsyncIterator[BleConnection]:  # fmt: skip
    """A device for as long as the block lasts; `leave` says goodbye to it. Raises LinkError."""
    bleak = library("bleak", "by Bluetooth")
    device = await radio.find(address, service, prefix)
    link: BleConnection | None = None

    def disconnected(_: Any) -> None:
        if link is not None:
            link.mark_disconnected()

    client = await radio.connect(device, disconnected)
    try:
        link = BleConnection(client, clock)
        if not client.is_connected:
            raise LinkError("the Bluetooth link was lost at once")
        yield link
    except (bleak.exc.BleakError, EOFError) as error:
        raise LinkError(f"{device.name or device.address}: {error}") from error
    finally:
        with suppress(Exception):  # whatever fails now, the link is over
            async with asyncio.timeout(LEAVE_S):
                if client.is_connected and link is not None:
                    await leave(link)
                await client.disconnect()


def check_wanted() -> None:
    """Raise CancelledError if this task was cancelled and a library has swallowed that, as
    asyncio.wait_for does before Python 3.12 if its result comes in the same moment."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
