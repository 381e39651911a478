"""The bounds that both sides of a topic check: what the producer lets through, the codec takes;
what it refuses, the codec refuses."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bounds import (
    MAX_JUMP_S,
    MAX_NAME,
    MAX_TIME_NS,
    chunk_problems,
    jump_problem,
    name_problem,
    reference_problems,
    stream_problems,
)
from ingest.messages import BadMessageError, Reference, SampleChunk, decode, encode

CHUNK = SampleChunk(
    patient_id="p",
    device_id="d",
    lead="I",
    seq=3,
    first_sample=750,
    t0_ns=10**18,
    fs_hz=250.0,
    counts_per_mv=200.0,
    samples=bytes(500),
)
NOTE = Reference(patient_id="p", time_ns=10**18, sample=750, symbol="N")
HUGE = "x" * 980_000

wild = {
    "patient_id": st.text(max_size=140),
    "device_id": st.text(max_size=140),
    "lead": st.text(max_size=140),
    "seq": st.integers(-(2**63), 2**63),
    "first_sample": st.integers(-(2**63), 2**63),
    "t0_ns": st.integers(-(2**63), 2**63),
    "fs_hz": st.floats(),
    "counts_per_mv": st.floats(),
    "samples": st.binary(max_size=9),
    "battery": st.none() | st.floats(),
    "fault": st.text(max_size=210),
    "end": st.booleans(),
}
wild_chunks = st.sets(st.sampled_from(sorted(wild)), max_size=3).flatmap(
    lambda fields: st.fixed_dictionaries({f: wild[f] for f in fields}).map(
        lambda changes: msgspec.structs.replace(CHUNK, **changes)
    )
)


@given(wild_chunks)
def test_the_codec_takes_exactly_what_has_no_problem(chunk: SampleChunk) -> None:
    if not chunk_problems(chunk):
        assert decode(encode(chunk), SampleChunk) == chunk
        return
    try:
        data = encode(chunk)
    except (OverflowError, UnicodeEncodeError):  # it cannot even be written
        return
    with pytest.raises(BadMessageError):
        decode(data, SampleChunk)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"device_id": HUGE}, "device_id"),
        ({"lead": HUGE}, "lead"),
        ({"patient_id": "a\nb"}, "patient_id"),
        ({"patient_id": "a\x00"}, "patient_id"),
        ({"device_id": "a\ud800"}, "device_id"),
        ({"lead": " I"}, "lead"),
        ({"battery": math.nan}, "battery"),
        ({"counts_per_mv": math.nan}, "counts_per_mv"),
        ({"fs_hz": math.inf}, "fs_hz"),
        ({"t0_ns": MAX_TIME_NS}, "t0_ns"),
        ({"seq": 2**60}, "seq"),
        ({"fault": "x" * 201}, "fault"),
    ],
)
def test_a_problem_names_the_field_and_is_short(change: dict[str, object], field: str) -> None:
    problems = chunk_problems(msgspec.structs.replace(CHUNK, **change))
    assert [p.field for p in problems] == [field]
    assert len(str(problems[0])) < 120


@pytest.mark.parametrize(
    "change", [{"patient_id": ""}, {"time_ns": -1}, {"sample": -1}, {"symbol": HUGE}, {"aux": HUGE}]
)
def test_references_are_bounded_too(change: dict[str, object]) -> None:
    note = msgspec.structs.replace(NOTE, **change)
    assert [p.field for p in reference_problems(note)] == list(change)
    with pytest.raises(BadMessageError, match=next(iter(change))):
        decode(encode(note), Reference)
    assert not reference_problems(NOTE)


@pytest.mark.parametrize("name", ["P 1", "bed-3/øre", "患者", "a;b,c=d\"'\\e", "x" * MAX_NAME])
def test_names_of_every_script_and_sign_are_good(name: str) -> None:
    assert name_problem("patient_id", name) is None


def test_a_name_may_be_missing_only_if_it_may() -> None:
    assert str(name_problem("patient_id", "")) == "patient_id is empty"
    assert name_problem("lead", "", required=False) is None


@pytest.mark.parametrize(
    ("ahead_s", "far"),
    [(-100.0, False), (0.0, False), (MAX_JUMP_S, False), (MAX_JUMP_S + 1, True), (3e7, True)],
)
def test_a_jump_is_bounded(ahead_s: float, far: bool) -> None:
    chunk = msgspec.structs.replace(CHUNK, first_sample=round(50_000 + ahead_s * CHUNK.fs_hz))
    assert (jump_problem(50_000, chunk) is not None) == far


def test_a_stream_is_checked_before_its_first_chunk() -> None:
    good = {
        "patient_id": "p",
        "device_id": "d",
        "lead": "I",
        "fs_hz": 250.0,
        "counts_per_mv": 200.0,
        "start_ns": 0,
    }
    assert stream_problems(**good) == []
    bad = good | {"patient_id": "", "fs_hz": math.nan, "start_ns": MAX_TIME_NS}
    assert [p.field for p in stream_problems(**bad)] == ["patient_id", "fs_hz", "start_time"]
