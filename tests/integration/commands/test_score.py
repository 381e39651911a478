"""The live scorer by the product's own commands: what it says at the end of a replay is what
offline scoring says of the same record."""

from __future__ import annotations

import functools
import math
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka
import numpy as np
import pytest
from confluent_kafka.admin import AdminClient

from ecgwatch.annotate import Annotated, annotate, new_ward
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import Beat, Reference, Rhythm, Score, decode, encode
from ingest.producer import Producer
from ingest.replay import Due, merge, play, stream
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from ingest.sources.wfdb_record import WfdbSource
from ingest.topics import SCORES_GROUP
from stream_processor.scoring.beats import score_beats
from stream_processor.scoring.reference import Mark, Record, Symbol, reference
from stream_processor.scoring.scorer import INPUTS, Scorer

SECONDS = 120
SCENARIOS = ("pvcs", "vf", "afib")
WAIT_S = 140.0  # many times what it takes; twice fits into a test's time


class Commands:
    """`ecgwatch` processes on one broker."""

    def __init__(self, address: str) -> None:
        self.environment = os.environ | {
            "ECGWATCH_BROKER": address,
            "ECGWATCH_SINK": "memory:",
            "OPENBLAS_NUM_THREADS": "1",
        }
        self.running: list[subprocess.Popen[str]] = []

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-m", "ecgwatch", *arguments],
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.running.append(child)
        return child


@pytest.fixture
def commands(broker) -> Iterator[Commands]:
    made = Commands(broker.address)
    yield made
    for child in made.running:
        child.terminate()
        child.communicate(timeout=60)


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    for name in SCENARIOS:
        write_wfdb(load(name), folder, name, SECONDS)
    return folder


def ready(child: subprocess.Popen[str], word: str) -> None:
    assert child.stdout
    assert word in child.stdout.readline()


class Scores:
    """ecg.scores, from its beginning."""

    def __init__(self, address: str) -> None:
        self.address = address

    def read(self) -> list[Score]:
        consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": self.address,
                "group.id": "looker",
                "enable.partition.eof": True,
                "log_level": 0,
            }
        )
        try:
            parts = set(
                consumer.list_topics("ecg.scores", timeout=30).topics["ecg.scores"].partitions
            )
            consumer.assign([confluent_kafka.TopicPartition("ecg.scores", p, 0) for p in parts])
            found = []
            while parts:
                for message in consumer.consume(500, timeout=0.3):
                    if message.error():
                        parts.discard(message.partition())
                    else:
                        found.append(decode(message.value(), Score))
            return found
        finally:
            consumer.close()

    def until(self, condition: Callable[[list[Score]], bool]) -> list[Score]:
        deadline = time.monotonic() + WAIT_S
        while not condition(found := self.read()):
            assert time.monotonic() < deadline, found[-3:]
            time.sleep(0.5)
        return found


def whole(scores: list[Score], start_ns: int, patients: int = len(SCENARIOS)) -> bool:
    """Whether every patient has a score up to the record's end."""
    return (
        sum(
            s.time_ns >= start_ns + (SECONDS - 0.1) * 1e9
            for s in {s.patient_id: s for s in scores}.values()
        )
        == patients
    )


# 4: any other; 0: not compared
GROUPS = {
    **dict.fromkeys(("N", "SBR", "STACH", "SARR"), 1),
    "AFIB": 2,
    **dict.fromkeys(("VT", "VF", "VFL", "ASYS"), 3),
    **dict.fromkeys(("~", "NOISE"), 0),
}


def agreement(record: Path, ours: Annotated) -> tuple[float, float]:
    """Seconds with a rhythm on both sides, and those with the same one: sample by sample."""
    sides = np.zeros((2, ours.samples), int)
    for note in WfdbSource(record).annotations:
        if note.symbol == "+":
            sides[0, note.sample :] = GROUPS.get(note.aux.removeprefix("("), 4)
    for episode in ours.rhythm:
        sides[1, episode.start_sample : episode.end_sample] = GROUPS.get(episode.label, 4)
    both = (sides != 0).all(axis=0)
    return round(both.sum() / ours.fs_hz, 3), round(
        (both & (sides[0] == sides[1])).sum() / ours.fs_hz, 3
    )


@functools.cache
def offline(record: Path) -> tuple[Annotated, list[tuple[int, int, int]]]:
    """What the stream would tell of the record, and its counts of QRS, V and S."""
    source = WfdbSource(record)
    ours = annotate(source, new_ward())
    theirs = reference([Symbol(*a) for a in source.annotations], source.fs_hz, ours.samples)
    found = score_beats(
        theirs,
        Record(source.fs_hz, ours.samples, tuple(Mark(b.sample, b.label) for b in ours.beats)),
        0.0,
    )
    return ours, [(c.tp, c.fn, c.fp) for c in (found.qrs, found.veb, found.sveb)]


def counts(s: Score) -> list[tuple[int, int, int]]:
    return [(s.qrs_tp, s.qrs_fn, s.qrs_fp), (s.v_tp, s.v_fn, s.v_fp), (s.s_tp, s.s_fn, s.s_fp)]


def replay(
    broker: str, records: Path, start_ns: int, on_half: Callable[[], None] = lambda: None
) -> None:
    """The records as live streams, as fast as can be; `on_half` is called halfway through."""
    streams = [stream(WfdbSource(records / name), name, start_ns) for name in SCENARIOS]
    called = False

    def sent(item: Due) -> None:
        nonlocal called
        if item.due_s >= SECONDS / 2 and not called:
            called = True
            on_half()

    with Producer(broker, SystemClock()) as producer:
        play(merge(streams), producer.send, SystemClock(), speed=math.inf, on_sent=sent)


def check_final(scores: list[Score], records: Path, start_ns: int) -> None:
    last = {s.patient_id: s for s in scores if s.time_ns >= start_ns}
    for name in SCENARIOS:
        ours, wanted = offline(records / name)
        assert counts(last[name]) == wanted, name
        assert (last[name].rhythm_s, last[name].rhythm_agreed_s) == agreement(
            records / name, ours
        ), name
    assert last["pvcs"].v_tp > 5
    assert (last["vf"].episodes, last["vf"].episodes_alarmed) == (2, 2)  # see ingest/scenarios
    assert 0 < (last["vf"].worst_delay_s or 0) < 10
    assert (last["afib"].episodes, last["afib"].episodes_alarmed) == (1, 1)


@pytest.mark.slow
def test_the_last_score_is_the_offline_one(broker, commands: Commands, records: Path):
    ready(commands.start("score"), "scoring")
    ready(commands.start("process", "--workers", "1"), "processing")
    start_ns = time.time_ns()
    replay(broker.address, records, start_ns)
    found = Scores(broker.address).until(lambda scores: whole(scores, start_ns))
    check_final(found, records, start_ns)
    for name in SCENARIOS:
        times = [s.time_ns - start_ns for s in found if s.patient_id == name]
        assert sorted(set(times)) == [
            *range(5 * 10**9, (SECONDS - 1) * 10**9, 5 * 10**9),
            times[-1],
        ]

    again_ns = start_ns + 40 * 10**9  # overlaps the first: another stream of the same patients
    replay(broker.address, records, again_ns)
    found = Scores(broker.address).until(lambda scores: whole(scores, again_ns))
    check_final(found, records, again_ns)


@pytest.mark.slow
def test_killed_in_the_middle_it_goes_on(broker, commands: Commands, records: Path):
    first = commands.start("score")
    ready(first, "scoring")
    ready(commands.start("process", "--workers", "1"), "processing")
    scores = Scores(broker.address)
    start_ns = time.time_ns()

    def kill() -> None:
        scores.until(lambda found: len({s.patient_id for s in found}) > 1)
        first.kill()
        commands.start("score")

    replay(broker.address, records, start_ns, on_half=kill)
    check_final(scores.until(lambda found: whole(found, start_ns)), records, start_ns)


@contextmanager
def scoring(address: str, members: int) -> Iterator[list[Scorer]]:
    """Scorers of one group in this process."""
    create_topics(address)
    stop = threading.Event()
    made = [Scorer(address, SystemClock()) for _ in range(members)]
    threads = [threading.Thread(target=m.run, args=(stop,)) for m in made]
    for thread in threads:
        thread.start()
    try:
        yield made
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)


def tell(address: str, first_s: int, end_s: int) -> None:
    """What the replay and the processor tell of a minute of one patient, by hand: every tenth beat
    is missed."""
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "log_level": 0, "partitioner": "murmur2_random"}
    )
    common = {"patient_id": "p", "device_id": "d", "lead": "II", "fs_hz": 250.0}
    for at in range(first_s * 250 + 100, end_s * 250, 200):
        time_ns = 10**18 + at * 4_000_000
        producer.produce(
            "ecg.reference",
            encode(Reference(patient_id="p", time_ns=time_ns, sample=at, symbol="N")),
            b"p",
        )
        if at % 2000 != 100:
            beat = Beat(
                **common,
                time_ns=time_ns,
                sample=at,
                rr_ms=None,
                label="N",
                confidence=1.0,
                label_probability=1.0,
            )
            producer.produce("ecg.beats", encode(beat), b"p")
    for end in range(first_s + 5, end_s + 1, 5):
        span = {
            "start_ns": 10**18,
            "end_ns": 10**18 + end * 10**9,
            "start_sample": 0,
            "end_sample": 250 * end,
        }
        producer.produce(
            "ecg.rhythm", encode(Rhythm(**common, **span, label="N", probability=1.0)), b"p"
        )
    assert producer.flush(60) == 0


@pytest.mark.slow
def test_a_broker_that_goes_away_and_comes_back_loses_nothing(empty_kafka):
    scores = Scores(empty_kafka.address)
    with scoring(empty_kafka.address, 1):
        tell(empty_kafka.address, 0, 60)
        scores.until(lambda found: bool(found))
        empty_kafka.stop()
        time.sleep(2)
        empty_kafka.start()
        tell(empty_kafka.address, 60, 120)
        last = scores.until(
            lambda found: bool(found) and found[-1].time_ns >= 10**18 + 120 * 10**9
        )[-1]
    assert (last.qrs_tp, last.qrs_fn, last.qrs_fp) == (135, 15, 0)


def assigned(address: str) -> list[set[tuple[str, int]]]:
    """Topics and partitions of each member of the group, as the broker says."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0})
    group = admin.describe_consumer_groups([SCORES_GROUP], request_timeout=20)[SCORES_GROUP].result(
        30
    )
    return [
        {(tp.topic, tp.partition) for tp in m.assignment.topic_partitions} for m in group.members
    ]


@pytest.mark.slow
def test_two_members_get_the_same_partitions_of_all_topics(empty_kafka):
    with scoring(empty_kafka.address, 2) as members:
        deadline = time.monotonic() + WAIT_S
        while sorted(n for m in members for n in m.partitions) != list(range(12)) or not all(
            m.partitions for m in members
        ):
            assert time.monotonic() < deadline, [m.partitions for m in members]
            time.sleep(0.2)
        said = assigned(empty_kafka.address)
        wanted = [{(topic, number) for topic in INPUTS for number in m.partitions} for m in members]
        assert sorted(map(sorted, said)) == sorted(map(sorted, wanted))


def test_no_broker_is_told(commands: Commands):
    commands.environment["ECGWATCH_BROKER"] = "127.0.0.1:1"
    done = subprocess.run(
        [sys.executable, "-m", "ecgwatch", "score"],
        env=commands.environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 3
    assert "127.0.0.1:1" in done.stderr
    assert "Traceback" not in done.stderr
