"""Bytes of MQTT 5, as far as a subscriber of QoS 1 needs them.

OASIS, MQTT Version 5.0 (2019-03-07); the sections are named where the layout is. We differ from a
general client: no QoS 2, no topic aliases (we announce none, so the server sends none), no retained
state of our own. A general client took four fifths of the CPU of a message (benchmarks/ingest_devices.py
--by mqtt): most of it went into properties that are the same in every message of a device, so they are
handed on as bytes, to be read once.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from typing import NamedTuple

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
PINGREQ, GOODBYE = b"\xc0\x00", b"\xe0\x00"
_SESSION_EXPIRY, _RECEIVE_MAXIMUM, _MAXIMUM_PACKET, _SERVER_KEEP_ALIVE = 0x11, 0x21, 0x27, 0x13
_CONTENT_TYPE, _USER_PROPERTY = 0x03, 0x26
_FIXED = {  # 2.2.2.2: bytes of the properties with numbers
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
}
_TEXTS = (0x03, 0x08, 0x09, 0x12, 0x15, 0x16, 0x1A, 0x1C, 0x1F)  # and binary data


class Publish(NamedTuple):
    """A message as it came (3.3)."""

    topic: bytes
    packet_id: int  # 0 at QoS 0
    properties: bytes
    payload: bytes


class Properties(NamedTuple):
    """The properties of a packet that are used."""

    user: dict[str, str]
    content_type: str
    server_keep_alive_s: int | None


class PacketReader:
    """Cuts a connection's bytes into packets."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Yield (first byte, body) of each complete packet. Raises ValueError for bytes that are
        not MQTT."""
        data = self._rest + data if self._rest else data
        at, end = 0, len(data)
        try:
            while end - at >= 2:
                length, body = _varint(data, at + 1)
                if length > self._longest:
                    raise ValueError(f"a packet of {length} bytes is longer than we said we take")
                if body + length > end:
                    break
                yield data[at], data[body : body + length]
                at = body + length
        except IndexError:  # the length itself is not complete
            pass
        finally:
            self._rest = data[at:]


def publish(first: int, body: bytes) -> Publish:
    """A PUBLISH (3.3). Raises ValueError if it is cut."""
    try:
        after = 2 + (body[0] << 8 | body[1])
        topic, packet_id = body[2:after], 0
        if first & 6:
            packet_id = body[after] << 8 | body[after + 1]
            after += 2
        length, begin = _varint(body, after)
    except IndexError:
        raise ValueError("a PUBLISH is cut") from None
    if begin + length > len(body):
        raise ValueError("the properties of a PUBLISH are cut")
    return Publish(topic, packet_id, body[begin : begin + length], body[begin + length :])


def properties(data: bytes) -> Properties:
    """The properties of a packet, without their length (2.2.2). Raises ValueError."""
    user: dict[str, str] = {}
    content_type, keep_alive_s = "", None
    at = 0
    try:
        while at < len(data):
            kind, at = data[at], at + 1
            if kind == _USER_PROPERTY:
                name, at = _text(data, at)
                user[name], at = _text(data, at)
            elif kind in _TEXTS:
                text, at = _text(data, at, "replace")
                content_type = text if kind == _CONTENT_TYPE else content_type
            elif kind == 0x0B:  # subscription identifier
                _, at = _varint(data, at)
            else:
                if kind == _SERVER_KEEP_ALIVE:
                    keep_alive_s = data[at] << 8 | data[at + 1]
                at += _FIXED[kind]
    except (IndexError, KeyError, UnicodeDecodeError) as error:
        raise ValueError(f"properties {data[:40].hex(' ')} cannot be read: {error}") from error
    if at > len(data):
        raise ValueError("the last property is cut")
    return Properties(user, content_type, keep_alive_s)


def connack(body: bytes) -> tuple[int, Properties]:
    """(reason, properties) of a CONNACK (3.2). Raises ValueError."""
    try:
        length, begin = _varint(body, 2)
    except IndexError:
        raise ValueError("a CONNACK is cut: does the broker speak MQTT 5?") from None
    return body[1], properties(body[begin : begin + length])


def connect(
    client_id: str, user: str, password: str, *,
    keep_alive_s: int, session_s: int, receive_maximum: int, longest: int,
) -> bytes:  # fmt: skip
    """A CONNECT that goes on with an earlier session (3.1)."""
    flags = (0x80 if user else 0) | (0x40 if password else 0)
    properties_sent = pack(">BI", _SESSION_EXPIRY, session_s)
    properties_sent += pack(">BH", _RECEIVE_MAXIMUM, receive_maximum) + pack(
        ">BI", _MAXIMUM_PACKET, longest
    )
    body = (
        _field("MQTT")
        + pack(">BBH", 5, flags, keep_alive_s)
        + _length(len(properties_sent))
        + properties_sent
    )
    body += _field(client_id) + b"".join(_field(text) for text in (user, password) if text)
    return b"\x10" + _length(len(body)) + body


def subscribe(packet_id: int, filters: list[str]) -> bytes:
    """A SUBSCRIBE of QoS 1 (3.8)."""
    body = pack(">H", packet_id) + b"\x00" + b"".join(_field(one) + b"\x01" for one in filters)
    return b"\x82" + _length(len(body)) + body


def puback(packet_id: int) -> bytes:
    """A PUBACK that says success (3.4)."""
    return pack(">BBH", 0x40, 2, packet_id)


def message(topic: bytes, payload: bytes) -> bytes:
    """A PUBLISH of QoS 0 without properties."""
    body = pack(">H", len(topic)) + topic + b"\x00" + payload
    return b"\x30" + _length(len(body)) + body


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(value, place behind it) of a variable byte integer (1.5.5)."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return value, at
        shift += 7
        if shift > 21:
            raise ValueError("a length of more than four bytes")


def _length(value: int) -> bytes:
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _text(data: bytes, at: int, errors: str = "strict") -> tuple[str, int]:
    end = at + 2 + (data[at] << 8 | data[at + 1])
    if end > len(data):
        raise IndexError("a text is cut")
    return data[at + 2 : end].decode(errors=errors), end


def _field(text: str) -> bytes:
    raw = text.encode()
    return pack(">H", len(raw)) + raw
