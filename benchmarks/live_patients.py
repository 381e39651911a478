#!/usr/bin/env python3
"""Measure how many live patients some workers carry: N 250-Hz streams through a real Kafka and the
stream processor, timed beat by beat.

    python benchmarks/live_patients.py [--patients 2000] [--workers 2] [--sink influxdb] [--minutes 10]
                                       [--kill 60] [--broker HOST:PORT] [--chunk 0.5] [--stock]

Processes beside the broker: a generator that sends each patient's chunk when its last sample
is due (an absolute schedule), workers with the shipped models and a store, and this one,
which reads ecg.beats. One patient in fifty has ventricular tachycardia. The latency of a beat is from
the arrival of its last sample (R + 50 ms, at
the device) to the arrival of its event here: waiting for the rest of the chunk is part of it.
With --kill a worker is killed (SIGKILL) so many seconds into the measured time, and another started in its place:
recovery is from then to the last event of a beat that had ended by then.
Without --broker a Kafka is started by tools/services.py, and so is InfluxDB.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing as mp
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import confluent_kafka
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from ingest.broker import create_topics
from ingest.clock import SystemClock
from ingest.messages import Beat, SampleChunk, decode, encode
from tools import services

FS_HZ = 250.0
QRS_END_NS = 50_000_000
JOIN_S = 5.0
SETTLE_S = 20.0  # filters, heart rate, group join: left out of every figure
LATE_S = 4.0  # to let the last beats arrive
TEMPLATE_S = 120
ALARMING = 50  # one patient in so many has an alarm all the time
Wave = np.ndarray[Any, np.dtype[np.int16]]


class Load(NamedTuple):
    """What a run sends and how it is processed."""

    patients: int
    chunk_s: float
    seconds: float  # in all
    store: str  # a setting: sqlite:PATH or influxdb:URL
    environment: dict[str, str]  # of the store
    stock: bool


class Report(NamedTuple):
    """What a worker tells of itself once a second."""

    at_s: float
    cpu_s: float
    counters: dict[str, float]
    steps: dict[str, float]  # CPU seconds by step
    resident_mb: float


def template(name: str) -> Wave:
    """Two minutes of a scenario's signal, (n,), counts at 250 Hz."""
    from ingest.simulator.generate import simulate
    from ingest.simulator.scenario import load

    scenario = load(name).model_copy(update={"fs_hz": FS_HZ, "loop": True})
    blocks = simulate(scenario, duration_s=TEMPLATE_S)
    return np.concatenate([block.counts for block in blocks]).astype("<i2")


def generate(broker: str, waves: list[Wave], load: Load, start_s: float) -> None:
    """Send every patient's chunks on schedule; patient i is i/N of a chunk behind patient 0,
    elsewhere in the template.

    The streams' starts are spread over JOIN_S, because patients do not arrive in the same second:
    otherwise all their rhythm windows would be due at once.
    """
    patients, chunk_s, seconds = load.patients, load.chunk_s, load.seconds
    n = round(chunk_s * FS_HZ)
    usual, alarming = (np.concatenate([wave, wave[:n]]) for wave in waves)
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker, "linger.ms": 5, "acks": 1, "partitioner": "murmur2_random"}
    )
    keys = [f"bench-{i:05d}" for i in range(patients)]
    shifts = np.random.default_rng(0).integers(len(usual) - n, size=patients)
    late = 0.0
    for k in range(int(seconds / chunk_s)):
        for i, key in enumerate(keys):
            own = k - i % round(JOIN_S / chunk_s)  # chunks since the patient's stream began
            if own < 0:
                continue
            due = start_s + (k + 1 + i / patients) * chunk_s
            if i % 16 == 0:
                wait = due - time.time()
                late = max(late, -wait)
                if wait > 0.002:
                    producer.poll(0)
                    time.sleep(wait)
            twice = usual if i % ALARMING else alarming
            at = (shifts[i] + own * n) % (len(twice) - n)
            chunk = SampleChunk(
                patient_id=key,
                device_id="bench",
                lead="II",
                seq=own,
                first_sample=own * n,
                t0_ns=round((due - chunk_s) * 1e9),
                fs_hz=FS_HZ,
                counts_per_mv=200.0,
                samples=twice[at : at + n].tobytes(),
            )
            producer.produce("ecg.samples", encode(chunk), key.encode())
    producer.flush(30)
    print(
        f"generator      at most {late * 1000:.0f} ms behind its schedule, {time.process_time() / seconds:.3f} core"
    )


def work(broker: str, load: Load, reports: Any, stop: Any) -> None:
    """Run a worker; puts a Report on the queue every second."""
    from ecgwatch.settings import load as load_settings
    from ecgwatch.stores import open_sink
    from models.serving import runtime
    from stream_processor.pipeline.step_times import StepTimes
    from stream_processor.pipeline.ward import Ward
    from stream_processor.worker.archive import Archive
    from stream_processor.worker.assembly import build_processor

    chosen, _ = load_settings({"sink": load.store}, load.environment)

    async def main() -> None:
        model, clock, timings = runtime.load(), SystemClock(), StepTimes()
        processor = build_processor(
            broker, lambda: Ward(model, clock, timings=timings), clock, whole_fetches=not load.stock
        )
        archive = Archive(broker, lambda: open_sink(chosen), clock, processor.counters)
        archive.start(broken=lambda: None)
        task = asyncio.create_task(processor.run())
        while not stop.is_set() and not task.done():
            await asyncio.sleep(1.0)
            counters, steps = processor.counters.as_dict(), dict(timings.seconds)
            reports.put(Report(time.time(), time.process_time(), counters, steps, resident_mb()))
        processor.stop()
        await task
        archive.stop()

    asyncio.run(main())


def resident_mb() -> float:
    """Memory of this process in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def listen(broker: str, until_s: float) -> list[tuple[float, float]]:
    """(arrival of the last sample, latency), seconds, of each beat that arrives here until the
    end."""
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": broker, "group.id": f"bench-{os.getpid()}", "fetch.wait.max.ms": 20}
    )
    parts = consumer.list_topics("ecg.beats", timeout=10).topics["ecg.beats"].partitions
    consumer.assign(
        [confluent_kafka.TopicPartition("ecg.beats", p, confluent_kafka.OFFSET_END) for p in parts]
    )
    found = []
    while time.time() < until_s:
        for message in consumer.consume(500, timeout=0.02):
            if not message.error():
                ended = (decode(message.value(), Beat).time_ns + QRS_END_NS) / 1e9
                found.append((ended, time.time() - ended))
    consumer.close()
    return found


def report(
    beats: list[tuple[float, float]],
    workers: list[list[Report]],
    load: Load,
    span: tuple[float, float],
    killed_s: float | None,
) -> None:
    """Print the figures of the time between `span`, of all workers together."""
    per = 1000 / load.patients
    cores, lags, sums, memory = 0.0, np.zeros(0), defaultdict(float), 0.0
    for number, reports in enumerate(workers):
        inside = [r for r in reports if span[0] <= r.at_s <= span[1]]
        if len(inside) < 2:
            continue
        first, last = inside[0], inside[-1]
        took = last.at_s - first.at_s
        busy = (last.cpu_s - first.cpu_s) / took
        print(
            f"worker {number}       {busy:.2f} core, {last.counters['patients']:.0f} patients, {first.resident_mb:.0f} to {last.resident_mb:.0f} MB"
        )
        cores, memory = cores + busy, memory + last.resident_mb - reports[0].resident_mb
        for name, spent in last.steps.items():
            sums[name] += (spent - first.steps.get(name, 0.0)) / took
        for name in ("snapshot_bytes", "commits", "events"):
            sums[name] += (last.counters[name] - first.counters[name]) / took
        own = np.array([r.counters["lag"] + r.counters["pending"] for r in inside])
        n = min(len(own), len(lags)) if len(lags) else len(own)
        lags = own[:n] + lags[:n] if len(lags) else own
    latencies = np.array([late for ended, late in beats if span[0] <= ended <= span[1]])
    flat = lags[-10:].mean() <= max(1.5 * lags[:10].mean(), load.patients)
    print(f"patients       {load.patients}, {len(latencies) / (span[1] - span[0]):.0f} beats/s")
    print(
        f"lag            {lags[0]:.0f} at the start, {lags.max():.0f} at most, {lags[-1]:.0f} at the end: {'flat' if flat else 'GROWING'}"
    )
    print(f"workers        {cores:.2f} core, {cores * per:.4f} ms/patient-second")
    rates = {name: sums.pop(name) for name in ("snapshot_bytes", "commits", "events")}
    for stage, spent in sorted(sums.items(), key=lambda item: -item[1]):
        print(f"  {stage:<22} {spent * per:.4f} ms/patient-second")
    print(
        f"memory         {memory * 1000 / load.patients:.0f} kB/patient beyond a worker without any"
    )
    print(
        f"events         {rates['events']:.0f}/s; snapshots {rates['snapshot_bytes'] / 1e6:.1f} MB/s, {rates['commits']:.1f} commits/s"
    )
    p50, p99, most = np.percentile(latencies, [50, 99, 100])
    print(f"beat latency   p50 {p50:.2f} s, p99 {p99:.2f} s, max {most:.2f} s")
    if killed_s is not None:
        hit = [ended + late for ended, late in beats if ended <= killed_s <= ended + late]
        print(
            f"recovery       {max(hit, default=killed_s) - killed_s:.1f} s from the kill to the last event of a beat before it"
        )
        return
    print("sustained" if flat and p99 < 2.0 else "NOT sustained")


def store_of(sink: str, folder: str, ends: contextlib.ExitStack) -> tuple[str, dict[str, str]]:
    """The setting of a store of this kind, and its environment; InfluxDB is started."""
    if sink == "sqlite":
        return f"sqlite:{folder}/events.db", {}
    influx = services.Influxdb()
    ends.callback(influx.remove)
    influx.start()
    names = {"TOKEN": influx.token, "ORG": influx.org, "BUCKET": influx.bucket}
    return f"influxdb:{influx.url}", {f"ECGWATCH_INFLUX_{k}": v for k, v in names.items()}


class Workers:
    """Worker processes, each with a queue of its own, which a kill can damage."""

    def __init__(self, count: int, broker: str, load: Load) -> None:
        self._context = mp.get_context("spawn")
        self._broker, self._load, self._stop = broker, load, self._context.Event()
        self._running: list[tuple[Any, Any, list[Report]]] = []
        for _ in range(count):
            self._start()

    def _start(self) -> None:
        queue = self._context.Queue()
        process = self._context.Process(
            target=work, args=(self._broker, self._load, queue, self._stop)
        )
        process.start()
        self._running.append((process, queue, []))

    def wait_for_all(self) -> None:
        """Wait for the first report of each."""
        for _, queue, found in self._running:
            found.append(queue.get(timeout=60))

    def kill_one(self) -> None:
        """Kill the first, and start another."""
        self.collect()
        process, _, found = self._running[0]
        process.kill()
        self._running[0] = (process, None, found)
        self._start()

    def collect(self) -> list[list[Report]]:
        """Take what has been reported, by worker."""
        for _, queue, found in self._running:
            while queue is not None and not queue.empty():
                found.append(queue.get())
        return [found for _, _, found in self._running]

    def end(self) -> None:
        """Stop all."""
        self._stop.set()
        self.collect()  # a process does not end before its queue is empty
        for process, _, _ in self._running:
            process.join(30)
            if process.is_alive():
                process.kill()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--sink", choices=["sqlite", "influxdb"], default="sqlite")
    parser.add_argument(
        "--minutes", type=float, default=1.0, help=f"measured, after {SETTLE_S:g} s of settling"
    )
    parser.add_argument(
        "--kill", type=float, metavar="SECONDS", help="kill a worker so long into the measured time"
    )
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds of signal in a message")
    parser.add_argument("--broker", help="an empty Kafka; default: start one")
    parser.add_argument(
        "--stock", action="store_true", help="faust's own delivery instead of whole fetches"
    )
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with contextlib.ExitStack() as ends:
        broker = given.broker
        if broker is None:
            kafka = services.Kafka()
            ends.callback(kafka.remove)
            kafka.start()
            broker = kafka.address
        folder = ends.enter_context(tempfile.TemporaryDirectory())
        store, environment = store_of(given.sink, folder, ends)
        total_s = SETTLE_S + 60 * given.minutes
        load = Load(given.patients, given.chunk, total_s, store, environment, given.stock)
        waves = [template("pvcs"), template("vt")]
        create_topics(broker)
        workers = Workers(given.workers, broker, load)
        ends.callback(workers.end)
        workers.wait_for_all()
        start_s = time.time() + 4.0 * given.workers  # the group joins in that time
        generator = mp.get_context("spawn").Process(
            target=generate, args=(broker, waves, load, start_s)
        )
        generator.start()
        span = (start_s + SETTLE_S, start_s + total_s)
        killed_s, beats = None, []
        if given.kill is not None:
            beats = listen(broker, span[0] + given.kill)
            killed_s = time.time()
            workers.kill_one()
        beats += listen(broker, span[1] + LATE_S)
        found = workers.collect()
        generator.join()
        report(beats, found, load, span, killed_s)


if __name__ == "__main__":
    main()
