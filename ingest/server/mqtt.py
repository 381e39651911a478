"""Chunks, status and events from an MQTT 5 broker.

A message's PUBACK goes to the MQTT broker once Kafka has the chunks, so that what is not safe yet comes
again after a crash of ours; the device hears of it on ".../reply". The session outlives us by a day: the
MQTT broker keeps what comes meanwhile, as far as its settings let it. No shared subscription: it would
break the order of a device's chunks.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec

from ingest import wire
from ingest.errors import BadInputError, UnreachableError
from ingest.registry.records import DeviceRecord
from ingest.server import mqtt_packets as packets
from ingest.server.http import media_type, read_chunks, read_event, stream_id
from ingest.server.mqtt_link import FIRST_WAIT_S, LONGEST_WAIT_S, Address, Link, linked
from ingest.server.mqtt_packets import Publish
from ingest.server.refusals import IngestRefusedError
from ingest.server.service import IngestService
from ingest.server.stream import Done, IngestStream
from ingest.wire import Reply, Status

V = TypeVar("V")
TURN = 64  # messages between two looks at what else the loop has to do
MAX_PACKET = wire.MAX_BODY + 64 * 1024
_PORTS = {"mqtt": 1883, "mqtts": 8883}
_FILTERS = [f"ecgwatch/v1/+/+/{what}" for what in ("samples", "status", "event")]
_REMEMBERED = 10_000  # topics and properties that have been read


class _Topic(NamedTuple):
    """The parts of a topic's name."""

    device: str
    what: str
    reply: bytes  # the topic of our answers


class _Sender(NamedTuple):
    """The token, stream and media type in a message's properties."""

    token: str
    stream: str
    media: str


class _Waiting(NamedTuple):
    """A message whose chunks Kafka does not have yet, and the connection that it came by."""

    link: Link
    message: Publish
    done: list[Done]
    stream: IngestStream | None


class MqttSubscriber:
    """Runs beside the service: `start`, `stop`."""

    def __init__(self, url: str, service: IngestService) -> None:
        self._service = service
        self._address = _address(url)
        self._inbox: deque[tuple[Link, Publish]] = deque()
        self._news, self._settled = asyncio.Event(), asyncio.Event()
        self._waiting: deque[_Waiting] = deque()
        self._topics: dict[bytes, _Topic] = {}
        self._senders: dict[bytes, _Sender] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._link: Link | None = None

    async def start(self) -> None:
        """Connect and subscribe. Raises UnreachableError if the MQTT broker does not answer."""
        try:
            link = await self._connect()
        except OSError as error:
            remedy = "Is it running, and are name and password right? ECGWATCH_MQTT names it: mqtt://USER:PASSWORD@HOST:1883."
            host, port = self._address[:2]
            raise UnreachableError(
                f"MQTT broker {host}:{port}: {error or 'no answer'}", remedy
            ) from error
        self._tasks = [
            asyncio.create_task(self._stay(link)),
            asyncio.create_task(self._take()),
            asyncio.create_task(self._acknowledge()),
        ]

    async def stop(self) -> None:
        """Leave; what Kafka does not have stays with the MQTT broker."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._link is not None:
            await self._link.leave()

    async def _connect(self) -> Link:
        self._link = await linked(
            self._address, _FILTERS, MAX_PACKET, self._service.clock, self._arrived
        )
        return self._link

    async def _stay(self, link: Link) -> None:
        """Connect again whenever the connection is lost."""
        while True:
            keeping = asyncio.create_task(link.keep_alive())
            try:
                await link.gone.wait()
            finally:
                keeping.cancel()
            wait_s = FIRST_WAIT_S
            while True:
                await asyncio.sleep(wait_s)
                try:
                    link = await self._connect()
                    break
                except OSError:
                    wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _arrived(self, link: Link, message: Publish) -> None:
        self._inbox.append((link, message))
        self._news.set()

    async def _take(self) -> None:
        outlet = self._service.outlet
        while True:
            await self._news.wait()
            self._news.clear()
            taken = 0
            while self._inbox:
                if outlet.away:
                    await outlet.ready()
                self._handle(*self._inbox.popleft())
                taken += 1
                if taken % TURN == 0:
                    await asyncio.sleep(0)  # others want the loop too

    def _handle(self, link: Link, message: Publish) -> None:
        try:
            self._waiting.append(self._read(link, message))
            self._settled.set()
        except IngestRefusedError as refused:
            topic = message.topic[:100].decode(errors="replace")
            self._service.refusals.add(f"MQTT {topic}", refused)
            # acknowledged, for it would come again for ever
            link.write(_reply(self._topic(message.topic), refused.reply()) + _puback(message))

    def _read(self, link: Link, message: Publish) -> _Waiting:
        topic = self._topic(message.topic)
        sender = self._sender(message.properties)
        device = self._service.device(sender.token, f"MQTT {topic.device}")
        if device.device_id != topic.device:
            raise IngestRefusedError(
                403, f"the token is of device {device.device_id!r}", "Publish on its own topics."
            )
        payload = message.payload
        if len(payload) > wire.MAX_BODY:
            raise IngestRefusedError(413, f"the message is longer than {wire.MAX_BODY} bytes")
        if topic.what == "samples":
            chunks = read_chunks(payload, sender.media)
            taken = self._service.book.take(device, stream_id(sender.stream), chunks)
            return _Waiting(link, message, taken.done, taken.stream)
        if topic.what == "event":
            event = self._service.event(device, read_event(payload, sender.media))
            return _Waiting(link, message, [event], None)
        return _Waiting(link, message, self._status(device, payload), None)

    def _topic(self, raw: bytes) -> _Topic:
        found = self._topics.get(raw)
        if found is None:
            # the broker sends what our filters let through: five levels
            _, _, _, name, what = raw.decode(errors="replace").split("/")
            found = _Topic(name, what, raw.rpartition(b"/")[0] + b"/reply")
            _remember(self._topics, raw, found)
        return found

    def _sender(self, raw: bytes) -> _Sender:
        found = self._senders.get(raw)
        if found is None:
            try:
                sent_properties = packets.properties(raw)
            except ValueError as error:
                raise IngestRefusedError(
                    422, str(error), "Send user properties as MQTT 5 says."
                ) from error
            media = media_type(sent_properties.content_type)
            found = _Sender(
                sent_properties.user.get("token", ""), sent_properties.user.get("stream", ""), media
            )
            _remember(self._senders, raw, found)
        return found

    def _status(self, device: DeviceRecord, payload: bytes) -> list[Done]:
        if not payload:  # an empty payload clears a retained status
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
        """Acknowledge in the order of arrival, as MQTT demands."""
        while True:
            await self._settled.wait()
            self._settled.clear()
            answers: dict[Link, bytearray] = {}
            while self._waiting:
                waiting = self._waiting[0]
                pending = [one for one in waiting.done if not one.done()]
                if pending:
                    _send(answers)
                    await asyncio.wait(pending)
                self._waiting.popleft()
                answers.setdefault(waiting.link, bytearray()).extend(self._answer(waiting))
            _send(answers)

    def _answer(self, waiting: _Waiting) -> bytes:
        """The reply, if there is one, and the PUBACK. Of a connection that is gone nothing arrives:
        the broker sends the message again."""
        topic = self._topic(waiting.message.topic)
        done = _puback(waiting.message)
        if any(one.exception() is not None for one in waiting.done):
            refused = Reply(status=429, problem="Kafka refused the message", retry_after_s=5.0)
            return _reply(topic, refused) + done
        if waiting.stream is None:
            return done
        stream = waiting.stream
        return _reply(topic, Reply(next_sample=stream.kept, released=stream.over)) + done


def _send(answers: dict[Link, bytearray]) -> None:
    for link, data in answers.items():
        link.write(bytes(data))
    answers.clear()


def _reply(topic: _Topic, reply: Reply) -> bytes:
    return packets.message(topic.reply, msgspec.json.encode(reply))


def _puback(message: Publish) -> bytes:
    return packets.puback(message.packet_id) if message.packet_id else b""


def _remember(known: dict[bytes, V], key: bytes, value: V) -> None:
    if len(known) >= _REMEMBERED:
        known.clear()
    known[key] = value


def _address(url: str) -> Address:
    split = urlsplit(url)
    try:
        if split.scheme in _PORTS and split.hostname:
            port = split.port or _PORTS[split.scheme]
            user, password = unquote(split.username or ""), unquote(split.password or "")
            return Address(split.hostname, port, split.scheme == "mqtts", user, password)
    except ValueError:  # the port
        pass
    raise BadInputError(
        f"MQTT broker {url!r}", "Write mqtt://HOST:1883 or mqtts://USER:PASSWORD@HOST:8883."
    )
