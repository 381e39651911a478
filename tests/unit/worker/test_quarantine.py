"""What breaks the ward is found and refused; the others lose nothing."""

from __future__ import annotations

import msgspec
import pytest

from ingest.messages import Action, encode
from stream_processor.worker.operator_actions import Placed
from stream_processor.worker.quarantine import MOST, PROBATION_S
from stream_processor.worker.worker import MAX_SLICE
from tests.fakes import FakeWard, chunk, expected
from tests.unit.worker.test_worker import Bench, Message


class Fragile(FakeWard):
    """Breaks with a chunk of device "poison", with an action by "poison", and with any chunk of a
    patient whose state is bad."""

    def push(self, chunks):
        for c in chunks:
            if c.device_id == "poison" or self.state.get(c.patient_id, (0, 0))[1] < 0:
                self.state.clear()  # as where it breaks down halfway
                raise ZeroDivisionError("poison")
        return super().push(chunks)

    def act(self, actions):
        if any(action.by == "poison" for _, _, action in actions):
            raise KeyError("poison")
        return super().act(actions)


class FragileBench(Bench):
    def make_ward(self) -> Fragile:
        self.wards.append(Fragile())
        return self.wards[-1]

    def send(self, partition: int, messages: list[Message]) -> None:
        self.journal.sent.setdefault(partition, []).extend(messages)
        self.worker.receive(partition, messages)

    async def settle(self) -> None:
        while self.ledger.pending.ready:
            await self.worker.slice()
        await self.checkpointer.finish([0, 1])


@pytest.fixture
async def bench():
    found = FragileBench()
    yield found
    found.worker.shut()
    found.checkpointer.shut()


def mixed(patients: list[str], rounds: range, poison: dict[tuple[str, int], str]) -> list[Message]:
    """Chunks of all patients in turn; those named are of the device that breaks the ward."""
    found = []
    for number in rounds:
        for patient in patients:
            device = "poison" if (patient, number) in poison else "fake"
            sent = msgspec.structs.replace(chunk(patient, number), device_id=device)
            found.append(Message(len(found), encode(sent), patient.encode()))
    return found


PATIENTS = [f"p{i}" for i in range(11)]


@pytest.mark.parametrize("committed", [0, 4])
async def test_a_chunk_that_breaks_the_ward_is_refused_and_nobody_else_loses_anything(
    bench, committed
):
    poison = {("p3", 5): "", ("p3", 7): "", ("p8", 6): ""}
    messages = mixed(PATIENTS, range(9), poison)
    before = committed * len(PATIENTS)
    if committed:
        bench.send(0, messages[:before])
        await bench.settle()
    bench.send(0, messages[before:])
    await bench.settle()
    letters = {(topic, offset) for topic, _, offset, _ in bench.journal.letters}
    assert letters == {("ecg.samples", n * len(PATIENTS) + i) for i, n in ((3, 5), (3, 7), (8, 6))}
    assert {reason for *_, reason in bench.journal.letters} == {"ZeroDivisionError: poison"}
    others = [p for p in PATIENTS if p not in ("p3", "p8")]
    assert bench.journal.beats >= expected(others, 9)
    assert len([b for b in bench.journal.beats if b[0] == "p3"]) == 7
    told = {(patient, kind) for patient, kind, _ in bench.ward.technical}
    assert told == {("p3", "input_refused"), ("p8", "input_refused")}
    assert bench.worker.counters.rebuilds == 1
    assert bench.worker.counters.refused == 3
    assert bench.journal.committed == {0: len(messages)}


async def test_a_patient_whose_input_broke_the_ward_is_tried_apart_for_a_while(bench):
    bench.send(0, mixed(["a", "b"], range(3), {("a", 1): ""}))
    await bench.settle()
    for n in range(3, 9):
        more = mixed(["a", "b"], range(n, n + 1), {("a", n): ""})
        bench.send(0, [Message(2 * n + i, m.value, m.key) for i, m in enumerate(more)])
        await bench.settle()
    assert bench.worker.counters.rebuilds == 1
    assert bench.worker.counters.refused == 7
    assert bench.journal.beats >= expected(["b"], 9)
    bench.clock.advance(PROBATION_S + 1)
    bench.receive(1, "b2", range(1))
    await bench.worker.slice()
    assert bench.guarded._quarantine.idle


async def test_an_action_that_breaks_the_ward_is_refused(bench):
    bench.receive(0, "a", range(3))
    bad = Action(patient_id="a", time_ns=1, id="x", by="poison", action="acknowledge")
    good = Action(patient_id="a", time_ns=1, id="y", by="Ada", action="acknowledge")
    placed = [Placed(0, 4, bad), Placed(0, 5, good)]
    bench.actions.waiting = list(placed)
    take = bench.actions.assign

    def assign(partitions):  # from the commit again
        bench.actions.waiting = list(placed)
        return take(partitions)

    bench.actions.assign = assign
    await bench.settle()
    assert [(topic, offset) for topic, _, offset, _ in bench.journal.letters] == [("ecg.acks", 4)]
    assert bench.ward.acted == [(5, "a")]
    assert bench.journal.beats == expected(["a"], 3)
    assert bench.actions.committed == {0: 6}


async def test_a_state_that_breaks_the_ward_is_given_up_and_told(bench):
    bench.receive(0, "a", range(3))
    bench.receive(1, "b", range(3))
    await bench.worker.slice()
    bench.ward.state["a"] = (150, -1)
    await bench.checkpointer.finish([0, 1])
    bench.receive(0, "a", range(3, 6), offset=3)
    bench.receive(1, "b", range(3, 6), offset=3)
    await bench.settle()
    assert [(patient, kind) for patient, kind, _ in bench.ward.technical] == [("a", "state_lost")]
    assert bench.journal.letters == []
    assert bench.ward.state == {"a": (300, 3), "b": (300, 6)}


async def test_a_flood_of_poison_is_refused_in_bounded_time(bench):
    n = 600
    messages = mixed(["a", "b"], range(n), {("a", i): "" for i in range(n)})
    assert len(messages) <= MAX_SLICE
    bench.send(0, messages)
    await bench.settle()
    assert bench.worker.counters.refused == n
    assert bench.journal.beats == expected(["b"], n)
    assert len(bench.wards) < 15 * MOST
