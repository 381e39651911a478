"""Bytes of MQTT 5: what we send as the standard has it, and what comes, cut anywhere or broken."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest.server import mqtt_packets as packets
from ingest.server.mqtt_packets import PacketReader, Publish

LONGEST = 10_000


def properties_of(**given: object) -> bytes:
    """As another implementation (paho) writes them, without their length."""
    made = Properties(PacketTypes.PUBLISH)
    for name, value in given.items():
        setattr(made, name, value)
    packed = made.pack()
    _, begin = packets._varint(packed, 0)
    return packed[begin:]


def published(topic: str, packet_id: int, properties: bytes, payload: bytes) -> bytes:
    body = packets._field(topic) + packet_id.to_bytes(2) + packets._length(len(properties))
    body += properties + payload
    return b"\x32" + packets._length(len(body)) + body


def test_a_message_of_another_implementation_is_read() -> None:
    raw = properties_of(
        ContentType="application/json",
        UserProperty=[("token", "é"), ("stream", "s")],
        MessageExpiryInterval=60,
        PayloadFormatIndicator=1,
        ResponseTopic="r",
    )
    told = packets.properties(raw)
    assert told.user == {"token": "é", "stream": "s"}
    assert told.content_type == "application/json"
    ((first, body),) = PacketReader(LONGEST).feed(published("a/b", 513, raw, b"payload"))
    assert packets.publish(first, body) == Publish(b"a/b", 513, raw, b"payload")


@given(st.lists(st.binary(max_size=400), min_size=1, max_size=6), st.data())
def test_packets_are_the_same_however_the_connection_cuts_them(payloads, data) -> None:
    sent = [published("t", k + 1, b"", payload) for k, payload in enumerate(payloads)]
    stream, reader, found = b"".join(sent) + packets.PINGREQ, PacketReader(LONGEST), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += list(reader.feed(stream[:size]))
        stream = stream[size:]
    assert [packets.publish(*one).payload for one in found[:-1]] == payloads
    assert found[-1] == (0xC0, b"")


@given(st.binary(max_size=60), st.integers(0, 255))
def test_broken_bytes_are_a_value_error_and_nothing_else(data: bytes, first: int) -> None:
    for read in (
        lambda: packets.publish(first, data),
        lambda: packets.properties(data),
        lambda: packets.connack(data),
        lambda: list(PacketReader(LONGEST).feed(data)),
    ):
        try:
            read()
        except ValueError:
            continue


def test_a_packet_that_is_longer_than_we_take_is_refused_before_it_has_come() -> None:
    with pytest.raises(ValueError, match="longer than we said"):
        list(PacketReader(LONGEST).feed(b"\x32" + packets._length(LONGEST + 1) + b"x"))


def test_our_own_packets() -> None:
    found = packets.connect(
        "me", "ann", "secret", keep_alive_s=60, session_s=9, receive_maximum=5, longest=7
    )
    assert found[2:8] == b"\x00\x04MQTT"
    assert found[8:10] == b"\x05\xc0"  # version; name and password, an earlier session goes on
    assert found.endswith(b"\x00\x02me\x00\x03ann\x00\x06secret")
    assert packets.subscribe(1, ["a/+"]) == b"\x82\x09\x00\x01\x00\x00\x03a/+\x01"
    assert packets.puback(258) == b"\x40\x02\x01\x02"
    assert packets.message(b"t", b"hi") == b"\x30\x06\x00\x01t\x00hi"
