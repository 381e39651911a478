"""The codec: what goes in comes out, and what is none of ours is refused with the reason."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bounds import MAX_FS_HZ, MIN_FS_HZ, name_problem
from ingest.messages import (
    Action,
    Alarm,
    BadMessageError,
    Beat,
    Delivery,
    Edit,
    Finding,
    JournalEntry,
    Message,
    Reference,
    Rhythm,
    SampleChunk,
    Score,
    Vitals,
    decode,
    encode,
    sample_offset_ns,
)

names = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40).filter(
    lambda t: name_problem("", t) is None
)
chunks = st.builds(
    SampleChunk,
    patient_id=names,
    device_id=names,
    lead=names,
    seq=st.integers(0, 2**40),
    first_sample=st.integers(0, 10**9),
    t0_ns=st.integers(0, 4 * 10**18),
    fs_hz=st.floats(MIN_FS_HZ, MAX_FS_HZ),
    counts_per_mv=st.floats(0.01, 1e6),
    samples=st.binary(min_size=2, max_size=400).map(lambda b: b[: len(b) // 2 * 2]),
    lead_off=st.booleans(),
    end=st.booleans(),
    schema=st.just(1),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
limits = st.dictionaries(st.text(max_size=10), st.none() | finite, max_size=3)
signed = {
    "patient_id": names,
    "time_ns": st.integers(0, 4 * 10**18),
    "id": st.text(min_size=1, max_size=40),
    "by": st.text(max_size=64),
    "note": st.text(max_size=200),
}
actions = st.builds(
    Action, **signed, alarm_id=st.text(max_size=40), seconds=st.floats(0, 86_400), limits=limits
)
edits = st.builds(
    Edit,
    **signed,
    target_id=st.text(max_size=40),
    at_ns=st.integers(0, 4 * 10**18),
    said=st.text(max_size=20),
    label=st.text(max_size=20),
)
references = st.builds(
    Reference,
    patient_id=names,
    time_ns=st.integers(0, 4 * 10**18),
    sample=st.integers(0, 10**9),
    symbol=st.text(max_size=3),
    aux=st.text(max_size=255),
)
others = st.one_of(
    *(
        st.from_type(kind)
        for kind in (Beat, Rhythm, Vitals, Alarm, Delivery, Score, Finding, JournalEntry)
    ),
    actions,
    edits,
    references,
).map(lambda m: msgspec.structs.replace(m, schema=1))


def encodable(message: Message) -> bool:
    try:
        encode(message)
    # hypothesis draws integers beyond 64 bits and lone surrogates; sources never do
    except (OverflowError, UnicodeEncodeError):
        return False
    return True


@given(chunks)
def test_a_chunk_round_trips(chunk: SampleChunk) -> None:
    again = decode(encode(chunk), SampleChunk)
    assert again == chunk
    assert again.counts().tobytes() == chunk.samples
    assert again.n == len(chunk.samples) // 2


@given(others.filter(encodable))
def test_every_other_message_round_trips(message: Message) -> None:
    again = decode(encode(message), type(message))
    assert again == message or repr(again) == repr(message)  # NaN is not equal to itself


@given(st.binary(max_size=300))
def test_any_bytes_are_a_chunk_or_refused(data: bytes) -> None:
    try:
        decode(data, SampleChunk)
    except BadMessageError:
        return
    assert data[0] >> 4 == 8  # a MessagePack map: hypothesis would have to write all of it


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


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema": 2}, "schema version 2; this version reads 1"),
        ({"patient_id": ""}, "patient_id"),
        ({"patient_id": "x" * 129}, "patient_id"),
        ({"fs_hz": 50.0}, "fs_hz 50.0 is outside 100-1000"),
        ({"fs_hz": float("nan")}, "fs_hz nan"),
        ({"counts_per_mv": 0.0}, "counts_per_mv 0.0"),
        ({"counts_per_mv": float("inf")}, "counts_per_mv inf"),
        ({"seq": -1}, "negative"),
        ({"first_sample": 2**60}, "ten years"),
        ({"t0_ns": -5}, "t0_ns"),
        ({"samples": bytes(3)}, "int16"),
        ({"samples": b""}, "no samples"),
        ({"samples": bytes(2 * 250 * 61)}, "more than 60 s"),
    ],
)
def test_what_no_stage_could_use_is_refused(change: dict[str, object], reason: str) -> None:
    with pytest.raises(BadMessageError, match=reason):
        decode(encode(msgspec.structs.replace(CHUNK, **change)), SampleChunk)


ACTION = Action(patient_id="p", time_ns=10**18, id="1", by="Ada", action="silence", seconds=60.0)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"seconds": float("inf")}, "seconds inf is outside"),
        ({"seconds": float("nan")}, "seconds nan is outside"),
        ({"seconds": -1.0}, "seconds -1.0 is outside"),
        ({"seconds": None}, "seconds is missing"),
        ({"action": "limits", "limits": {"hr_high_bpm": float("nan")}}, "no finite number"),
        ({"action": "limits", "limits": {"hr_high_bpm": float("inf")}}, "no finite number"),
        ({"action": "limits", "limits": {"x" * 129: 1.0}}, "limits hold a name"),
        ({"action": "limits", "limits": {str(i): 1.0 for i in range(65)}}, "more than 64"),
        ({"action": "explode"}, "explode"),
        ({"kind": "hiccup"}, "hiccup"),
        ({"patient_id": ""}, "patient_id is empty"),
        ({"patient_id": ".."}, "patient_id is . or .."),
        ({"time_ns": 2**63}, "time_ns"),
        ({"id": ""}, "id is empty"),
        ({"id": "x" * 401}, "id is empty or longer"),
        ({"by": "x" * 65}, "by is longer"),
        ({"alarm_id": "x" * 401}, "alarm_id is longer"),
        ({"note": "x" * 2001}, "note is longer"),
    ],
)
def test_a_poison_action_is_refused(change: dict[str, object], reason: str) -> None:
    data = msgspec.msgpack.encode(msgspec.structs.asdict(ACTION) | change)
    with pytest.raises(BadMessageError, match=reason):
        decode(data, Action)


def test_an_edit_beyond_what_a_store_can_keep_is_refused() -> None:
    edit = Edit(
        patient_id="p",
        time_ns=10**18,
        id="1",
        by="Ada",
        target="beat",
        target_id="1",
        at_ns=2**64 - 1,
        said="N",
        verdict="confirmed",
    )
    with pytest.raises(BadMessageError, match="at_ns"):
        decode(encode(edit), Edit)


def test_unknown_fields_are_ignored() -> None:
    data = msgspec.msgpack.encode(msgspec.structs.asdict(CHUNK) | {"weather": 0.8})
    assert decode(data, SampleChunk) == CHUNK


def test_a_stream_tells_its_start() -> None:
    assert CHUNK.start_ns == CHUNK.t0_ns - 3 * 10**9
    assert sample_offset_ns(1, 360.0) == 2_777_778
