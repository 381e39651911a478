"""The connection of the ingest server to an MQTT 5 broker: made again whenever it is lost."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Callable
from typing import NamedTuple, cast

from ingest.clock import Clock
from ingest.server import mqtt_packets as packets
from ingest.server.mqtt_packets import PacketReader, Publish

log = logging.getLogger(__name__)
CLIENT_ID = "ecgwatch-ingest"
SESSION_S = 24 * 3600
RECEIVE_MAXIMUM = 2000  # messages that wait for Kafka; more stay with the MQTT broker
KEEP_ALIVE_S = 60
CONNECT_S = 10.0
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 10.0
_FAILURE = 0x80  # reason codes from here on


class Address(NamedTuple):
    """Where the MQTT broker is, and who we are there."""

    host: str
    port: int
    tls: bool
    user: str
    password: str


class Link(asyncio.Protocol):
    """One connection. `ready` is done once it is subscribed, or raises OSError; `gone` is set when it is lost."""

    def __init__(
        self, address: Address, filters: list[str], longest: int, clock: Clock,
        take: Callable[[Link, Publish], None],
    ) -> None:  # fmt: skip
        self._address, self._filters, self._longest, self._clock = address, filters, longest, clock
        self._take, self._reader = take, PacketReader(longest)
        self._transport: asyncio.Transport | None = None
        self.heard_s = clock.steady_s()
        self.keep_alive_s = KEEP_ALIVE_S
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gone = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass
        where = self._address
        connect = packets.connect(
            CLIENT_ID, where.user, where.password, keep_alive_s=KEEP_ALIVE_S,
            session_s=SESSION_S, receive_maximum=RECEIVE_MAXIMUM, longest=self._longest,
        )  # fmt: skip
        self.write(connect)

    def data_received(self, data: bytes) -> None:
        self.heard_s = self._clock.steady_s()
        try:
            for first, body in self._reader.feed(data):
                self._packet(first, body)
        except (ValueError, IndexError) as error:
            self.lose(f"it does not speak MQTT 5: {error}")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(str(error or "the connection was closed"))
        self.gone.set()

    def write(self, data: bytes) -> None:
        """Send packets, if the connection still is."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def lose(self, why: str) -> None:
        """End the connection."""
        self._fail(why)
        if self._transport is not None:
            self._transport.abort()

    async def leave(self) -> None:
        """Say goodbye, and wait for the end."""
        self.write(packets.GOODBYE)
        if self._transport is not None:
            self._transport.close()
            await self.gone.wait()

    async def keep_alive(self) -> None:
        """Ask for a sign of life from time to time until the connection is lost."""
        while not self.gone.is_set():
            await asyncio.sleep(self.keep_alive_s / 3)
            if self._clock.steady_s() - self.heard_s > 1.5 * self.keep_alive_s:
                self.lose("it does not answer any more")
            self.write(packets.PINGREQ)

    def _packet(self, first: int, body: bytes) -> None:
        kind = first >> 4
        if kind == packets.PUBLISH:
            self._take(self, packets.publish(first, body))
        elif kind == packets.CONNACK:
            reason, accepted = packets.connack(body)
            if reason >= _FAILURE:
                return self.lose(f"it refuses the connection (reason {reason:#04x})")
            self.keep_alive_s = accepted.server_keep_alive_s or self.keep_alive_s
            self.write(packets.subscribe(1, self._filters))
        elif kind == packets.SUBACK:
            if max(body[-len(self._filters) :]) >= _FAILURE:
                return self.lose("it does not let us subscribe")
            if not self.ready.done():
                self.ready.set_result(None)
        elif kind == packets.DISCONNECT:
            self.lose(f"it ends the connection (reason {body[0] if body else 0:#04x})")
        return None

    def _fail(self, why: str) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError(why))
        elif not self.gone.is_set():
            log.warning("MQTT broker: %s; connecting again", why)


async def linked(
    address: Address, filters: list[str], longest: int, clock: Clock,
    take: Callable[[Link, Publish], None],
) -> Link:  # fmt: skip
    """A subscribed connection. Raises OSError."""
    context = ssl.create_default_context() if address.tls else None

    async with asyncio.timeout(CONNECT_S):
        _, link = await asyncio.get_running_loop().create_connection(
            lambda: Link(address, filters, longest, clock, take),
            address.host,
            address.port,
            ssl=context,
        )
        try:
            await link.ready
        except BaseException:
            link.lose("not wanted any more")
            raise
    return link
