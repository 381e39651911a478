"""What goes through the topics of actions, deliveries, scores and edits is stored, once each,
whatever happens in between."""

from __future__ import annotations

import math
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
import pytest

from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import Action, Delivery, Edit, Score, Stored, encode
from stream_processor.sinks.base import SinkBusyError
from stream_processor.sinks.memory import MemorySink
from stream_processor.sinks.sqlite import SqliteSink
from stream_processor.worker.archive import KINDS, Archive
from tests.brokers import kafka_first
from tests.contract.test_sinks import action, delivery, edit, score
from tests.integration.processor.test_process import messages

T0 = 1_750_000_000_000_000_000
WAIT_S = 90.0
TOPIC = {kind: topic for topic, kind in KINDS.items()}
PATIENTS = [f"p{i}" for i in range(9)]


def some(number: int) -> list[Stored]:
    """A message of each kind for each patient."""
    t, id = T0 + number * 10**9, f"id-{number}"
    return [
        m
        for p in PATIENTS
        for m in (action(p, t, id), delivery(p, t, id), edit(p, t, id), score(p, t))
    ]


def send(address: str, sent: list[Stored]) -> None:
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "log_level": 0, "partitioner": "murmur2_random"}
    )
    for message in sent:
        producer.produce(TOPIC[type(message)], encode(message), message.patient_id.encode())
    assert producer.flush(60) == 0


def stored(sink: SqliteSink | MemorySink) -> set[bytes]:
    found = [
        encode(m)
        for p in sink.patients()
        for kind in (Action, Delivery, Score, Edit)
        for m in sink.read(kind, p)
    ]
    assert len(set(found)) == len(found)
    return set(found)


def wanted(numbers: range) -> set[bytes]:
    return {encode(m) for number in numbers for m in some(number)}


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def archiving(address: str, sink: SqliteSink | MemorySink) -> Iterator[Archive]:
    archive = Archive(address, lambda: sink, SystemClock())
    archive.start(broken=lambda: None)
    try:
        yield archive
    finally:
        archive.stop()
        assert archive.error is None


@contextmanager
def looking(path: Path) -> Iterator[Callable[[], set[bytes]]]:
    sink = SqliteSink(path)
    yield lambda: stored(sink)
    sink.close()


@kafka_first
def test_everything_is_stored_and_a_restart_goes_on(broker, tmp_path):
    create_topics(broker.address)
    send(broker.address, some(0))  # before the group exists
    with looking(tmp_path / "events.db") as found:
        with archiving(broker.address, SqliteSink(tmp_path / "events.db")):
            until(lambda: found() == wanted(range(1)))
            send(broker.address, some(1))
            until(lambda: found() == wanted(range(2)))
        send(broker.address, some(2))
        again = CountingSink()
        with archiving(broker.address, again):
            # the commit held: nothing was read again
            until(lambda: stored(again) == wanted(range(2, 3)))
        assert again.added == len(some(2))


class CountingSink(MemorySink):
    """Refuses while `busy`, and counts."""

    def __init__(self) -> None:
        super().__init__()
        self.busy = False
        self.added = self.refusals = 0

    def add(self, event: Stored) -> None:
        self.added += 1
        super().add(event)

    def flush(self) -> None:
        if self.busy:
            self.refusals += 1
            raise SinkBusyError("told to be busy")
        super().flush()


@kafka_first
def test_a_busy_store_loses_nothing_and_is_left_alone(broker):
    create_topics(broker.address)
    sink = CountingSink()
    sink.busy = True
    send(broker.address, some(0))
    with archiving(broker.address, sink):
        began = time.monotonic()
        until(lambda: sink.refusals >= 1)
        for number in (1, 2):
            send(broker.address, some(number))
            time.sleep(1.5)
        refusals = sink.refusals
        assert refusals <= 2 + math.log2(1 + time.monotonic() - began)  # after 1, 2, 4 seconds
        assert sink.pending <= len(some(0)) * 3
        sink.busy = False
        until(lambda: stored(sink) == wanted(range(3)))


@kafka_first
def test_garbage_goes_to_the_dead_letter_topic(broker):
    create_topics(broker.address)
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.address, "log_level": 0})
    garbage = {
        topic: [os.urandom(n) for n in range(20, 40)] + [b"", encode(score())[:-1]]
        for topic in KINDS
    }
    for topic, found in garbage.items():
        for data in found:
            producer.produce(topic, data, key=b"p1")
    producer.produce("ecg.acks", None, key=b"p1")
    assert producer.flush(60) == 0
    sink = MemorySink()
    with archiving(broker.address, sink):
        send(broker.address, some(0))
        until(lambda: stored(sink) == wanted(range(1)))
        until(lambda: len(messages(broker.address, "ecg.dead-letter")) == len(KINDS) * 22 + 1)
    letters = messages(broker.address, "ecg.dead-letter")
    assert sorted(m.value() or b"" for m in letters) == sorted(
        [*(d for found in garbage.values() for d in found), b""]
    )
    for letter in letters:
        headers = {k: v.decode() for k, v in letter.headers()}
        assert headers["reason"].startswith(f"not a {KINDS[headers['topic']].__name__}")
        assert (letter.value() or b"") in [*garbage[headers["topic"]], b""]


def test_two_share_and_one_is_enough(empty_kafka):
    create_topics(empty_kafka.address)
    first, second = CountingSink(), CountingSink()
    with archiving(empty_kafka.address, first):
        send(empty_kafka.address, some(0))
        until(lambda: stored(first) == wanted(range(1)))
        with archiving(empty_kafka.address, second):
            number = 1
            deadline = time.monotonic() + WAIT_S
            while not stored(second):
                assert time.monotonic() < deadline
                send(empty_kafka.address, some(number))
                number += 1
                time.sleep(0.5)
            until(lambda: stored(first) | stored(second) == wanted(range(number)))
        send(empty_kafka.address, some(number))
        until(lambda: stored(first) | stored(second) == wanted(range(number + 1)))


WORKER = """
import sys, threading
from pathlib import Path
from ingest.clock import SystemClock
from stream_processor.worker.archive import Archive
from stream_processor.sinks.sqlite import SqliteSink
Archive(sys.argv[1], lambda: SqliteSink(Path(sys.argv[2])), SystemClock()).start(broken=lambda: None)
print("started", flush=True)
threading.Event().wait()
"""


@pytest.mark.slow
def test_kill_9(broker, tmp_path):
    """While messages come."""
    create_topics(broker.address)
    path = tmp_path / "events.db"
    sending = threading.Thread(
        target=lambda: [(send(broker.address, some(n)), time.sleep(0.1)) for n in range(60)]
    )
    sending.start()
    with looking(path) as found:
        process = subprocess.Popen(
            [sys.executable, "-c", WORKER, broker.address, str(path)], stdout=subprocess.PIPE
        )
        until(lambda: len(found()) > 0)
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
        with archiving(broker.address, SqliteSink(path)):
            until(lambda: len(found()) == 60 * len(some(0)))
        sending.join()
        assert found() == wanted(range(60))


@kafka_first
def test_a_locked_file_is_waited_for(broker, tmp_path):
    create_topics(broker.address)
    path = tmp_path / "events.db"
    with looking(path) as found, archiving(broker.address, SqliteSink(path)):
        send(broker.address, some(0))
        until(lambda: found() == wanted(range(1)))
        other = sqlite3.connect(path)
        other.execute("BEGIN IMMEDIATE")
        send(broker.address, some(1))
        time.sleep(3.5)  # longer than a flush waits for a lock
        other.rollback()
        other.close()
        until(lambda: found() == wanted(range(2)))


@pytest.mark.parametrize("kind", TOPIC)
def test_topics_are_those_that_the_messages_name(kind):
    assert f"Topic {TOPIC[kind]}." in " ".join(kind.__doc__.split())
