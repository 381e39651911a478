"""What holds of snapshots when the topics have changed since."""

from __future__ import annotations

from typing import cast

import confluent_kafka
import msgspec
import pytest

from ingest.clock import ManualClock
from models.serving import runtime
from stream_processor.pipeline import states
from stream_processor.pipeline.ward import Ward
from stream_processor.worker.snapshots import (
    InputLayout,
    Snapshot,
    _apply,
    _Kept,
    home_of,
    restored,
)
from tests.contract.test_ward import chunks

NOW = InputLayout("id", 12)


def kept(
    patient: str,
    partition: int,
    inside: dict[int, int],
    *,
    layout: InputLayout = NOW,
    time_ms: int = 1,
    state: bytes = b"state",
) -> tuple[str, _Kept]:
    return patient, _Kept(Snapshot(partition, state, inside), layout, time_ms)


def test_a_snapshot_holds_as_it_is() -> None:
    found = restored([kept("a", 3, {3: 70})], NOW, range(12), dict.fromkeys(range(12), 100))
    assert found.states == {"a": Snapshot(3, b"state", {3: 70})}
    assert (found.outdated, found.added) == ({}, frozenset())


@pytest.mark.parametrize(
    ("layout", "end"), [(InputLayout("another", 12), 100), (InputLayout("", 12), 50), (NOW, 50)]
)
def test_offsets_of_a_topic_that_was_made_anew_mean_nothing(layout: InputLayout, end: int) -> None:
    one = kept("a", 3, {3: 70}, layout=layout)
    found = restored([one], NOW, range(12), dict.fromkeys(range(12), end))
    assert found.states == {"a": Snapshot(3, b"state", {})}


def test_a_patient_moves_with_the_number_of_partitions_and_its_old_snapshot_is_outdated() -> None:
    more = InputLayout("id", 24)
    ends = dict.fromkeys(range(24), 100)
    moves = next(p for p in map(str, range(99)) if home_of(p, 24) != home_of(p, 12))
    stays = next(p for p in map(str, range(99)) if home_of(p, 24) == home_of(p, 12))
    old = [kept(p, home_of(p, 12), {home_of(p, 12): 70}) for p in (moves, stays)]
    found = restored(old, more, range(24), ends)
    assert found.states[moves] == Snapshot(
        home_of(moves, 24), b"state", {home_of(moves, 12): 70}, events=home_of(moves, 12)
    )
    assert found.states[stays].partition == home_of(stays, 12)
    assert found.outdated == {moves: {home_of(moves, 12)}}
    assert found.added == frozenset(range(12, 24))
    # that partition is somebody else's
    found = restored(old, more, range(12), ends)
    assert found.states[moves].partition == home_of(moves, 12)


def test_of_two_snapshots_the_newer_holds_and_both_say_what_is_inside() -> None:
    both = [
        kept("a", 13, {13: 5, 1: 60}, time_ms=2, state=b"new", layout=InputLayout("id", 24)),
        kept("a", 1, {1: 70}, time_ms=1, state=b"old", layout=InputLayout("id", 24)),
    ]
    found = restored(both, InputLayout("id", 24), range(24), dict.fromkeys(range(24), 100))
    assert found.states["a"].state == b"new"
    assert found.states["a"].inside == {13: 5, 1: 70}
    assert found.outdated == {"a": {1}}


@pytest.fixture(scope="module")
def ward() -> Ward:
    return Ward(runtime.load(), ManualClock())


@pytest.fixture(scope="module")
def state(ward: Ward) -> bytes:
    ward.push(chunks("asystole", 128 * 20, end=False))
    return ward.snapshot("asystole")


def refused(ward: Ward, data: bytes, patient: str = "asystole") -> None:
    """It is refused, and leaves nothing behind: the next one gets in."""
    with pytest.raises(ValueError, match="state"):
        ward.restore(patient, data)
    assert ward.patients() == []


def test_a_damaged_state_is_refused_wherever_it_is_damaged(ward: Ward, state: bytes) -> None:
    ward.close("asystole")
    for at in range(0, len(state), len(state) // 40):
        refused(ward, state[:at] + bytes([state[at] ^ 0x55]) + state[at + 1 :])
        refused(ward, state[:at])
    ward.restore("asystole", state)
    again = ward.snapshot("asystole")
    assert states.unpack(again, "asystole") == states.unpack(state, "asystole")


def test_a_foreign_state_is_refused_whatever_is_foreign(ward: Ward, state: bytes) -> None:
    """Its checksum is right: another program, or a defect of ours, has made it."""
    ward.close("asystole")
    good = states.unpack(state, "asystole")
    assert good.stream is not None
    refused(ward, states.pack(msgspec.structs.replace(good, version=7)))
    refused(ward, states.pack(msgspec.structs.replace(good, patient_id="b")))
    refused(ward, states.pack(msgspec.structs.replace(good, lifecycle={"standing": 3})))
    refused(ward, state, patient="b")

    def stream(**fields: object) -> bytes:
        changed = msgspec.structs.replace(good.stream, **fields)
        return states.pack(msgspec.structs.replace(good, stream=changed))

    refused(ward, stream(stages={}))
    refused(ward, stream(stream=msgspec.structs.replace(good.stream.stream, fs_hz=0.0)))
    refused(ward, stream(stream=msgspec.structs.replace(good.stream.stream, next_sample=0)))
    for name, stage in good.stream.stages.items():
        bad: list[object] = [None, [], {"foreign": 1}]
        if stage:
            first = next(iter(stage))
            bad += [stage | {first: "text"}, {k: v for k, v in stage.items() if k != first}]
        for value in bad:
            refused(ward, stream(stages=good.stream.stages | {name: value}))
    ward.restore("asystole", state)
    ward.close("asystole")


@pytest.mark.parametrize("events", [None, 0, 7])
def test_a_snapshots_headers_come_back(events: int | None) -> None:
    snapshot, layout = Snapshot(3, b"state", {3: 70, 0: 4}, events), InputLayout("id", 12)

    class Message:
        """As confluent_kafka gives it."""

        def key(self) -> bytes:
            return b"a"

        def value(self) -> bytes:
            return snapshot.state

        def partition(self) -> int:
            return snapshot.partition

        def timestamp(self) -> tuple[int, int]:
            return 1, 5

        def headers(self) -> list[tuple[str, bytes]]:
            return [(name, text.encode()) for name, text in snapshot.headers(layout).items()]

    found: dict[tuple[int, str], _Kept] = {}
    _apply(found, cast(confluent_kafka.Message, Message()))
    assert found == {(3, "a"): _Kept(snapshot, layout, 5)}
