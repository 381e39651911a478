"""Chunks, status and events from an MQTT 5 broker.

A message's PUBACK goes to the MQTT broker once Kafka has the chunks, so that what is not safe yet comes
again after a crash of ours; the device hears of it on ".../reply". The session outlives us by a day: the
MQTT broker keeps what comes meanwhile, as far as its settings let it. No shared subscription: it would
break the order of a device's chunks.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import msgspec
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from ingest import wire
from ingest.errors import BadInputError, UnreachableError
from ingest.registry.records import DeviceRecord
from ingest.server.http import media_type, read_chunks, read_event, stream_id
from ingest.server.refusals import IngestRefusedError
from ingest.server.service import IngestService
from ingest.server.stream import Done, IngestStream
from ingest.wire import Reply, Status

log = logging.getLogger(__name__)
CLIENT_ID = "ecgwatch-ingest"
SESSION_S = 24 * 3600
RECEIVE_MAXIMUM = 2000  # messages that wait for Kafka; more stay with the MQTT broker
CONNECT_S = 10.0
_PORTS = {"mqtt": 1883, "mqtts": 8883}


class _Waiting(NamedTuple):
    """A message whose chunks Kafka does not have yet."""

    message: MQTTMessage
    done: list[Done]
    stream: IngestStream | None


class MqttSubscriber:
    """Runs beside the service: `start`, `stop`. paho talks to the broker in a thread of its own."""

    def __init__(self, url: str, service: IngestService) -> None:
        self._url, self._service = url, service
        self._where = _address(url)
        self._inbox: deque[MQTTMessage] = deque()
        self._woken = False
        self._news, self._settled = asyncio.Event(), asyncio.Event()
        self._waiting: deque[_Waiting] = deque()
        self._connected = threading.Event()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Connect and subscribe. Raises UnreachableError if the MQTT broker does not answer."""
        self._loop = asyncio.get_running_loop()
        self._client = self._make_client()
        self._tasks = [asyncio.create_task(self._take()), asyncio.create_task(self._acknowledge())]
        host, port, _ = self._where
        connect = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        connect.SessionExpiryInterval = SESSION_S
        connect.ReceiveMaximum = RECEIVE_MAXIMUM
        connect.MaximumPacketSize = wire.MAX_BODY + 64 * 1024
        try:
            await asyncio.to_thread(
                self._client.connect, host, port, 60, clean_start=False, properties=connect
            )
            self._client.loop_start()
            if not await asyncio.to_thread(self._connected.wait, CONNECT_S):
                raise TimeoutError("no answer to CONNECT")
        except OSError as error:
            await self.stop()
            remedy = "Is it running, and are name and password right? ECGWATCH_MQTT names it: mqtt://USER:PASSWORD@HOST:1883."
            raise UnreachableError(f"MQTT broker {host}:{port}: {error}", remedy) from error

    async def stop(self) -> None:
        """Leave; what Kafka does not have stays with the MQTT broker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _make_client(self) -> Client:
        client = Client(CallbackAPIVersion.VERSION2, CLIENT_ID, protocol=MQTTv5, manual_ack=True)
        split = urlsplit(self._url)
        if split.username:
            client.username_pw_set(unquote(split.username), unquote(split.password or ""))
        if split.scheme == "mqtts":
            client.tls_set()
        client.reconnect_delay_set(1, 10)
        client.on_connect, client.on_disconnect = self._on_connect, self._on_disconnect
        client.on_message = self._on_message
        return client

    # Called in paho's thread.

    def _on_connect(
        self,
        client: Client,
        _: Any,
        flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("MQTT broker: %s", reason)
            return
        client.subscribe(
            [(f"ecgwatch/v1/+/+/{what}", 1) for what in ("samples", "status", "event")]
        )
        self._connected.set()

    def _on_disconnect(
        self,
        client: Client,
        _: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("MQTT broker: %s; connecting again", reason)

    def _on_message(self, client: Client, _: Any, message: MQTTMessage) -> None:
        self._inbox.append(message)
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._news.set)

    # Called on the event loop.

    async def _take(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            self._woken = False
            while self._inbox:
                await self._service.outlet.ready()
                self._handle(self._inbox.popleft())
                if len(self._waiting) % 64 == 0:
                    await asyncio.sleep(0)  # others want the loop too

    def _handle(self, message: MQTTMessage) -> None:
        try:
            self._waiting.append(self._read(message))
            self._settled.set()
        except IngestRefusedError as refused:
            self._service.refusals.add(f"MQTT {message.topic[:100]}", refused)
            self._client.ack(message.mid, message.qos)  # it would come again for ever
            self._reply(message, refused.reply())

    def _read(self, message: MQTTMessage) -> _Waiting:
        _, _, _, name, what = message.topic.split("/")
        given, media = _properties(message)
        device = self._service.device(given.get("token", ""), f"MQTT {name}")
        if device.device_id != name:
            raise IngestRefusedError(
                403, f"the token is of device {device.device_id!r}", "Publish on its own topics."
            )
        payload = bytes(message.payload)
        if len(payload) > wire.MAX_BODY:
            raise IngestRefusedError(413, f"the message is longer than {wire.MAX_BODY} bytes")
        if what == "samples":
            chunks = read_chunks(payload, media)
            taken = self._service.book.take(device, stream_id(given.get("stream", "")), chunks)
            return _Waiting(message, taken.done, taken.stream)
        if what == "event":
            return _Waiting(
                message, [self._service.event(device, read_event(payload, media))], None
            )
        return _Waiting(message, self._status(device, payload), None)

    def _status(self, device: DeviceRecord, payload: bytes) -> list[Done]:
        if not payload:  # a retained status that was taken back
            return []
        try:
            status = msgspec.json.decode(payload, type=Status)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise IngestRefusedError(422, str(error)) from error
        if status.battery is not None and not 0 <= status.battery <= 1:
            raise IngestRefusedError(
                422, f"battery {status.battery} is outside 0-1", field="battery"
            )
        return self._service.book.status(device, status)

    async def _acknowledge(self) -> None:
        """In the order of arrival, as MQTT wants it."""
        while True:
            await self._settled.wait()
            self._settled.clear()
            while self._waiting:
                waiting = self._waiting[0]
                pending = [one for one in waiting.done if not one.done()]
                if pending:
                    await asyncio.wait(pending)
                self._waiting.popleft()
                if any(one.exception() is not None for one in waiting.done):
                    self._reply(
                        waiting.message,
                        Reply(status=429, problem="Kafka refused the message", retry_after_s=5.0),
                    )
                elif waiting.stream is not None:
                    self._reply(
                        waiting.message,
                        Reply(next_sample=waiting.stream.kept, released=waiting.stream.over),
                    )
                self._client.ack(waiting.message.mid, waiting.message.qos)

    def _reply(self, message: MQTTMessage, reply: Reply) -> None:
        topic = message.topic.rpartition("/")[0] + "/reply"
        self._client.publish(topic, msgspec.json.encode(reply), qos=0)


def _properties(message: MQTTMessage) -> tuple[dict[str, str], str]:
    """The user properties, and the media type."""
    properties = message.properties
    user = dict(getattr(properties, "UserProperty", []))
    return user, media_type(getattr(properties, "ContentType", ""))


def _address(url: str) -> tuple[str, int, str]:
    split = urlsplit(url)
    try:
        if split.scheme in _PORTS and split.hostname:
            return split.hostname, split.port or _PORTS[split.scheme], split.scheme
    except ValueError:  # the port
        pass
    raise BadInputError(
        f"MQTT broker {url!r}", "Write mqtt://HOST:1883 or mqtts://USER:PASSWORD@HOST:8883."
    )
