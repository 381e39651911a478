"""What the producer sends arrives: every message once, in order, by patient; also when the broker
goes away and comes back."""

import gc
import logging
import math
import threading
import time

import msgspec
import numpy as np
import pytest
from kafka import KafkaConsumer, TopicPartition
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ingest.broker import create_topics, lags, settings
from ingest.clock import SystemClock
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import Reference, SampleChunk, decode
from ingest.producer import Producer
from ingest.replay import copies, merge, play, stream
from ingest.sources.base import Annotation, Block
from ingest.topics import ALL, REFERENCE, SAMPLES

START_NS = 1_767_225_600 * 10**9
CLOCK = SystemClock()


@pytest.fixture(autouse=True)
def quiet_clients(caplog):
    """kafka-python logs every retry; pytest would show them all."""
    caplog.set_level(logging.CRITICAL, logger="kafka")


class Ramp:
    """60 s whose sample i is i, with a beat each second."""

    name, lead, device_id, counts_per_mv, fs_hz, duration_s = (
        "ramp",
        "II",
        "test",
        200.0,
        250.0,
        60.0,
    )

    def blocks(self, start_s=0.0):
        counts = np.arange(15_000, dtype=np.int16)
        yield Block(counts, False, tuple(Annotation(s, "N") for s in range(125, 15_000, 250)))


def arrived(address, topic, kind):
    """Every message of the topic, by patient, each in the order of its partition."""
    consumer = KafkaConsumer(**settings(address), enable_auto_commit=False)
    found: dict[str, list] = {}
    try:
        partitions = [
            TopicPartition(topic.name, n) for n in consumer.partitions_for_topic(topic.name)
        ]
        consumer.assign(partitions)
        consumer.seek_to_beginning(*partitions)
        ends = consumer.end_offsets(partitions)
        while any(consumer.position(p) < ends[p] for p in partitions):
            for records in consumer.poll(timeout_ms=500).values():
                for record in records:
                    message = decode(record.value, kind)
                    assert record.key == message.patient_id.encode()
                    found.setdefault(message.patient_id, []).append(message)
    finally:
        consumer.close()
    return found


def send(address, n, speed=math.inf, **options):
    notices: list[str] = []
    with Producer(address, CLOCK, notices.append, **options) as producer:
        play(
            merge(copies(stream(Ramp(), "ramp", START_NS), "ramp", n).values()),
            producer.send,
            CLOCK,
            speed=speed,
        )
    return notices


def assert_all_there(address, n):
    expected = [i.message for i in stream(Ramp(), "ramp", START_NS)]
    chunks, references = (
        arrived(address, SAMPLES, SampleChunk),
        arrived(address, REFERENCE, Reference),
    )
    assert set(chunks) == set(references) == {f"ramp-{i + 1}" for i in range(n)}
    for patient in chunks:
        assert [(c.seq, c.samples) for c in chunks[patient]] == [
            (m.seq, m.samples) for m in expected if isinstance(m, SampleChunk)
        ]
        assert [r.sample for r in references[patient]] == [
            m.sample for m in expected if isinstance(m, Reference)
        ]


def test_everything_arrives_once_and_in_order(broker):
    create_topics(broker.address)
    assert send(broker.address, 20) == []
    assert_all_there(broker.address, 20)


def test_the_buffer_is_bounded(broker):
    """A buffer of a few messages makes `send` wait for the broker; nothing is lost by it."""
    create_topics(broker.address)
    most = 0
    with Producer(broker.address, CLOCK, buffer_bytes=5000) as producer:
        for item in merge(copies(stream(Ramp(), "ramp", START_NS, to_s=10), "ramp", 5).values()):
            producer.send(item.message)
            most = max(most, producer.pending)
    assert most <= 5000 // 250
    assert {p: len(c) for p, c in arrived(broker.address, SAMPLES, SampleChunk).items()} == {
        f"ramp-{i}": 20 for i in range(1, 6)
    }


def test_topics_are_made_once_with_their_partitions(broker):
    create_topics(broker.address)
    made = create_topics(broker.address)
    assert [m.topic for m in made] == list(ALL)
    assert not any(m.created for m in made)
    assert len({m.partitions for m in made}) == 1


def test_real_topics_have_our_partitions_and_clean_up(empty_kafka):
    from kafka import KafkaAdminClient
    from kafka.admin import ConfigResource, ConfigResourceType

    assert all(m.created and m.partitions == 12 for m in create_topics(empty_kafka.address))
    admin = KafkaAdminClient(**settings(empty_kafka.address))
    try:
        described = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, "ecg.state")])
    finally:
        admin.close()
    text = str(described)
    # compacted, and never deleted for its age: limits hold until somebody changes them
    assert "'cleanup.policy': {'value': 'compact'" in text


def test_lag_counts_what_a_group_has_not_committed(broker):
    create_topics(broker.address)
    send(broker.address, 3)
    before = lags(broker.address, "ecgwatch", SAMPLES.name)
    assert sum(one.left for one in before) == 3 * 120
    consumer = KafkaConsumer(
        **settings(broker.address), group_id="ecgwatch", enable_auto_commit=False
    )
    try:
        from kafka.structs import OffsetAndMetadata

        consumer.commit(
            {
                TopicPartition(SAMPLES.name, one.partition): OffsetAndMetadata(one.end, "", -1)
                for one in before
            }
        )
    finally:
        consumer.close()
    after = lags(broker.address, "ecgwatch", SAMPLES.name)
    assert [one.left for one in after] == [0] * len(before)
    assert [one.end for one in after] == [one.end for one in before]


@pytest.mark.slow
# kafka-python's refused sockets
@pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)
def test_a_broker_that_goes_away_and_comes_back_loses_nothing(empty_kafka):
    create_topics(empty_kafka.address)
    notices: list[str] = []
    outages: list[threading.Thread] = []

    def bring_back():
        deadline = time.monotonic() + 60
        while not notices and time.monotonic() < deadline:
            time.sleep(0.1)
        empty_kafka.start()

    def outage(item):
        """A third of the way it goes away, and stays away until that is told: the buffer is full
        long before the end."""
        if item.due_s >= 20 and not outages:
            empty_kafka.stop()
            outages.append(threading.Thread(target=bring_back))
            outages[0].start()

    try:
        with Producer(empty_kafka.address, CLOCK, notices.append, buffer_bytes=50_000) as producer:
            items = merge(copies(stream(Ramp(), "ramp", START_NS), "ramp", 10).values())
            play(items, producer.send, CLOCK, speed=20, on_sent=outage)
    finally:
        for thread in outages:
            thread.join()
    gc.collect()  # within the filter
    assert ["does not answer" in n for n in notices] == [True, False], notices
    assert "is back" in notices[1]
    assert_all_there(empty_kafka.address, 10)


def test_no_broker_is_an_error_at_once():
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=r"127\.0\.0\.1:1 does not answer"):
        Producer("127.0.0.1:1", CLOCK)
    with pytest.raises(UnreachableError):
        create_topics("127.0.0.1:1")
    with pytest.raises(UnreachableError):
        lags("127.0.0.1:1", "g", "t")
    assert time.monotonic() - started < 5
    with pytest.raises(BadInputError, match="HOST:PORT"):
        Producer("localhost", CLOCK)


def test_what_the_processor_would_refuse_is_never_sent(broker):
    create_topics(broker.address)
    items = [item.message for item in stream(Ramp(), "ramp", START_NS)]
    chunks = [m for m in items if isinstance(m, SampleChunk)]
    with Producer(broker.address, CLOCK) as producer:
        producer.send(chunks[0])
        for change, said in (
            ({"first_sample": chunks[1].first_sample + 3601 * 250}, "ahead of the stream"),
            ({"counts_per_mv": math.nan}, "counts_per_mv nan"),
            ({"device_id": "d" * 129}, "device_id"),
        ):
            with pytest.raises(BadInputError, match=rf"'ramp'.*{said}"):
                producer.send(msgspec.structs.replace(chunks[1], **change))
        producer.send(chunks[1])
    assert [c.seq for c in arrived(broker.address, SAMPLES, SampleChunk)["ramp"]] == [0, 1]


@pytest.mark.parametrize(
    "options",
    [
        ["--start-time", "2300-01-01"],
        ["--start-time", "9999-12-31T23:59:59-14:00"],
        ["--patient", ""],
        ["--patient", "p" * 300],
        ["--patient", "a\nb"],
        ["--patient", "p" * 127, "--copies", "2"],
    ],
)
@pytest.mark.parametrize("command", [["replay", "{file}"], ["simulate", "normal"]])
def test_commands_say_so_before_they_ask_for_a_broker(tmp_path, command, options):
    path = tmp_path / "walk.csv"
    path.write_text("".join(f"{i / 250:.3f},{np.sin(i / 30):.3f}\n" for i in range(2500)))
    options = [
        o.replace("--copies", "--patients") if command[0] == "simulate" else o for o in options
    ]
    shown = CliRunner().invoke(
        app,
        [
            *(c.format(file=path) for c in command),
            *options,
            "--speed",
            "max",
            "--broker",
            "127.0.0.1:1",
        ],
    )
    assert isinstance(shown.exception, BadInputError), shown.output


def test_commands_replay_and_lag(broker, tmp_path, monkeypatch):
    monkeypatch.setenv("ECGWATCH_BROKER", broker.address)
    run = CliRunner()
    path = tmp_path / "walk.csv"
    path.write_text("".join(f"{i / 250:.3f},{np.sin(i / 30):.3f}\n" for i in range(2500)))
    options = [
        "--speed",
        "max",
        "--start-time",
        "2026-01-01T00:00:00",
        "--copies",
        "2",
        "--fault",
        "disconnect:2-3",
    ]
    shown = run.invoke(app, ["replay", str(path), *options])
    assert shown.exit_code == 0, shown.output
    found = arrived(broker.address, SAMPLES, SampleChunk)
    assert {p: [c.seq for c in cs] for p, cs in found.items()} == {
        f"walk-{i}": [0, 1, 2, 3, *range(6, 20)] for i in (1, 2)
    }
    assert found["walk-1"][0].t0_ns == START_NS
    shown = run.invoke(app, ["topics", "lag"])
    assert (shown.exit_code, shown.output.splitlines()[-1]) == (0, "36 chunks left to process")
    assert run.invoke(app, ["topics", "lag", "--wait", "0.2"]).exit_code == 1


def test_command_simulate(broker, tmp_path):
    run = CliRunner()
    shown = run.invoke(
        app,
        [
            "simulate",
            "normal",
            "afib",
            "--for",
            "5",
            "--speed",
            "max",
            "--patients",
            "2",
            "--broker",
            broker.address,
        ],
    )
    assert shown.exit_code == 0, shown.output
    found = arrived(broker.address, SAMPLES, SampleChunk)
    assert set(found) == {"normal-1", "normal-2", "afib-1", "afib-2"}
    assert {sum(c.n for c in cs) / cs[0].fs_hz for cs in found.values()} == {5}
    assert found["normal-1"][3].samples != found["normal-2"][3].samples
    assert len(arrived(broker.address, REFERENCE, Reference)["normal-1"]) > 3
