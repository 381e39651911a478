"""The archive's rule, turn by turn: store, then commit; wait longer each time that the store is
busy.

Consumer and producer are stand-ins that write down what they are told;
tests/integration/test_archive.py has brokers.
"""

from __future__ import annotations

import confluent_kafka
import pytest

from ingest.clock import ManualClock
from ingest.messages import Action, Edit, encode
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from stream_processor.worker.archive import Archive
from tests.contract.test_sinks import action, edit

ACKS, EDITS = "ecg.acks", "ecg.edits"


class Message:
    def __init__(
        self,
        topic: str,
        partition: int,
        offset: int,
        value: bytes | None,
        error: confluent_kafka.KafkaError | None = None,
    ):
        self._said = {
            "topic": topic,
            "partition": partition,
            "offset": offset,
            "value": value,
            "error": error,
            "key": b"p",
        }

    def __getattr__(self, name: str):
        return lambda: self._said[name]


class Consumer:
    """Also the outlet: one list tells the order of things."""

    def __init__(self) -> None:
        self.coming: list[list[Message]] = []
        self.log: list[object] = []
        self.refuse: confluent_kafka.KafkaError | None = None

    def consume(self, _batch: int, _timeout: float) -> list[Message]:
        return self.coming.pop(0) if self.coming else []

    def assignment(self) -> list[str]:
        return []

    def pause(self, _places: list[str]) -> None:
        self.log.append("pause")

    def resume(self, _places: list[str]) -> None:
        self.log.append("resume")

    def commit(self, offsets: list[confluent_kafka.TopicPartition], asynchronous: bool) -> None:
        assert not asynchronous
        if self.refuse is not None:
            raise confluent_kafka.KafkaException(self.refuse)
        self.log.append(("commit", {(p.topic, p.partition): p.offset for p in offsets}))

    def dead_letter(self, record, partition: int, reason: str, topic: str) -> None:
        self.log.append(("dead letter", topic, partition, record.offset, reason))

    def mark(self) -> int:
        return 7

    def settle(self, mark: int) -> None:
        self.log.append(("settle", mark))


class Store(MemorySink):
    def __init__(self, log: list[object]) -> None:
        super().__init__()
        self.log, self.busy = log, False

    def flush(self) -> None:
        self.log.append("busy" if self.busy else "flush")
        if self.busy:
            raise SinkBusyError("told to be busy")
        super().flush()


class Bench:
    def __init__(self) -> None:
        self.clock, self.kafka = ManualClock(), Consumer()
        self.sink = Store(self.kafka.log)
        self.archive = Archive("", self.sink, self.clock)

    def turn(self, *messages: Message) -> list[object]:
        """What happens in a turn in which these messages come."""
        self.kafka.coming.append(list(messages))
        self.kafka.log.clear()
        self.archive._turn(self.kafka, self.kafka)
        return list(self.kafka.log)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def an_action(offset: int, partition: int = 3) -> Message:
    return Message(ACKS, partition, offset, encode(action(id=f"{partition}-{offset}")))


def test_stores_then_commits(bench):
    said = bench.turn(an_action(5), an_action(6), Message(EDITS, 0, 9, encode(edit())))
    assert said == ["flush", ("settle", 7), ("commit", {(ACKS, 3): 7, (EDITS, 0): 10}), "resume"]
    assert list(bench.sink.read(Action, "p")) == [action(id="3-5"), action(id="3-6")]
    assert list(bench.sink.read(Edit, "p")) == [edit()]
    assert bench.turn() == []


def test_what_is_garbage_is_on_the_dead_letter_topic_before_the_commit(bench):
    said = bench.turn(Message(ACKS, 3, 5, b"\xc1"), Message(ACKS, 3, 6, None), an_action(7))
    assert [s[:4] for s in said[:2]] == [("dead letter", ACKS, 3, 5), ("dead letter", ACKS, 3, 6)]
    assert said[2:] == ["flush", ("settle", 7), ("commit", {(ACKS, 3): 8}), "resume"]


def test_a_busy_store_is_tried_again_ever_later(bench):
    bench.sink.busy, tries = True, []
    bench.turn(an_action(5))
    for half_seconds in range(1, 80):
        bench.clock.advance(0.5)
        said = bench.turn()
        assert said[0] == "pause"
        tries += [half_seconds / 2] if "busy" in said else []
    assert tries == [1, 3, 7, 15, 25, 35]
    bench.sink.busy = False
    bench.clock.advance(10)
    assert bench.turn()[1:] == ["flush", ("settle", 7), ("commit", {(ACKS, 3): 6}), "resume"]
    assert list(bench.sink.read(Action, "p")) == [action(id="3-5")]


def test_what_belongs_to_another_is_not_committed(bench):
    bench.sink.busy = True
    bench.turn(an_action(5, partition=3), an_action(5, partition=4))
    bench.archive._revoked(bench.kafka, [confluent_kafka.TopicPartition(ACKS, 3)])
    bench.sink.busy = False
    bench.clock.advance(1)
    assert ("commit", {(ACKS, 4): 6}) in bench.turn()
    assert len(list(bench.sink.read(Action, "p"))) == 2  # twice is as good as once


def test_a_commit_that_fails_is_made_up_for(bench):
    bench.kafka.refuse = confluent_kafka.KafkaError(confluent_kafka.KafkaError._TRANSPORT)
    bench.turn(an_action(5))
    bench.kafka.refuse = None
    assert ("commit", {(ACKS, 3): 6}) in bench.turn()
    assert bench.turn() == []


def test_an_error_that_mends_itself_is_passed_over_and_a_fatal_one_is_raised(bench):
    away = confluent_kafka.KafkaError(confluent_kafka.KafkaError._ALL_BROKERS_DOWN)
    assert bench.turn(Message(ACKS, 3, 5, None, away)) == []
    fatal = confluent_kafka.KafkaError(confluent_kafka.KafkaError._FATAL, fatal=True)
    with pytest.raises(confluent_kafka.KafkaException):
        bench.turn(Message(ACKS, 3, 5, None, fatal))
