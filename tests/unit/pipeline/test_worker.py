"""Slices, rounds and their order, without a broker."""

import json
from dataclasses import dataclass

import pytest
from faust.types import TP
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import Action, encode
from stream_processor.worker.app import Processor
from stream_processor.worker.checkpointer import BLOCK_PATIENTS, COMMIT_S, STORE_S, Checkpointer
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard, WardBrokeError
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.snapshots import ENDED, Restored, Snapshot
from stream_processor.worker.stall_guard import StalledError, StallGuard
from stream_processor.worker.worker import GRACE_S, Worker
from tests.fakes import FakeActions, FakeSink, FakeWard, chunk, expected, stored


@dataclass
class Message:
    offset: int
    value: bytes | None
    key: bytes | None = b"p"


class Journal:
    """An outlet and a committer that write down what was done, in order."""

    def __init__(self, sink: FakeSink) -> None:
        self.steps: list[str] = []
        self.states: dict[str, Snapshot] = {}
        self.kept: dict[tuple[int, str], Snapshot] = {}
        self.sent: dict[int, list[Message]] = {}
        self.committed: dict[int, int] = {}
        self.letters: list[str] = []
        self.refuse = False
        self._sink = sink

    def event(self, event, partition) -> None:
        self.steps.append("event")

    def dead_letter(self, record, partition, reason, topic="ecg.samples") -> None:
        self.letters.append((topic, partition, record.offset, reason))

    def state(self, patient_id, state, partition, headers=None) -> None:
        assert not self._sink.waiting, "a snapshot was written before its events were safe"
        self.steps.append("state" if state is not None else "removal")
        inside = {int(p): at for p, at in json.loads((headers or {}).get("inside", "{}")).items()}
        self.states[patient_id] = Snapshot(partition, state, inside)
        self.kept[partition, patient_id] = self.states[patient_id]

    def read(self, partitions) -> Restored:
        """What ecg.state holds of these."""
        kept = {key: s for key, s in self.kept.items() if s.state is not None}
        return Restored({patient: s for (p, patient), s in kept.items() if p in partitions})

    def input(self, until):
        """What ecg.samples holds."""
        found = {}
        for p, end in until.items():
            start = self.committed.get(p, 0)
            found[p] = start, [m for m in self.sent.get(p, []) if start <= m.offset < end]
        return found

    def mark(self) -> int:
        return 0

    def settle(self, mark) -> None:
        self.steps.append("settle")

    def check(self) -> None:
        pass

    def release(self, partitions) -> None:
        pass

    async def commit(self, offsets) -> bool:
        self.steps.append("commit")
        if not self.refuse:
            self.committed |= offsets
        return not self.refuse


class Bench:
    """A worker and a keeper on a fake ward, sink and journal."""

    def __init__(self) -> None:
        self.clock, self.sink = ManualClock(), FakeSink()
        self.journal = Journal(self.sink)
        self.actions = FakeActions()
        self.stall_guard = StallGuard(self.clock, limit_s=8.0)
        self.wards: list[FakeWard] = []
        counters = Counters()
        guarded = GuardedWard(
            self.make_ward, self.journal, self.actions, self.clock, counters, self.stall_guard
        )
        self.worker = Worker(guarded, self.journal, self.clock, counters)
        self.checkpointer = Checkpointer(
            self.worker, self.sink, self.journal, self.journal, self.clock, self.stall_guard
        )
        self.worker.pending.open([0, 1])

    def make_ward(self) -> FakeWard:
        self.wards.append(FakeWard())
        return self.wards[-1]

    @property
    def ward(self) -> FakeWard:
        """The worker's."""
        return self.worker.ward._ward

    def receive(
        self, partition: int, patient: str, numbers, *, offset: int = 0, end: bool = False
    ) -> None:
        messages = [
            Message(offset + i, encode(chunk(patient, n, end=end and n == numbers[-1])))
            for i, n in enumerate(numbers)
        ]
        self.journal.sent.setdefault(partition, []).extend(messages)
        self.worker.receive(partition, messages)


@pytest.fixture
async def bench():
    found = Bench()
    yield found
    found.worker.shut()
    found.checkpointer.shut()


async def test_round_is_events_then_snapshots_then_commit(bench):
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    assert await bench.checkpointer.finish([0])
    steps = bench.journal.steps
    assert steps == ["event"] * 3 + ["settle", "state", "settle", "commit"]
    assert bench.journal.committed == {0: 3}
    assert bench.journal.states["a"].inside == {0: 3}
    assert stored(bench.sink) == expected(["a"], 3)


async def test_busy_sink_holds_snapshots_and_commit_back(bench):
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    bench.sink.busy = True
    assert not await bench.checkpointer.finish([0])
    assert bench.journal.committed == {}
    assert bench.journal.states == {}
    bench.sink.busy = False
    assert await bench.checkpointer.finish([0])
    assert bench.journal.committed == {0: 3}
    assert bench.journal.states["a"].inside == {0: 3}


async def test_a_round_of_many_blocks_does_not_keep_events_from_the_store(bench):
    bench.receive(0, "a", range(3))
    for i in range(BLOCK_PATIENTS):
        bench.receive(1, f"b{i}", [0], offset=i)
    await bench.worker.slice()
    seen, snapshot = [], bench.worker.snapshot

    async def slow(patients):
        bench.clock.advance(STORE_S)  # as where each block waits for a long slice
        seen.append(stored(bench.sink))
        return await snapshot(patients)

    bench.worker.snapshot = slow
    assert await bench.checkpointer.finish([0, 1])
    assert len(seen) == 2
    assert seen[1] == expected(["a"], 3) | expected([f"b{i}" for i in range(BLOCK_PATIENTS)], 1), (
        "stored between the blocks"
    )
    assert bench.journal.states["a"].inside == {0: 3}


async def test_a_sink_that_is_busy_between_blocks_ends_the_round(bench):
    for i in range(2 * BLOCK_PATIENTS):
        bench.receive(1, f"b{i}", [0], offset=i)
    await bench.worker.slice()
    bench.sink.busy = True
    assert not await bench.checkpointer.finish([1])
    assert bench.worker.counters.store_refusals == 1
    assert len(bench.worker.changed[1]) == 2 * BLOCK_PATIENTS, "all are still to be snapshotted"
    assert bench.journal.committed == {}


async def test_crash_after_any_round_goes_on_exactly(bench):
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    await bench.checkpointer.finish([0])
    bench.journal.refuse = True  # the snapshot gets out, the commit does not
    bench.receive(0, "a", range(3, 6), offset=3)
    await bench.worker.slice()
    await bench.checkpointer.finish([0])
    successor = Bench()
    successor.sink = bench.sink
    successor.checkpointer._sink = bench.sink
    await successor.worker.restore([0], Restored(bench.journal.states))
    committed = bench.journal.committed[0]
    successor.receive(0, "a", range(committed, 8), offset=committed)
    await successor.worker.slice()
    assert successor.worker.counters.replayed == 3
    assert await successor.checkpointer.finish([0])
    assert stored(bench.sink) == expected(["a"], 8)
    assert bench.sink.changed == 0
    successor.worker.shut()
    successor.checkpointer.shut()


async def test_ended_stream_is_marked_until_its_end_is_committed_then_removed(bench):
    bench.receive(0, "a", range(2), end=True)
    await bench.worker.slice()
    await bench.checkpointer.finish([0])
    assert bench.journal.states["a"].state == ENDED
    await bench.checkpointer.finish([0])
    assert bench.journal.states["a"].state is None


async def test_messages_wait_until_their_partition_is_open(bench):
    bench.receive(7, "a", range(2))
    await bench.worker.slice()
    assert bench.worker.events == []
    await bench.worker.restore([7], Restored({}))
    await bench.worker.slice()
    assert len(bench.worker.events) == 2


async def test_release_closes_patients_and_forgets_what_is_pending(bench):
    bench.receive(0, "a", range(2))
    bench.receive(1, "b", range(2))
    await bench.worker.slice()
    bench.receive(0, "a", range(2, 4), offset=2)
    await bench.worker.release([0])
    await bench.worker.slice()
    assert bench.ward.patients() == ["b"]
    assert bench.worker.pending.count == 0
    assert len(bench.worker.events) == 4


@pytest.mark.parametrize("busy", [False, True])
async def test_what_is_made_while_partitions_go_is_safe_before_they_are_gone(bench, busy):
    """Stored later, it would overwrite what their next owner has made since: an alarm that has
    ended would be open again."""
    processor = Processor("no broker", FakeWard, bench.sink, bench.clock)
    processor._worker, processor._checkpointer, processor._delivery = (
        bench.worker,
        bench.checkpointer,
        bench.journal,
    )
    processor.partitions = {0, 1}
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    release = bench.worker.release

    async def after_a_slice(partitions):
        bench.receive(0, "a", range(3, 5), offset=3)
        await bench.worker.slice()
        bench.sink.busy = busy
        await release(partitions)

    bench.worker.release = after_a_slice
    if busy:
        with pytest.raises(RuntimeError, match="while the store was busy"):
            await processor._revoked({TP("ecg.samples", 0)})
        return
    await processor._revoked({TP("ecg.samples", 0)})
    assert stored(bench.sink) == expected(["a"], 5)
    assert bench.journal.steps[-1] == "settle"
    assert bench.journal.committed == {0: 3}, "the next owner reads the rest again"
    assert processor.partitions == {1}


@pytest.mark.parametrize("beats_first", [False, True])
async def test_who_stood_still_stores_and_sends_nothing_more(bench, beats_first):
    bench.stall_guard.beat()
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    bench.clock.advance(8.5)
    if beats_first:  # which of the loops wakes up first is chance
        bench.stall_guard.beat()
    bench.receive(0, "a", range(3, 5), offset=3)
    with pytest.raises(StalledError, match="stood still for 8 s"):
        await bench.checkpointer.finish([0])
    with pytest.raises(StalledError):
        await bench.worker.slice()
    assert stored(bench.sink) == set()
    assert bench.journal.steps == ["event"] * 3, "those of before"


async def test_garbage_is_named_and_passed_over(bench):
    bench.worker.receive(
        0, [Message(0, b"\xc1"), Message(1, None), Message(2, encode(chunk("a", 0)))]
    )
    await bench.worker.slice()
    assert len(bench.journal.letters) == 2
    assert len(bench.worker.events) == 1
    await bench.checkpointer.finish([0])
    assert bench.journal.committed == {0: 3}


async def test_timers_run_without_messages_but_not_while_the_delivery_waits(bench):
    bench.clock.advance(1.0)
    await bench.worker.slice()
    assert bench.ward.clock_calls == 1
    bench.worker.held_up = lambda: True
    bench.clock.advance(1.0)
    await bench.worker.slice()
    bench.worker.held_up = lambda: False
    bench.clock.advance(GRACE_S - 0.1)
    await bench.worker.slice()
    assert bench.ward.clock_calls == 1
    bench.clock.advance(1.0)
    await bench.worker.slice()
    assert bench.ward.clock_calls == 2


async def test_what_breaks_the_ward_whatever_it_gets_breaks_the_worker(bench, monkeypatch):
    def burst(ward):
        raise ZeroDivisionError

    monkeypatch.setattr(FakeWard, "on_clock", burst)
    bench.receive(0, "a", range(1))
    bench.clock.advance(1.0)
    await bench.worker.slice()
    assert bench.worker.counters.rebuilds == 1
    bench.clock.advance(2 * GRACE_S)
    with pytest.raises(WardBrokeError, match="ZeroDivisionError"):
        await bench.worker.slice()
    assert bench.journal.committed == {}


async def test_rounds_are_due_by_time_and_when_idle(bench):
    bench.receive(0, "a", range(2))
    await bench.worker.slice()
    assert bench.checkpointer._due(bench.clock.steady_s()) == []
    bench.clock.advance(COMMIT_S + 0.1)
    assert bench.checkpointer._due(bench.clock.steady_s()) == [0]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 30)), max_size=20), st.integers(1, 50))
def test_intake_gives_everything_once_and_in_order(arrivals, limit):
    pending, sent = PendingInput(), dict.fromkeys(range(4), 0)
    pending.open(range(4))
    got: dict[int, list[int]] = {p: [] for p in range(4)}
    for partition, n in arrivals:
        first = max(sent[partition] - 3, 0)  # a consumer that steps back repeats some
        sent[partition] = max(sent[partition], first + n)
        pending.add(partition, [Message(first + i, b"x") for i in range(n)])
        taken = pending.take(limit)
        for p, message in taken:
            got[p].append(message.offset)
        pending.done(taken)
    while taken := pending.take(limit):
        for p, message in taken:
            got[p].append(message.offset)
        pending.done(taken)
    assert got == {p: list(range(sent[p])) for p in range(4)}
    assert pending.count == pending.bytes == 0
    assert pending.positions() == {p: n for p, n in sent.items() if n}


def placed(partition: int, offset: int, patient: str) -> Placed:
    return Placed(
        partition,
        offset,
        Action(patient_id=patient, time_ns=1, id="i", by="Ada", action="acknowledge"),
    )


async def test_actions_of_our_partitions_reach_the_ward_and_are_committed_with_the_snapshots(bench):
    bench.receive(0, "a", range(3))
    bench.actions.waiting = [placed(0, 4, "a"), placed(5, 9, "somebody else's")]
    await bench.worker.slice()
    assert bench.ward.acted == [(4, "a")]
    assert bench.actions.committed == {}
    assert await bench.checkpointer.finish([0])
    assert bench.actions.committed == {0: 5}


async def test_an_action_alone_makes_a_snapshot_due(bench):
    bench.clock.advance(1.0)  # the timers are due, nothing else
    bench.actions.waiting = [placed(1, 0, "latched long ago")]
    await bench.worker.slice()
    assert bench.worker.changed == {1: {"latched long ago"}}


async def test_restored_patients_hear_where_the_actions_end(bench):
    state = Snapshot(0, b"[150, 3]", {0: 3})
    await bench.worker.restore([0], Restored({"a": state}))
    assert bench.ward.expected == {0: 7, 1: 7}
    await bench.worker.release([0])
    assert bench.actions.assigned == {1}
