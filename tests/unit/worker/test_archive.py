"""The archive's rule, turn by turn: store, then commit; wait longer each time that the store is
busy.

Consumer and producer are stand-ins that write down what they are told;
tests/integration/processor/test_archive.py has brokers.
"""

from __future__ import annotations

from types import SimpleNamespace

import confluent_kafka
import pytest

from ingest.clock import ManualClock
from ingest.errors import UnreachableError
from ingest.messages import Action, Alarm, Edit, Stored, encode
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.refusals import RefusedEvent
from stream_processor.system_alarms import system_alarm
from stream_processor.worker.archive import STALLED_S, Archive
from stream_processor.worker.stall_guard import StalledError
from stream_processor.worker.store_watch import AWAY_S
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
        self.has = range(12)  # partitions of ecg.alarms
        self.refuse: confluent_kafka.KafkaError | None = None
        self.refuse_of: set[int] = set()  # partitions whose commit fails alone

    def consume(self, _batch: int, _timeout: float) -> list[Message]:
        return self.coming.pop(0) if self.coming else []

    def assignment(self) -> list[confluent_kafka.TopicPartition]:
        return [confluent_kafka.TopicPartition("ecg.alarms", p) for p in self.has]

    def list_topics(self, _topic: str, timeout: float) -> object:
        topic = SimpleNamespace(partitions=dict.fromkeys(range(12)))
        return SimpleNamespace(topics={"ecg.alarms": topic})

    def event(self, event: Alarm, partition: int | None) -> None:
        assert partition is None
        self.log.append((event.step, event.kind))

    def check(self) -> None:
        pass

    def refused_event(self, event: Stored, reason: str) -> None:
        self.log.append(("refused", event, reason))

    def pause(self, _places: list[str]) -> None:
        self.log.append("pause")

    def resume(self, _places: list[str]) -> None:
        self.log.append("resume")

    def commit(self, offsets: list[confluent_kafka.TopicPartition], asynchronous: bool) -> object:
        assert not asynchronous
        if self.refuse is not None:
            raise confluent_kafka.KafkaException(self.refuse)
        self.log.append(("commit", {(p.topic, p.partition): p.offset for p in offsets}))
        error = confluent_kafka.KafkaError(confluent_kafka.KafkaError.UNKNOWN_TOPIC_OR_PART)
        # as in confluent-kafka, where `error` of a TopicPartition can only be read
        return [
            SimpleNamespace(
                topic=p.topic,
                partition=p.partition,
                error=error if p.partition in self.refuse_of else None,
            )
            for p in offsets
        ]

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
        self.unfit: list[RefusedEvent] = []

    def flush(self) -> None:
        self.log.append("busy" if self.busy else "flush")
        if self.busy:
            raise SinkBusyError("told to be busy")
        super().flush()

    def take_refused(self) -> list[RefusedEvent]:
        found, self.unfit = self.unfit, []
        return found


class Bench:
    def __init__(self) -> None:
        self.clock, self.kafka = ManualClock(), Consumer()
        self.sink = Store(self.kafka.log)
        self.archive = Archive("", lambda: self.sink, self.clock)

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
    bench.kafka.has = []  # another one tells the ward
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


def test_a_partition_whose_commit_fails_is_tried_again_alone(bench):
    bench.kafka.refuse_of = {4}
    assert ("commit", {(ACKS, 3): 6, (ACKS, 4): 2}) in bench.turn(an_action(5), an_action(1, 4))
    assert ("commit", {(ACKS, 4): 2}) in bench.turn()
    bench.kafka.refuse_of = set()
    assert ("commit", {(ACKS, 4): 2}) in bench.turn()
    assert bench.turn() == []


def test_an_error_that_mends_itself_is_passed_over_and_a_fatal_one_is_raised(bench):
    away = confluent_kafka.KafkaError(confluent_kafka.KafkaError._ALL_BROKERS_DOWN)
    assert bench.turn(Message(ACKS, 3, 5, None, away)) == []
    fatal = confluent_kafka.KafkaError(confluent_kafka.KafkaError._FATAL, fatal=True)
    with pytest.raises(confluent_kafka.KafkaException):
        bench.turn(Message(ACKS, 3, 5, None, fatal))


def alarm_steps(said: list[object]) -> list[object]:
    return [s for s in said if isinstance(s, tuple) and s[1] == "store_away"]


def test_a_store_that_is_away_for_30_s_is_an_alarm_that_ends_when_it_is_back(bench):
    bench.sink.busy = True
    told = []
    bench.turn(an_action(5))
    for seconds in range(1, 100):
        bench.clock.advance(1.0)
        told += [(seconds, step) for step in alarm_steps(bench.turn())]
    assert [step for _, step in told] == [("onset", "store_away")]
    assert AWAY_S <= told[0][0] <= AWAY_S + 10
    bench.sink.busy = False
    bench.clock.advance(10)
    assert alarm_steps(bench.turn()) == [("end", "store_away")]
    assert alarm_steps(bench.turn(an_action(6))) == []


def test_only_who_has_their_partition_tells_of_the_system(bench):
    bench.sink.busy, bench.kafka.has = True, []
    bench.turn(an_action(5))
    bench.clock.advance(100)
    assert alarm_steps(bench.turn()) == []


def test_an_alarm_of_an_earlier_life_is_ended(bench):
    alarm = system_alarm("store_away", 10**18, 10**18 + 5, "away")
    said = bench.turn(Message("ecg.alarms", 0, 3, encode(alarm)))
    assert alarm_steps(said) == [("end", "store_away")]


def test_what_the_store_refuses_is_on_the_dead_letter_topic_before_the_commit(bench):
    bench.sink.unfit = [RefusedEvent(action(id="x"), "too old")]
    said = bench.turn(an_action(5))
    assert said == [
        "flush",
        ("refused", action(id="x"), "too old"),
        ("settle", 7),
        ("commit", {(ACKS, 3): 6}),
        "resume",
    ]
    assert bench.archive.counters.unfit == 1


def test_who_stood_still_between_reading_and_storing_stores_nothing(bench):
    def consume(_batch: int, _timeout: float) -> list[Message]:
        bench.clock.advance(STALLED_S + 1)
        return [an_action(5)]

    bench.kafka.consume = consume
    with pytest.raises(StalledError):
        bench.turn()
    assert bench.kafka.log == []


def test_a_store_that_cannot_be_opened_is_busy_and_opened_later():
    def refuse() -> MemorySink:
        raise UnreachableError("no such disk", "Buy one.")

    bench = Bench()
    archive = Archive("", refuse, bench.clock)
    bench.kafka.coming.append([an_action(5)])
    archive._turn(bench.kafka, bench.kafka)
    assert archive.counters.store_refusals == 1
    archive._sink._open = lambda: bench.sink
    bench.clock.advance(5)
    archive._turn(bench.kafka, bench.kafka)
    assert list(bench.sink.read(Action, "p")) == [action(id="3-5")]
