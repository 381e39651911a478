"""Bytes of straps and sensors: what they mean, both ways, and what is refused."""

from __future__ import annotations

import contextlib
import json
import struct
from base64 import b64encode

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.gateway.base import BadPacketError, DeviceReport, Packet
from ingest.gateway.codecs import heart_rate, movesense, polar
from ingest.gateway.mqtt import Mqtt
from ingest.gateway.sources import open_live
from ingest.gateway.straps import PolarH10

MICROVOLTS = st.lists(st.integers(-(2**23), 2**23 - 1), min_size=1, max_size=100)


def h10_frame(since_2000_ns: int, microvolts: list[int]) -> bytes:
    return (
        b"\0"
        + struct.pack("<Q", since_2000_ns)
        + b"\0"
        + b"".join(v.to_bytes(3, "little", signed=True) for v in microvolts)
    )


@given(st.integers(0, 2**63), MICROVOLTS)
def test_h10_frame(since_2000_ns: int, microvolts: list[int]) -> None:
    last_ns, decoded = polar.ecg_frame(h10_frame(since_2000_ns, microvolts))
    assert last_ns == since_2000_ns + 946_684_800_000_000_000
    assert decoded.tolist() == microvolts


def test_h10_frame_of_the_makers_clock() -> None:
    """A strap that was without power counts from 2019-01-01."""
    last_ns, _ = polar.ecg_frame(h10_frame(599_616_000 * 10**9, [1]))
    assert last_ns == polar.FACTORY_NS


@given(st.integers(10, 228).filter(lambda n: n % 3 != 1 or n == 10))
@example(182)  # at an MTU of 185
def test_a_cut_h10_frame_is_refused_and_says_why(length: int) -> None:
    with pytest.raises(BadPacketError, match="MTU must be at least 232"):
        polar.ecg_frame(h10_frame(0, list(range(73)))[:length])


@pytest.mark.parametrize(("at", "value", "says"), [(0, 2, "measurement 2"), (9, 1, "frame type 1")])
def test_other_frames_of_the_h10_are_refused(at: int, value: int, says: str) -> None:
    frame = bytearray(h10_frame(0, [1, 2, 3]))
    frame[at] = value
    with pytest.raises(BadPacketError, match=says):
        polar.ecg_frame(bytes(frame))


@pytest.mark.parametrize(("status", "says"), [(5, "status 5"), (10, "232"), (1, "status 1")])
def test_h10_answers_that_refuse(status: int, says: str) -> None:
    with pytest.raises(BadPacketError, match=says):
        polar.check_answer(bytes([0xF0, 2, 0, status, 0]), 2)


@pytest.mark.parametrize("status", [0, 6])
def test_h10_answers_that_do_not(status: int) -> None:
    polar.check_answer(bytes([0xF0, 2, 0, status, 0]), 2)


def test_orders_are_the_makers() -> None:
    assert polar.START_ECG.hex(" ") == "02 00 00 01 82 00 01 01 0e 00"
    assert polar.STOP_ECG.hex(" ") == "03 00"
    assert polar.has_ecg(bytes([0x0F, 0x05]))
    assert not polar.has_ecg(bytes([0x0F, 0x04]))


def rate_bytes(bpm: int, contact: bool | None, energy: int | None, rr: list[int]) -> bytes:
    flags = (
        (bpm > 255)
        | (contact is True) << 1
        | (contact is not None) << 2
        | (energy is not None) << 3
        | bool(rr) << 4
    )
    body = struct.pack("<H" if bpm > 255 else "<B", bpm) + (
        b"" if energy is None else struct.pack("<H", energy)
    )
    return bytes([flags]) + body + struct.pack(f"<{len(rr)}H", *rr)


@given(
    st.integers(0, 65535), st.sampled_from([None, True, False]), st.none() | st.integers(0, 65535),
    st.lists(st.integers(0, 65535), max_size=9),
)  # fmt: skip
def test_heart_rate(bpm: int, contact: bool | None, energy: int | None, rr: list[int]) -> None:
    said = heart_rate.heart_rate(rate_bytes(bpm, contact, energy, rr))
    assert said == (bpm, contact, tuple(v / 1024 for v in rr))


def test_contact_counts_only_where_it_is_told() -> None:
    """Bit 1 without bit 2 means nothing: no lead-off may come of it."""
    assert heart_rate.heart_rate(bytes([0b00000010, 70])).contact is None
    assert heart_rate.heart_rate(bytes([0b00000000, 70])).contact is None


@given(st.binary(max_size=20))
def test_any_bytes_are_understood_or_refused(data: bytes) -> None:
    for decode in (
        polar.ecg_frame,
        heart_rate.heart_rate,
        heart_rate.battery,
        movesense.Decoder().ecg,
    ):
        with contextlib.suppress(BadPacketError):
            decode(data)
    with pytest.raises(BadPacketError):
        Mqtt("mqtt://h/t", ManualClock()).decode(Packet(0, "ecg", data))


def movesense_packet(ms: int, counts: list[int]) -> bytes:
    return struct.pack("<BBI16i", 2, 99, ms % 2**32, *counts)


@given(st.integers(0, 2**40), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=16, max_size=16))
def test_movesense(ms: int, counts: list[int]) -> None:
    found = movesense.Decoder(2.0).ecg(movesense_packet(ms, counts))
    assert found
    assert found[0] == (ms % 2**32) * 10**6 + 75_000_000
    assert found[1].tolist() == [2.0 * c for c in counts]


@pytest.mark.parametrize(
    ("spec", "name", "microvolts"),
    [
        ("movesense", "Movesense", 0.38),
        ("movesense:1234", "1234", 0.38),
        ("movesense:0C:8C:DC:00:00:01@0.5", "0C:8C:DC:00:00:01", 0.5),
        ("movesense:@2", "Movesense", 2.0),
    ],
)
def test_the_scale_of_a_movesense_is_told_behind_its_name(
    spec: str, name: str, microvolts: float
) -> None:
    source = open_live(spec, ManualClock())
    block = source.decode(Packet(0, "ecg", movesense_packet(0, [1000] * 16)))
    assert source.name == name
    assert block is not None
    assert block.microvolts.tolist() == pytest.approx([1000 * microvolts] * 16)


def test_movesense_counts_on_when_its_milliseconds_wrap() -> None:
    decoder = movesense.Decoder()
    ends = [
        decoder.ecg(movesense_packet(ms, [0] * 16))[0] for ms in range(2**32 - 800, 2**32 + 800, 80)
    ]  # type: ignore[index]
    assert set(np.diff(ends)) == {80_000_000}


def test_movesense_takes_no_cut_packet() -> None:
    with pytest.raises(BadPacketError, match="cut"):
        movesense.Decoder().ecg(movesense_packet(0, [0] * 16)[:-1])
    assert movesense.Decoder().ecg(bytes([1, 99, 200])) is None  # an answer


def sensed(**changes: object) -> Packet:
    said = {
        "time": 1.5e9,
        "rate": 250,
        "size": 2,
        "samples": b64encode(struct.pack("<2h", -3, 7)).decode(),
    } | changes
    return Packet(0, "ecg", json.dumps(said).encode())


def test_mqtt_message() -> None:
    source = Mqtt("mqtt://broker/ward/1", ManualClock())
    block = source.decode(sensed(microvolts_per_count=2, battery=0.5, contact=False))
    assert block.microvolts.tolist() == [-6, 14]
    assert block.last_ns == 1_500_000_000 * 10**9
    assert (source.fs_hz, source.wearing.battery, source.wearing.contact) == (250, 0.5, False)


@pytest.mark.parametrize(
    "changes",
    [
        {"size": 3},
        {"rate": 50},
        {"time": -1},
        {"samples": "?"},
        {"samples": ""},
        {"size": 301, "samples": "AAAA" * 200},
    ],
)
def test_mqtt_messages_that_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(BadPacketError):
        Mqtt("mqtt://broker/ward/1", ManualClock()).decode(sensed(**changes))


def test_strap_keeps_contact_battery_and_rr_beside_the_trace() -> None:
    source = PolarH10("", ManualClock())
    assert source.decode(Packet(5, "battery", bytes([93]))) is None
    assert source.decode(Packet(5, "heart_rate", rate_bytes(61, False, None, [1024]))) is None
    block = source.decode(Packet(7, "ecg", h10_frame(9, [1, 2])))
    assert block
    assert block.received_ns == 7
    assert source.wearing == DeviceReport(contact=False, battery=0.93, heart_rate=61, rr_s=[1.0])


def test_irregularity() -> None:
    assert heart_rate.irregularity([0.8] * 29) is None
    assert heart_rate.irregularity([0.8, 0.81] * 30) == 0
    assert heart_rate.irregularity([0.6, 0.9] * 30) == 1


@pytest.mark.parametrize(
    "spec",
    [
        "h11",
        "nothing:Here",
        "json:loads",
        "mqtt://host",
        "mqtt://host/a/#",
        "ingest.gateway.base:Packet",
        "movesense:1234@",
        "movesense:1234@much",
        "movesense@0",
        "movesense@inf",
    ],
)
def test_sources_that_do_not_exist(spec: str) -> None:
    with pytest.raises(BadInputError):
        open_live(spec, ManualClock())


@pytest.mark.parametrize(
    "spec",
    ["h10", "h10:12345678", "movesense", "heartrate:AA:BB:CC:DD:EE:FF", "lsl:obci", "mqtt://h:1/t"],
)
def test_sources_that_do(spec: str) -> None:
    assert open_live(spec, ManualClock()).name
