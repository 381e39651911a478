"""A sensor that publishes its samples by MQTT 5, on a topic of its own.

Each message is JSON: {"time": seconds since 1970 of the last sample, "rate": Hz, "size": samples,
"samples": base64 of int16 little-endian, "microvolts_per_count": 1, "battery": 0-1, "contact": bool};
at most 300 samples; the last three may be missing. A sensor that can speak ecgwatch's own format
needs no gateway: it publishes to the ingest server's broker (docs/devices.md).
"""

from __future__ import annotations

import math
import ssl
from collections.abc import AsyncGenerator
from urllib.parse import unquote, urlsplit

import msgspec
import numpy as np

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ
from ingest.clock import Clock
from ingest.errors import BadInputError
from ingest.gateway.base import BadPacketError, LinkError, LiveBlock, LiveSource, Packet
from ingest.gateway.extra import library

MAX_SAMPLES = 300
KEPT_S = 3600  # how long the broker keeps messages while the gateway is away
AHEAD_S = 5.0  # a sensor's clock may be off by as much; further off, it is no wall time
PORTS = {"mqtt": 1883, "mqtts": 8883}


class SensorMessage(msgspec.Struct, frozen=True):
    """One message of a sensor."""

    time: float
    rate: float
    size: int
    samples: bytes
    microvolts_per_count: float = 1.0
    battery: float | None = None
    contact: bool | None = None


class Mqtt(LiveSource):
    """`address` is mqtt[s]://[USER:PASSWORD@]HOST[:PORT]/TOPIC."""

    needs = ("aiomqtt",)

    fs_hz = 0.0  # set from the first message

    def __init__(self, address: str, clock: Clock) -> None:
        super().__init__(address, clock)
        self._url = urlsplit(address)
        self._topic = unquote(self._url.path.lstrip("/"))
        if not self._url.hostname or not self._topic or "#" in address or "+" in self._topic:
            raise BadInputError(
                f"{address} names no MQTT topic", "Write mqtt://HOST[:PORT]/TOPIC, without + and #."
            )

    @property
    def name(self) -> str:
        return f"{self._url.hostname}/{self._topic}"

    async def packets(self) -> AsyncGenerator[Packet, None]:
        aiomqtt = library("aiomqtt", "mqtt")
        properties = library("paho.mqtt.properties", "mqtt").Properties
        packet_types = library("paho.mqtt.packettypes", "mqtt").PacketTypes
        session = properties(packet_types.CONNECT)
        session.SessionExpiryInterval = KEPT_S
        client = aiomqtt.Client(
            self._url.hostname,
            self._url.port or PORTS[self._url.scheme],
            username=self._url.username and unquote(self._url.username),
            password=self._url.password and unquote(self._url.password),
            identifier=f"ecgwatch-{self.name}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=False,
            properties=session,
            tls_context=ssl.create_default_context() if self._url.scheme == "mqtts" else None,
        )
        try:
            async with client:
                await client.subscribe(self._topic, qos=1)
                async for message in client.messages:
                    yield self.packet(bytes(message.payload))
        except aiomqtt.MqttError as error:
            raise LinkError(
                f"the MQTT broker {self._url.hostname}: {error}", "Is it running?"
            ) from error

    def decode(self, packet: Packet) -> LiveBlock:
        try:
            message = msgspec.json.decode(packet.data, type=SensorMessage)
        except msgspec.MsgspecError as error:
            raise BadPacketError(f"not a sensor's message: {error}") from error
        counts = np.frombuffer(message.samples[: len(message.samples) // 2 * 2], "<i2")
        if not 0 < len(counts) <= MAX_SAMPLES or len(message.samples) != 2 * message.size:
            raise BadPacketError(f"{len(message.samples)} bytes of samples for size {message.size}")
        if not MIN_FS_HZ <= message.rate <= MAX_FS_HZ or self.fs_hz not in (0.0, message.rate):
            raise BadPacketError(f"rate {message.rate:g} Hz: outside 100-1000, or not as before")
        if not math.isfinite(message.time) or not 0 <= message.time < 1e10:
            raise BadPacketError(f"time {message.time} is no time")
        self.fs_hz = message.rate
        self.wearing.contact = message.contact
        if message.battery is not None:
            self.wearing.battery = min(max(message.battery, 0.0), 1.0)
        taken_ns = round(message.time * 1e9)
        late_s = (packet.received_ns - taken_ns) / 1e9
        # Its clock tells wall time, so what the broker has kept is as good as what has just come.
        plausible = -AHEAD_S < late_s < KEPT_S + AHEAD_S
        microvolts = counts * message.microvolts_per_count
        return LiveBlock(microvolts, taken_ns if plausible else packet.received_ns, taken_ns)
