"""Slices, rounds and their order, without a broker."""

import asyncio
import json
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import Action, encode
from stream_processor.worker.checkpointer import COMMIT_S, Checkpointer
from stream_processor.worker.counters import Counters
from stream_processor.worker.guarded_ward import GuardedWard, WardBrokeError
from stream_processor.worker.ledger import Ledger
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.pending_input import PendingInput
from stream_processor.worker.snapshots import ENDED, Restored, Snapshot
from stream_processor.worker.stall_guard import StalledError, StallGuard
from stream_processor.worker.worker import GRACE_S, Worker
from tests.fakes import FakeActions, FakeWard, chunk, expected


@dataclass
class Message:
    offset: int
    value: bytes | None
    key: bytes | None = b"p"


class Journal:
    """An outlet and a committer that write down what was done, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.states: dict[str, Snapshot] = {}
        self.kept: dict[tuple[int, str], Snapshot] = {}
        self.sent: dict[int, list[Message]] = {}
        self.committed: dict[int, int] = {}
        self.letters: list[str] = []
        self.refuse = False
        self.beats: set[tuple[str, int, float | None]] = set()
        self.unsettled = 0
        self.changed = 0  # events sent again with another content

    def event(self, event, partition) -> None:
        self.steps.append("event")
        self.unsettled += 1
        beat = (event.patient_id, event.time_ns, event.rr_ms)
        self.changed += any(b[:2] == beat[:2] and b != beat for b in self.beats)
        self.beats.add(beat)

    def orders(self, patient_id, orders, partition) -> None:
        raise AssertionError("the fake ward takes no orders")

    def dead_letter(self, record, partition, reason, topic="ecg.samples") -> None:
        self.letters.append((topic, partition, record.offset, reason))

    def state(self, patient_id, state, partition, headers=None) -> None:
        assert not self.unsettled, "a snapshot was written before its events were safe"
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
        self.unsettled = 0

    def check(self) -> None:
        pass

    def release(self, partitions) -> None:
        self.released = set(partitions)

    async def commit(self, offsets) -> bool:
        self.steps.append("commit")
        if not self.refuse:
            self.committed |= offsets
        return not self.refuse


class Bench:
    """A worker and a checkpointer on a fake ward, sink and journal."""

    def __init__(self) -> None:
        self.clock, self.journal = ManualClock(), Journal()
        self.actions = FakeActions()
        self.stall_guard = StallGuard(self.clock, limit_s=8.0)
        self.wards: list[FakeWard] = []
        counters, self.ledger, self.stop = Counters(), Ledger(), asyncio.Event()
        self.guarded = GuardedWard(
            self.make_ward,
            self.ledger,
            self.journal,
            self.actions,
            self.clock,
            counters,
            self.stall_guard,
        )
        self.worker = Worker(
            self.guarded, self.ledger, self.journal, self.clock, counters, self.stop
        )
        self.checkpointer = Checkpointer(
            self.worker, self.ledger, self.journal, self.journal, self.clock, self.stall_guard
        )
        self.ledger.pending.open([0, 1])

    def make_ward(self) -> FakeWard:
        self.wards.append(FakeWard())
        return self.wards[-1]

    @property
    def ward(self) -> FakeWard:
        """The worker's."""
        return self.worker._ward._ward

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
    await bench.checkpointer.finish([0])
    steps = bench.journal.steps
    assert steps == ["event"] * 3 + ["settle", "state", "settle", "commit"]
    assert bench.journal.committed == {0: 3}
    assert bench.journal.states["a"].inside == {0: 3}
    assert bench.journal.beats == expected(["a"], 3)


async def test_crash_after_any_round_goes_on_exactly(bench):
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    await bench.checkpointer.finish([0])
    bench.journal.refuse = True  # the snapshot gets out, the commit does not
    bench.receive(0, "a", range(3, 6), offset=3)
    await bench.worker.slice()
    await bench.checkpointer.finish([0])
    successor = Bench()
    successor.journal.beats = bench.journal.beats
    await successor.worker.restore([0], Restored(bench.journal.states))
    committed = bench.journal.committed[0]
    successor.receive(0, "a", range(committed, 8), offset=committed)
    await successor.worker.slice()
    assert successor.worker.counters.replayed == 3
    await successor.checkpointer.finish([0])
    assert bench.journal.beats == expected(["a"], 8)
    assert successor.journal.changed == 0
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
    assert bench.journal.steps == []
    await bench.worker.restore([7], Restored({}))
    await bench.worker.slice()
    assert bench.journal.steps.count("event") == 2


async def test_nothing_is_processed_of_partitions_whose_patients_could_not_be_restored(bench):
    """Before the process ends, a slice would begin their streams anew."""
    bench.receive(7, "a", range(2))
    bench.actions.away = True
    with pytest.raises(ConnectionError):
        await bench.worker.restore([7], Restored({}))
    bench.receive(7, "a", range(2, 4), offset=2)
    await bench.worker.slice()
    assert bench.journal.steps == []
    assert 7 not in bench.ledger.pending.positions()


async def test_release_closes_patients_and_forgets_what_is_pending(bench):
    bench.receive(0, "a", range(2))
    bench.receive(1, "b", range(2))
    await bench.worker.slice()
    bench.receive(0, "a", range(2, 4), offset=2)
    await bench.worker.release([0])
    await bench.worker.slice()
    assert bench.ward.patients() == ["b"]
    assert bench.ledger.pending.count == 0
    assert bench.journal.steps.count("event") == 4


async def test_what_is_made_while_partitions_go_is_safe_before_they_are_gone(bench):
    """Sent later, it would come behind what their next owner has made since: an alarm that has
    ended would be open again."""
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    release = bench.worker.release

    async def after_a_slice(partitions):
        bench.receive(0, "a", range(3, 5), offset=3)
        await bench.worker.slice()
        await release(partitions)

    bench.worker.release = after_a_slice
    await bench.checkpointer.hand_over({0})
    assert bench.journal.beats == expected(["a"], 5)
    assert bench.journal.steps[-1] == "settle"
    assert bench.journal.committed == {0: 3}, "the next owner reads the rest again"
    assert bench.ledger.pending.partitions == {1}
    assert bench.journal.released == {0}


@pytest.mark.parametrize("beats_first", [False, True])
async def test_who_stood_still_stores_and_sends_nothing_more(bench, beats_first):
    bench.stall_guard.beat()
    bench.receive(0, "a", range(3))
    await bench.worker.slice()
    bench.clock.advance(8.5)
    if beats_first:  # which of the loops wakes up first is chance
        bench.stall_guard.beat()
    bench.receive(0, "a", range(3, 5), offset=3)
    with pytest.raises(StalledError, match="paused for 8 s"):
        await bench.checkpointer.finish([0])
    with pytest.raises(StalledError):
        await bench.worker.slice()
    assert bench.journal.steps == ["event"] * 3, "those of before"


async def test_garbage_is_named_and_passed_over(bench):
    bench.worker.receive(
        0, [Message(0, b"\xc1"), Message(1, None), Message(2, encode(chunk("a", 0)))]
    )
    await bench.worker.slice()
    assert len(bench.journal.letters) == 2
    assert bench.journal.steps.count("event") == 1
    await bench.checkpointer.finish([0])
    assert bench.journal.committed == {0: 3}


async def test_timers_run_without_messages_but_not_while_the_delivery_waits(bench):
    bench.clock.advance(1.0)
    await bench.worker.slice()
    assert bench.ward.clock_calls == 1
    bench.stop.set()  # as while too much is pending
    bench.clock.advance(1.0)
    await bench.worker.slice()
    bench.stop.clear()
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
    await bench.checkpointer.finish([0])
    assert bench.actions.committed == {0: 5}


async def test_an_action_alone_makes_a_snapshot_due(bench):
    bench.clock.advance(1.0)  # the timers are due, nothing else
    bench.actions.waiting = [placed(1, 0, "latched long ago")]
    await bench.worker.slice()
    assert bench.ledger.changed == {1: {"latched long ago"}}


async def test_restored_patients_hear_where_the_actions_end(bench):
    state = Snapshot(0, b"[150, 3]", {0: 3})
    await bench.worker.restore([0], Restored({"a": state}))
    assert bench.ward.expected == {0: 7, 1: 7}
    await bench.worker.release([0])
    assert bench.actions.assigned == {1}
