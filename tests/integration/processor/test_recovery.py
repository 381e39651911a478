"""What is stored after a disturbance, one for one against the ward alone: kill -9, Kafka away, the
store away, garbage in between.

Each test streams simulated patients into a real broker while `ecgwatch process` runs as its own
process, disturbs it, waits, and compares every stored event. A "no signal" alarm is no part of it:
it tells of the outage itself, in wall-clock time.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import confluent_kafka
import msgspec
import pytest

from ecgwatch.settings import Settings
from ecgwatch.stores import open_sink
from ingest.bounds import SYSTEM
from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import Alarm, Event, SampleChunk, Strip, encode, sample_offset_ns
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from stream_processor.sinks.base import KINDS, SinkBusyError, identity
from stream_processor.ward import build_ward
from stream_processor.worker.store_watch import AWAY_S

SCENARIOS = ("normal", "pvcs", "afib", "vt", "asystole", "tachycardia")
SIGNAL_S, CHUNK_S = 70.0, 0.5
SPEED = 10.0
START_NS = 1_700_000_000 * 10**9
WAIT_S = 90.0
Stored = dict[tuple[object, ...], Event]


@pytest.fixture(scope="module")
def ward_chunks() -> list[SampleChunk]:
    """Six patients' chunks in order of time, each stream with its end."""
    found: list[SampleChunk] = []
    for number, name in enumerate(SCENARIOS):
        scenario = load(name)
        counts = b"".join(
            block.counts.astype("<i2").tobytes()
            for block in simulate(
                scenario, seed=number, duration_s=min(SIGNAL_S, scenario.script_s)
            )
        )
        n = round(CHUNK_S * scenario.fs_hz)
        parts = [counts[i : i + 2 * n] for i in range(0, len(counts), 2 * n)]
        for seq, samples in enumerate(parts):
            first = seq * n
            found.append(
                SampleChunk(
                    patient_id=f"{name}-{number}",
                    device_id="test",
                    lead="II",
                    seq=seq,
                    first_sample=first,
                    fs_hz=scenario.fs_hz,
                    t0_ns=START_NS + sample_offset_ns(first, scenario.fs_hz),
                    counts_per_mv=scenario.counts_per_mv,
                    samples=samples,
                    end=seq == len(parts) - 1,
                )
            )
    return sorted(found, key=lambda c: c.t0_ns)


@pytest.fixture(scope="module")
def undisturbed(ward_chunks: list[SampleChunk]) -> Stored:
    """What the ward alone makes of them."""
    return _by_identity(build_ward(SystemClock()).push(ward_chunks))


def _by_identity(events: list[Event]) -> Stored:
    """But for what wall-clock time makes: alarms of silence and their strips, and that latched
    alarms call again."""
    kept = [e for e in events if not (isinstance(e, Alarm | Strip) and e.kind == "no_signal")]
    plain = [
        msgspec.structs.replace(e, step="onset", level=0, changed_ns=0, late_s=0.0)
        if isinstance(e, Alarm)
        else e
        for e in kept
    ]
    return {(type(e).__name__, *identity(e)): e for e in plain}


class Worker:
    """`ecgwatch process` and everything it starts, as one process group."""

    def __init__(self, broker: str, sink: str, settings: dict[str, str], workers: int) -> None:
        self._command = [
            sys.executable,
            "-m",
            "ecgwatch",
            "process",
            "--broker",
            broker,
            "--sink",
            sink,
            "--workers",
            str(workers),
        ]
        self._environment, self._workers = {**os.environ, **settings}, workers

    def start(self) -> None:
        """Start it and wait for the line of each worker."""
        self.process = subprocess.Popen(
            self._command,
            env=self._environment,
            stdout=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        assert self.process.stdout is not None
        for _ in range(self._workers):
            line = self.process.stdout.readline()
            assert line.startswith("processing ecg.samples"), line

    def kill_all(self) -> None:
        """As a power cut."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def kill_worker(self) -> None:
        """As the kernel does when memory runs out: only the process that does the work."""
        children = subprocess.run(
            ["pgrep", "-P", str(self.process.pid)], capture_output=True, text=True, check=True
        ).stdout.split()
        os.kill(int(children[0]), signal.SIGKILL)

    def stop(self) -> int:
        """As an operator."""
        self.process.terminate()
        return self.process.wait(30)


@contextlib.contextmanager
def working(
    broker: str, sink: str, settings: dict[str, str] | None = None, workers: int = 1
) -> Iterator[Worker]:
    worker = Worker(broker, sink, settings or {}, workers)
    worker.start()
    try:
        yield worker
        assert worker.stop() == 0
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(worker.process.pid, signal.SIGKILL)
        worker.process.wait(10)
        assert worker.process.stdout is not None
        worker.process.stdout.close()


@contextlib.contextmanager
def streaming(
    broker: str,
    chunks: list[SampleChunk],
    garbage: Callable[[], bytes] | None = None,
    speed: float = SPEED,
) -> Iterator[None]:
    """Send the chunks in `speed` times their time while the block runs; at its end wait until all
    are sent."""
    producer = confluent_kafka.Producer(
        {
            "bootstrap.servers": broker,
            "message.timeout.ms": 0,
            "enable.idempotence": True,
            "log_level": 0,
        }
    )

    def send() -> None:
        started = time.monotonic()
        for chunk in chunks:
            time.sleep(
                max(0.0, started + (chunk.t0_ns - START_NS) / 1e9 / speed - time.monotonic())
            )
            producer.produce("ecg.samples", encode(chunk), chunk.patient_id.encode())
            if garbage:
                producer.produce("ecg.samples", garbage(), chunk.patient_id.encode())
        producer.flush(WAIT_S)

    thread = threading.Thread(target=send)
    thread.start()
    yield
    thread.join()
    assert len(producer) == 0


def wait_for(sink_url: str, wanted: Stored, settings: dict[str, str] | None = None) -> Stored:
    """What is stored, once it is all there or WAIT_S have passed."""
    keys = {k.removeprefix("ECGWATCH_").lower(): v for k, v in (settings or {}).items()}
    deadline, stored = time.monotonic() + WAIT_S, Stored()
    while stored != wanted and time.monotonic() < deadline:
        time.sleep(0.5)
        # InfluxDB may show a point while it is half written
        with contextlib.suppress(SinkBusyError, msgspec.ValidationError):
            sink = open_sink(Settings(sink=sink_url, **keys))
            stored = _by_identity(
                [e for p in sink.patients() for kind in KINDS for e in sink.read(kind, p)]
            )  # type: ignore[type-var]
            sink.close()
    return stored


def assert_same(stored: Stored, wanted: Stored) -> None:
    assert sorted(wanted.keys() - stored.keys()) == []  # lost
    assert sorted(stored.keys() - wanted.keys()) == []  # twice, or never there
    assert [(stored[k], wanted[k]) for k in wanted if stored[k] != wanted[k]] == []


@pytest.mark.parametrize(
    ("who", "after_s"),
    [
        ("everything", 4.0),
        pytest.param("worker", 4.0, marks=pytest.mark.slow),
        pytest.param("everything", 0.7, marks=pytest.mark.slow),  # before the first commit
    ],
)
def test_kill_9(empty_kafka, tmp_path: Path, ward_chunks, undisturbed, who, after_s):
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    with working(broker, sink) as worker, streaming(broker, ward_chunks):
        time.sleep(after_s)
        if who == "worker":
            worker.kill_worker()
        else:
            worker.kill_all()
            worker.process.stdout.close()
            worker.start()
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)


@pytest.mark.slow
def test_one_of_two_is_killed_before_its_first_commit(
    empty_kafka, tmp_path: Path, ward_chunks, undisturbed
):
    """Partitions change hands twice: given away in the midst of the streams, then taken from one
    that has committed nothing since."""
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    with (
        working(broker, sink) as first,
        streaming(broker, ward_chunks, speed=SPEED / 2),
        working(broker, sink),
    ):
        time.sleep(1.0)
        first.kill_all()
        stored = wait_for(sink, undisturbed)
        first.process.stdout.close()
        first.start()  # for `working` to stop
    assert_same(stored, undisturbed)


@pytest.mark.slow
def test_two_workers_of_one_process_share_the_patients(
    empty_kafka, tmp_path: Path, ward_chunks, undisturbed
):
    """One of them is killed in the midst, and another takes its place."""
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    with working(broker, sink, workers=2) as both, streaming(broker, ward_chunks, speed=SPEED / 2):
        time.sleep(3.0)
        both.kill_worker()
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)


@pytest.mark.slow
def test_one_of_two_stands_still(empty_kafka, tmp_path: Path, ward_chunks, undisturbed):
    """As where its machine is paused: its partitions are somebody else's when it goes on, and what
    it had not stored is old."""
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    with (
        working(broker, sink) as first,
        working(broker, sink),
        streaming(broker, ward_chunks, speed=SPEED / 4),
    ):
        time.sleep(14.2)
        os.killpg(first.process.pid, signal.SIGSTOP)
        time.sleep(14.0)
        os.killpg(first.process.pid, signal.SIGCONT)
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("how", ["stop", "kill"])
@pytest.mark.parametrize("away_s", [3.0, 30.0])
def test_kafka_away(empty_kafka, tmp_path: Path, ward_chunks, undisturbed, how, away_s):
    broker, sink = empty_kafka.address, f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker)
    with working(broker, sink), streaming(broker, ward_chunks):
        time.sleep(3.0)
        getattr(empty_kafka, how)()
        time.sleep(away_s)
        empty_kafka.start()
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)


@pytest.mark.slow
@pytest.mark.parametrize("away_s", [4.0, 60.0])
def test_influxdb_away(empty_kafka, empty_influxdb, ward_chunks, undisturbed, away_s):
    broker, sink = empty_kafka.address, f"influxdb:{empty_influxdb.url}"
    settings = {
        "ECGWATCH_INFLUX_ORG": empty_influxdb.org,
        "ECGWATCH_INFLUX_BUCKET": empty_influxdb.bucket,
        "ECGWATCH_INFLUX_TOKEN": empty_influxdb.token,
        "ECGWATCH_WAVEFORM_DAYS": "36500",  # START_NS is long ago
    }
    create_topics(broker)
    with working(broker, sink, settings), streaming(broker, ward_chunks):
        time.sleep(3.0)
        empty_influxdb.stop()
        time.sleep(away_s)
        empty_influxdb.start()
        stored = wait_for(sink, undisturbed, settings)
    # that the store was away is itself reported, by an alarm of the system and no patient's
    reported = {key for key in stored if key[1] == SYSTEM}
    assert {key[-1] for key in reported} == ({"store_away"} if away_s > AWAY_S else set())
    assert_same({key: stored[key] for key in stored.keys() - reported}, undisturbed)


@pytest.mark.slow
def test_garbage_between_the_chunks(broker, tmp_path: Path, ward_chunks, undisturbed):
    sink = f"sqlite:{tmp_path / 'events.db'}"
    create_topics(broker.address)
    with (
        working(broker.address, sink),
        streaming(broker.address, ward_chunks, garbage=lambda: os.urandom(100)),
    ):
        stored = wait_for(sink, undisturbed)
    assert_same(stored, undisturbed)
