"""The account that the ward's side and the checkpointer share."""

import pytest

from stream_processor.kafka.event_producer import Letter
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.snapshots import ENDED, InputLayout, Restored, Snapshot


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


def test_of_a_patient_who_moves_both_partitions_are_named_and_the_older_snapshot_goes(ledger):
    ledger.chunk_came("a", 0)
    ledger.chunk_came("a", 3)
    assert ledger.home("a") == 3
    ledger.note(["a"])
    assert ledger.changed == {0: {"a"}, 3: {"a"}}
    snapshot = ledger.snapshot("a", 3, b"state")
    assert snapshot == Snapshot(3, b"state", {0: 0, 3: 0}, events=0)
    assert ledger.written({"a": snapshot}) == [(0, "a")]
    assert ledger.written({"a": snapshot}) == [], "it has gone"


def test_the_events_of_a_patient_who_moves_stay_in_one_partition(ledger):
    """Read from two partitions, a step of an alarm could come after a later one."""
    assert ledger.events_to("a") is None
    for partition in (0, 3, 5):
        ledger.chunk_came("a", partition)
        assert ledger.events_to("a") == 0
    snapshot = ledger.snapshot("a", 5, b"state")
    successor = Ledger()
    successor.restore(Restored({"a": snapshot}, InputLayout("id", 6)))
    successor.chunk_came("a", 5)
    assert (successor.home("a"), successor.events_to("a")) == (5, 0)
    assert successor.snapshot("a", 5, b"state").events == 0
    successor.close([5])
    assert successor.events_to("a") is None


def test_who_has_ended_begins_anew_where_its_chunks_come_from(ledger):
    ledger.chunk_came("a", 0)
    ledger.chunk_came("a", 3)
    ledger.pending.open([0, 3])
    ledger.pending.add(3, [Letter(0, b"a", b"")])
    ledger.pending.done(ledger.pending.take(1))
    ledger.snapshot("a", 3, ENDED)
    ledger.chunk_came("a", 3)
    assert ledger.events_to("a") == 3


def test_what_is_inside_a_restored_state_counts_once(ledger):
    ledger.restore(Restored({"a": Snapshot(1, b"state", {1: 5})}, InputLayout("id", 4)))
    assert [ledger.is_inside("a", 1, offset) for offset in (4, 5)] == [True, False]
    assert not ledger.is_inside("a", 2, 4)
    ledger.lose_state("a")
    assert not ledger.is_inside("a", 1, 4)
    assert ledger.home("a") == 1


def test_an_end_may_be_removed_once_its_offset_is_committed(ledger):
    ledger.note_ended({"a": Snapshot(0, ENDED, {0: 7}), "b": Snapshot(0, b"goes on", {0: 7})})
    ledger.committed({0: 6})
    assert ledger.removable() == []
    ledger.committed({0: 7})
    assert ledger.removable() == ledger.removable([0]) == [(0, "a")]
    ledger.removed([(0, "a")])
    assert ledger.removable() == []


def test_given_away_partitions_leave_nothing(ledger):
    for patient, partition in (("a", 0), ("b", 1)):
        ledger.chunk_came(patient, partition)
        ledger.act(patient, partition, offset=4)
    ledger.note(["a", "b"])
    ledger.committed({0: 9, 1: 9})
    assert ledger.close([0]) == ["a"]
    ledger.forget([0])
    assert ledger.home("a") is None
    assert ledger.changed == {1: {"b"}}
    assert ledger.acted([0, 1]) == {1: 5}
    assert ledger.uncommitted({0: 9, 1: 9}) == {0: 9}
