"""The wire format of gateways and the ingest server."""

from __future__ import annotations

import contextlib

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest import wire
from ingest.wire import (
    JSON,
    MESSAGEPACK,
    Chunk,
    WireError,
    decode_chunks,
    encode_chunks,
    mqtt_topic,
)

MEDIA = pytest.mark.parametrize("media", [JSON, MESSAGEPACK])


def chunk(**fields: object) -> Chunk:
    base = {
        "first_sample": 0,
        "t0_ns": 10**18,
        "fs_hz": 130.0,
        "counts_per_mv": 1000.0,
        "samples": bytes(130),
    }
    return msgspec.convert(base | fields, Chunk)


@MEDIA
@given(
    counts=st.lists(st.integers(-32768, 32767), min_size=1, max_size=200),
    first=st.integers(0, 10**9),
    battery=st.none() | st.floats(0, 1),
    lead_off=st.booleans(),
)
def test_a_body_reads_back_as_it_was(
    media: str, counts: list[int], first: int, battery: float | None, lead_off: bool
) -> None:
    samples = np.array(counts, "<i2").tobytes()
    sent = [chunk(samples=samples, first_sample=first, battery=battery, lead_off=lead_off)]
    assert decode_chunks(encode_chunks(sent, media), media) == sent


def test_json_is_what_a_stranger_would_write() -> None:
    body = (
        b'[{"first_sample":0,"t0_ns":1700000000000000000,"fs_hz":130,"counts_per_mv":1000,'
        b'"samples":"AQD//w==","lead_off":true,"battery":0.5}]'
    )
    (read,) = decode_chunks(body, JSON)
    assert np.frombuffer(read.samples, "<i2").tolist() == [1, -1]
    assert (read.lead_off, read.battery, read.end, read.key) == (True, 0.5, False, (0, 2))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"fs_hz": 99.0}, "fs_hz"),
        ({"fs_hz": float("nan")}, "fs_hz"),
        ({"counts_per_mv": 0.0}, "counts_per_mv"),
        ({"first_sample": -1}, "first_sample"),
        ({"first_sample": 10**15}, "first_sample"),
        ({"t0_ns": -1}, "t0_ns"),
        ({"t0_ns": 2**63}, "t0_ns"),
        ({"samples": b"odd"}, "samples"),
        ({"samples": b""}, "samples"),
        ({"samples": bytes(2 * 130 * 60 + 2)}, "samples"),
        ({"battery": 1.1}, "battery"),
        ({"fault": "x" * 201}, "fault"),
        ({"lead": ""}, "lead"),
    ],
)
def test_a_refusal_names_the_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_chunks(encode_chunks([chunk(), chunk(**fields)]))
    assert (refused.value.status, refused.value.field) == (422, field)
    assert "chunk 1" in refused.value.problem


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 422, ""),
        (b"[]", 422, ""),
        (b"{}", 422, ""),
        (b"\xff\xfe", 422, ""),
        (b"[" * 100_000, 422, ""),
        (b'[{"first_sample":"0"}]', 422, "first_sample"),
        (b'[{"first_sample":0}]', 422, "t0_ns"),
        (bytes(wire.MAX_BODY + 1), 413, ""),
    ],
)
def test_what_is_no_body_is_refused(body: bytes, status: int, field: str) -> None:
    with pytest.raises(WireError) as refused:
        decode_chunks(body, JSON)
    assert (refused.value.status, refused.value.field) == (status, field)


def test_other_media_types_are_refused() -> None:
    with pytest.raises(WireError) as refused:
        decode_chunks(b"[]", "text/csv")
    assert refused.value.status == 415


@given(st.binary(max_size=400), st.sampled_from([JSON, MESSAGEPACK]))
def test_no_bytes_do_anything_but_be_refused_or_read(body: bytes, media: str) -> None:
    found = 0
    with contextlib.suppress(WireError):
        found = len(decode_chunks(body, media))
    assert 0 <= found <= wire.MAX_CHUNKS


def test_the_servers_fault_joins_the_devices() -> None:
    bound = chunk(fault="low battery").bound("p", "d", 3, "two senders: a and b")
    assert (bound.patient_id, bound.device_id, bound.seq) == ("p", "d", 3)
    assert bound.fault == "low battery; two senders: a and b"


def test_mqtt_topics_hold_no_wildcards() -> None:
    assert mqtt_topic("ward3", "h10-1", "samples") == "ecgwatch/v1/ward3/h10-1/samples"
    with pytest.raises(ValueError, match="holds"):
        mqtt_topic("ward3", "+", "samples")
