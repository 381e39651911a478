#!/usr/bin/env python3
"""Inject faults in random order and check that every event of every patient is stored once, as
`annotate` would give it; measure how long any patient was unmonitored.

    nice python benchmarks/chaos.py [--patients 500] [--minutes 15] [--every 20] [--seed 1] [--only KIND ...]
    nice python benchmarks/chaos.py --short            # 20 patients, 3 minutes, a fault every 8 s

Live patients stream into a real Kafka while two `ecgwatch process` store into a real InfluxDB
(tools/services.py). Every few seconds one fault happens, each kind (FAULTS) once before any comes
again. Then the streams end, and every stored event is compared with what the ward alone makes of
the same chunks. Left out: alarms on missing signal, which report the outages, and effects of time
on alarms (re-alarms, lateness). Longest without processing: between two new seconds of vitals of a
patient on ecg.vitals, while Kafka was up. Every figure is printed with its verdict. Exit status 1 if
an event is lost, told twice or different, 2 if a patient was unmonitored for more than 15 s or fewer
than 15 kinds of faults happened.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import confluent_kafka
import msgspec
import numpy as np
import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

from ecgwatch.settings import Settings
from ecgwatch.stores import open_sink
from ingest.broker import METADATA_MS, create_topics, grow_topics, lags
from ingest.clock import SystemClock
from ingest.messages import (
    Action,
    Alarm,
    Event,
    SampleChunk,
    Strip,
    Vitals,
    decode,
    encode,
    sample_offset_ns,
)
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from ingest.topics import PROCESSOR_GROUP, SAMPLES, VITALS
from stream_processor.sinks.base import KINDS, SinkBusyError, identity
from stream_processor.ward import build_ward
from tools.service_base import Service
from tools.services import Influxdb, Kafka

SCENARIOS = ("normal", "pvcs", "afib", "vt", "asystole", "tachycardia")
CHUNK_S = 0.5
MUST_S = 15.0
KINDS_AT_LEAST = 15
SETTLE_S = 180.0
Stored = dict[tuple[object, ...], Event]


def name_of(scenario: int, number: int) -> str:
    """Patient names of equal length, so that replacing the name turns one patient's events into
    another's."""
    return f"bed-{scenario}-{number:04d}"


def made(scenario: int, start_ns: int, seconds: float) -> list[SampleChunk]:
    """The chunks of patient 0 of a scenario that repeats."""
    plan = load(SCENARIOS[scenario])
    blocks = simulate(plan, seed=scenario, duration_s=min(seconds, plan.script_s))
    counts = np.concatenate([b.counts for b in blocks]).astype("<i2")
    n = round(CHUNK_S * plan.fs_hz)
    count = int(seconds / CHUNK_S)
    return [
        SampleChunk(
            patient_id=name_of(scenario, 0),
            device_id="chaos",
            lead="II",
            seq=k,
            first_sample=k * n,
            t0_ns=start_ns + sample_offset_ns(k * n, plan.fs_hz),
            fs_hz=plan.fs_hz,
            counts_per_mv=plan.counts_per_mv,
            samples=np.take(counts, range(k * n, (k + 1) * n), mode="wrap").tobytes(),
            end=k == count - 1,
        )
        for k in range(count)
    ]


class Processor:
    """`ecgwatch process` and its worker, as one process group."""

    def __init__(self, log: Path, settings: dict[str, str]) -> None:
        self._log, self._settings = log, settings
        self._process: subprocess.Popen[bytes] | None = None
        self._turn = threading.RLock()

    def wait_until_ready(self) -> None:
        """Wait until its partitions are assigned; partitions may be added from then on."""
        while "processing ecg.samples" not in self._log.read_text(errors="replace"):
            time.sleep(0.5)

    def keep(self) -> None:
        """Start it again if it has ended by itself, as a service manager does: at its start Kafka
        may be away."""
        with self._turn:
            if self._process is not None:
                self.start()

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return  # another fault was faster
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ecgwatch", "process", "--workers", "1"],
                env={**os.environ, **self._settings},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def signal(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, how)

    def kill_worker(self) -> None:
        """Kill the worker as the kernel does when memory runs out."""
        if self._process is not None and self._process.poll() is None:
            for child in psutil.Process(self._process.pid).children():
                child.kill()

    def stop(self) -> None:
        with self._turn:
            if self._process is not None:
                self._process.terminate()
                self._process.wait(60)
                self._process = None

    def restart(self) -> None:
        """Kill and restart, as after a power cut."""
        with self._turn:
            self.signal(signal.SIGKILL)
            if self._process is not None:
                self._process.wait(30)
            self.start()


class Chaos:
    """The services, the senders and the faults that can happen to them."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.dice = random.Random(arguments.seed)
        self.kafka, self.influxdb = Kafka(), Influxdb()
        self.kafka.start()
        self.influxdb.start()
        create_topics(self.kafka.address)
        settings = {
            "ECGWATCH_BROKER": self.kafka.address,
            "ECGWATCH_SINK": f"influxdb:{self.influxdb.url}",
            "ECGWATCH_INFLUX_ORG": self.influxdb.org,
            "ECGWATCH_INFLUX_BUCKET": self.influxdb.bucket,
            "ECGWATCH_INFLUX_TOKEN": self.influxdb.token,
        }
        self.settings = {k.removeprefix("ECGWATCH_").lower(): v for k, v in settings.items()}
        self.folder = Path(tempfile.mkdtemp(prefix="ecgwatch-chaos-"))
        self.first, self.second = (
            Processor(self.folder / f"{who}.log", settings) for who in ("first", "second")
        )
        self.first.start()
        self.second.start()
        threading.Thread(target=self._keep, daemon=True).start()
        self.producer = confluent_kafka.Producer(
            {
                "bootstrap.servers": self.kafka.address,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "message.timeout.ms": 0,
                "queue.buffering.max.messages": 2_000_000,
                "topic.metadata.refresh.interval.ms": 2000,
                "log_level": 0,
            }
        )
        self.patients = max(1, arguments.patients)
        self.partitions, self.kafka_away = 12, list[tuple[float, float]]()
        self.sent: list[bytes] = []  # the newest messages, for repeats
        self.numbers: dict[str, int] = {}

    def _keep(self) -> None:
        while True:
            time.sleep(1.0)
            self.first.keep()
            self.second.keep()

    # What is sent

    def send(self, value: bytes, key: str, topic: str = "ecg.samples") -> None:
        self.producer.produce(topic, value, key.encode())
        self.producer.poll(0)

    def stream(
        self, templates: list[list[SampleChunk]], per: int, start_s: float, speed: float = 1.0
    ) -> None:
        """Send every patient's chunks, each when it is due, or `speed` times as fast."""
        for k in range(len(templates[0])):
            time.sleep(max(0.0, start_s + (k + 1) * CHUNK_S / speed - time.time()))
            for scenario, chunks in enumerate(templates):
                value, name = encode(chunks[k]), name_of(scenario, 0)
                for number in range(per):
                    other = name_of(scenario, number)
                    found = value.replace(name.encode(), other.encode())
                    self.send(found, other)
                    self.sent = [*self.sent[-200:], found] if number < 3 else self.sent

    def decoy(self, patient: str, count: int, **fields: object) -> None:
        """Chunks of a patient that is not compared."""
        template = made(0, time.time_ns(), count * CHUNK_S)
        for chunk in template:
            changed = msgspec.structs.replace(chunk, patient_id=patient, end=False, **fields)
            self.send(encode(changed), patient)

    # What can go wrong

    def kill_a_worker(self) -> None:
        self.dice.choice((self.first, self.second)).kill_worker()

    def kill_a_processor(self) -> None:
        self.dice.choice((self.first, self.second)).restart()

    def kill_both(self) -> None:
        self.first.restart()
        self.second.restart()

    def _pause(self, who: Processor, seconds: float) -> None:
        who.signal(signal.SIGSTOP)
        time.sleep(seconds)
        who.signal(signal.SIGCONT)

    def pause_briefly(self) -> None:
        self._pause(self.first, 4.0)

    def pause_long(self) -> None:
        self._pause(self.dice.choice((self.first, self.second)), 12.0)

    def rebalance(self) -> None:
        self.second.stop()
        self.second.start()

    def _away(self, service: Service, end: Callable[[], None], seconds: float) -> None:
        began = time.time()
        end()
        time.sleep(seconds)
        service.start()
        if service is self.kafka:
            self.kafka_away.append((began, time.time() + MUST_S))

    def kafka_stops(self) -> None:
        self._away(self.kafka, self.kafka.stop, 3.0)

    def kafka_is_killed(self) -> None:
        self._away(self.kafka, self.kafka.kill, 1.0)

    def store_stops(self) -> None:
        self._away(self.influxdb, self.influxdb.stop, 10.0)

    def store_is_killed(self) -> None:
        self._away(self.influxdb, self.influxdb.kill, 2.0)

    def store_hangs(self) -> None:
        assert self.influxdb._process is not None
        self.influxdb._process.send_signal(signal.SIGSTOP)
        time.sleep(12.0)
        self.influxdb._process.send_signal(signal.SIGCONT)

    def garbage(self) -> None:
        for _ in range(200):
            self.send(self.dice.randbytes(self.dice.randint(0, 400)), "garbage")

    def poison_chunks(self) -> None:
        self.decoy("poison", 3, counts_per_mv=float("nan"))
        self.decoy("poison", 3, device_id="d" * 900_000)
        self.decoy("poison", 3, fs_hz=float("inf"))

    def poison_actions(self) -> None:
        for seconds in (float("inf"), float("nan"), -1.0, 1e300):
            action = Action(
                patient_id="poison", time_ns=1, id="x", by="?", action="silence", seconds=seconds
            )
            self.send(encode(action), "poison", "ecg.acks")

    def repeats(self) -> None:
        for value in list(self.sent):
            chunk = msgspec.msgpack.decode(value, type=SampleChunk)
            self.send(value, chunk.patient_id)

    def end_then_more(self) -> None:
        self.decoy("ended", 4)
        template = made(0, time.time_ns(), 5.0)
        for chunk in template:
            ended = msgspec.structs.replace(chunk, patient_id="ended", end=chunk.seq == 3)
            self.send(encode(ended), "ended")

    def two_senders(self) -> None:
        for chunk in made(0, time.time_ns(), 10.0):
            for device in ("A", "B"):
                one = msgspec.structs.replace(chunk, patient_id="two", device_id=device)
                self.send(encode(one), "two")

    def far_ahead(self) -> None:
        self.decoy("far", 4)
        self.decoy("far", 4, first_sample=10**10)

    def wrong_clock(self) -> None:
        self.decoy("clock", 6, t0_ns=4_000_000_000 * 10**9)

    def many_come_and_go(self) -> None:
        for i in range(200):
            self.decoy(f"brief-{i}", 1)

    def more_partitions(self) -> None:
        """Add partitions as docs/partitions.md describes: while one processor has all of them and
        until it has caught up."""
        self.second.stop()
        self._catch_up()
        self.partitions += 6
        grow_topics(self.kafka.address, self.partitions)
        time.sleep(1.5 * METADATA_MS / 1000)
        self._catch_up()
        self.second.start()

    def _catch_up(self) -> None:
        """Wait until little is left, at most two minutes."""
        deadline = time.time() + 120
        while time.time() < deadline:
            found = lags(self.kafka.address, PROCESSOR_GROUP, SAMPLES.name)
            if sum(one.left for one in found) < 20 * self.patients:
                return
            time.sleep(1.0)


FAULTS = (
    Chaos.kill_a_worker,
    Chaos.kill_a_processor,
    Chaos.kill_both,
    Chaos.pause_briefly,
    Chaos.pause_long,
    Chaos.rebalance,
    Chaos.kafka_stops,
    Chaos.kafka_is_killed,
    Chaos.store_stops,
    Chaos.store_is_killed,
    Chaos.store_hangs,
    Chaos.garbage,
    Chaos.poison_chunks,
    Chaos.poison_actions,
    Chaos.repeats,
    Chaos.end_then_more,
    Chaos.two_senders,
    Chaos.far_ahead,
    Chaos.wrong_clock,
    Chaos.many_come_and_go,
    Chaos.more_partitions,
)


class Watch:
    """Records when a new second of each patient was processed: by the time of sending of the first
    vitals that tell of it."""

    def __init__(self, address: str) -> None:
        self.received: dict[str, list[float]] = {}
        self._newest: dict[str, int] = {}
        self._stop = threading.Event()
        self._consumer = confluent_kafka.Consumer(
            {
                "bootstrap.servers": address,
                "group.id": "chaos",
                "auto.offset.reset": "earliest",
                "topic.metadata.refresh.interval.ms": 2000,
                "log_level": 0,
            }
        )
        self._consumer.subscribe([VITALS.name])
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(1000, 0.2):
                if message.error() is None and (message.key() or b"").startswith(b"bed-"):
                    vitals = decode(message.value() or b"", Vitals)
                    # what a successor computes again is no progress
                    if vitals.time_ns > self._newest.get(vitals.patient_id, 0):
                        self._newest[vitals.patient_id] = vitals.time_ns
                        times = self.received.setdefault(vitals.patient_id, [])
                        times.append(message.timestamp()[1] / 1000)

    def longest(
        self, patients: list[str], begin_s: float, end_s: float, outages: list[tuple[float, float]]
    ) -> tuple[float, str]:
        """Longest time without a new second of a patient between two times, in s, and its patient,
        except while Kafka was away."""
        self._stop.set()
        self._thread.join()
        found = (0.0, "")
        for patient in patients:
            for a, b in pairwise([begin_s, *sorted(self.received.get(patient, [])), end_s]):
                if not any(a < end and b > began for began, end in outages):
                    at = time.strftime("%X", time.localtime(a))
                    found = max(found, (b - a, f"{patient} from {at}"))
        return found


class Difference(NamedTuple):
    """What is stored of a patient and should not be, or is not and should be."""

    patient: str
    lost: int
    extra: int  # of another identity than any that `annotate` gives: told twice, or false
    other: int  # of the right identity, and otherwise different


def by_identity(events: list[Event]) -> Stored:
    """Events by identity, without fields that depend on the wall clock."""
    kept = [e for e in events if not (isinstance(e, Alarm | Strip) and e.kind == "no_signal")]
    plain = [
        msgspec.structs.replace(e, step="onset", level=0, changed_ns=0, late_s=0.0)
        if isinstance(e, Alarm)
        else e
        for e in kept
    ]
    return {(type(e).__name__, *identity(e)): e for e in plain}


def renamed(events: Stored, old: str, new: str) -> Stored:
    """The same events for another patient whose name has the same length."""
    found = [
        msgspec.msgpack.decode(encode(e).replace(old.encode(), new.encode()), type=type(e))
        for e in events.values()
    ]
    return by_identity(found)


def compare(chaos: Chaos, templates: list[list[SampleChunk]], per: int) -> list[Difference]:
    """The patients whose stored events differ; waits until all events are stored."""
    expected = [by_identity(build_ward(SystemClock()).push(chunks)) for chunks in templates]
    deadline, found = time.time() + SETTLE_S, list[Difference]()
    for scenario, template in enumerate(expected):
        for number in range(per):
            patient = name_of(scenario, number)
            wanted = renamed(template, name_of(scenario, 0), patient)
            while (stored := read(chaos, patient)) != wanted and time.time() < deadline:
                time.sleep(2.0)
            lost, extra = wanted.keys() - stored.keys(), stored.keys() - wanted.keys()
            other = [k for k in wanted.keys() & stored.keys() if wanted[k] != stored[k]]
            if not (lost or extra or other):
                continue
            found.append(Difference(patient, len(lost), len(extra), len(other)))
            print(
                f"{patient}: {len(lost)} lost {sorted(lost)[:2]}, {len(extra)} extra"
                f" {sorted(extra)[:2]}, {len(other)} other"
                f" {[(wanted[k], stored[k]) for k in other[:1]]}"
            )
    return found


def read(chaos: Chaos, patient: str) -> Stored:
    """What is stored of a patient; nothing if the store is away, or shows a point that it has
    written by half."""
    sink = open_sink(Settings(**chaos.settings))  # type: ignore[arg-type]
    try:
        return by_identity([e for kind in KINDS for e in sink.read(kind, patient)])  # type: ignore[type-var]
    except (SinkBusyError, msgspec.ValidationError):
        return {}
    finally:
        sink.close()


def verdict(name: str, found: object, *, good: bool) -> bool:
    """Print a figure with its verdict, and return that."""
    print(f"{'right' if good else 'WRONG'}  {name}: {found}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--every", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--short", action="store_true")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.patients, arguments.minutes, arguments.every = 20, 3.0, 8.0
    chaos, per = Chaos(arguments), max(1, arguments.patients // len(SCENARIOS))
    chaos.first.wait_until_ready()
    chaos.second.wait_until_ready()
    watch, start_s = Watch(chaos.kafka.address), time.time()
    templates = [
        made(i, round(start_s * 1e9), 60 * arguments.minutes) for i in range(len(SCENARIOS))
    ]
    sending = threading.Thread(target=chaos.stream, args=(templates, per, start_s))
    sending.start()
    kinds = [f for f in FAULTS if not arguments.only or f.__name__ in arguments.only]
    waiting: list[Callable[[Chaos], None]] = []
    happened = Counter[str]()
    while time.time() < start_s + 60 * arguments.minutes - arguments.every:
        began = time.time()
        waiting = waiting or chaos.dice.sample(kinds, len(kinds))
        fault = waiting.pop()
        print(f"{time.strftime('%X')} {fault.__name__}", flush=True)
        fault(chaos)
        happened[fault.__name__] += 1
        time.sleep(max(0.0, began + arguments.every - time.time()))
    sending.join()
    chaos.producer.flush(60)
    patients = [name_of(i, number) for i in range(len(SCENARIOS)) for number in range(per)]
    end_s = start_s + 60 * arguments.minutes
    time.sleep(MUST_S)
    longest_s, who = watch.longest(patients, start_s, end_s, chaos.kafka_away)
    differences = compare(chaos, templates, per)
    chaos.first.stop()
    chaos.second.stop()
    chaos.kafka.remove()
    chaos.influxdb.remove()
    print(f"{len(patients)} patients, {arguments.minutes:g} min, seed {arguments.seed}")
    print(", ".join(f"{name} {count}" for name, count in sorted(happened.items())))
    lost, extra, other = (sum(d[i] for d in differences) for i in (1, 2, 3))
    enough = min(len(kinds), KINDS_AT_LEAST)
    good = [
        verdict("kinds of faults", len(happened), good=len(happened) >= enough),
        verdict("events lost", lost, good=not lost),
        verdict("events twice or false", extra, good=not extra),
        verdict("events different", other, good=not other),
        verdict("patients concerned", len(differences), good=not differences),
        verdict(
            "longest time that a patient went without processing",
            f"{longest_s:.1f} s ({who}); must: {MUST_S:g} s",
            good=longest_s <= MUST_S,
        ),
    ]
    print(f"logs in {chaos.folder}")
    return 1 if differences else 0 if all(good) else 2


if __name__ == "__main__":
    sys.exit(main())
