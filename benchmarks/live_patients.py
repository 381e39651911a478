#!/usr/bin/env python3
"""Measure how many live patients one worker carries: N 250-Hz streams through a real Kafka and the
stream processor, timed beat by beat.

    python benchmarks/live_patients.py [--patients 2000] [--seconds 60] [--broker HOST:PORT] [--chunk 0.5] [--stock]

Three processes beside the broker: a generator that sends each patient's chunk when its last sample
is due (an absolute schedule), one worker with the shipped models and an SQLite store, and this one,
which reads ecg.beats. The latency of a beat is from the arrival of its last sample (R + 50 ms, at
the device) to the arrival of its event here: waiting for the rest of the chunk is part of it.
Without --broker a Kafka is started by tools/services.py.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import multiprocessing as mp
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

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
Wave = np.ndarray[Any, np.dtype[np.int16]]


def template() -> Wave:
    """Two minutes of simulated sinus rhythm with ectopic beats, (n,), counts at 250 Hz."""
    from ingest.simulator.generate import simulate
    from ingest.simulator.scenario import load

    scenario = load("pvcs")
    blocks = simulate(
        scenario.model_copy(update={"fs_hz": FS_HZ, "loop": True}), duration_s=TEMPLATE_S
    )
    return np.concatenate([block.counts for block in blocks]).astype("<i2")


def generate(
    broker: str, wave: Wave, patients: int, seconds: float, chunk_s: float, start_s: float
) -> None:
    """Send every patient's chunks on schedule; patient i is i/N of a chunk behind patient 0,
    elsewhere in the template.

    The streams' starts are spread over JOIN_S, because patients do not arrive in the same second:
    otherwise all their rhythm windows would be due at once.
    """
    n = round(chunk_s * FS_HZ)
    twice = np.concatenate([wave, wave[:n]])
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker, "linger.ms": 5, "acks": 1, "partitioner": "murmur2_random"}
    )
    keys = [f"bench-{i:05d}" for i in range(patients)]
    shifts = np.random.default_rng(0).integers(len(wave), size=patients)
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
            at = (shifts[i] + own * n) % len(wave)
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


def work(broker: str, store: str, stock: bool, reports: Any, stop: Any) -> None:
    """Run the worker; puts (wall clock, CPU seconds, counters, CPU seconds by stage) on the queue
    every second."""
    from models.serving import runtime
    from stream_processor.pipeline.stage_list import StepTimes
    from stream_processor.pipeline.ward import Ward
    from stream_processor.sinks.sqlite import SqliteSink
    from stream_processor.worker.archive import Archive
    from stream_processor.worker.assembly import build_processor

    async def main() -> None:
        model, clock, timings = runtime.load(), SystemClock(), StepTimes()
        processor = build_processor(
            broker,
            lambda: Ward(model, clock, timings=timings),
            SystemClock(),
            whole_fetches=not stock,
        )
        archive = Archive(
            broker, lambda: SqliteSink(Path(store)), SystemClock(), processor.counters
        )
        archive.start(broken=lambda: None)
        task = asyncio.create_task(processor.run())
        while not stop.is_set() and not task.done():
            await asyncio.sleep(1.0)
            reports.put(
                (
                    time.time(),
                    time.process_time(),
                    processor.counters.as_dict(),
                    dict(timings.seconds),
                )
            )
        processor.stop()
        await task
        archive.stop()

    asyncio.run(main())


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
    reports: list[Any],
    patients: int,
    start_s: float,
    end_s: float,
) -> None:
    """Print the figures of the time between."""
    inside = [r for r in reports if start_s <= r[0] <= end_s]
    first, last = inside[0], inside[-1]
    span = last[0] - first[0]
    lags = [r[2]["lag"] + r[2]["pending"] for r in inside]
    latencies = np.array([latency for ended, latency in beats if start_s <= ended <= end_s])
    flat = statistics.mean(lags[-10:]) <= max(1.5 * statistics.mean(lags[:10]), patients)
    print(f"patients       {patients} for {span:.0f} s, {len(latencies) / span:.0f} beats/s")
    print(
        f"lag            {lags[0]} at the start, {max(lags)} at most, {lags[-1]} at the end: {'flat' if flat else 'GROWING'}"
    )
    print(
        f"worker         {(last[1] - first[1]) / span:.2f} core, {(last[1] - first[1]) / span / patients * 1000:.4f} ms/patient-second"
    )
    for stage, spent in sorted(last[3].items(), key=lambda item: -item[1]):
        print(
            f"  {stage:<22} {(spent - first[3].get(stage, 0.0)) / span / patients * 1000:.4f} ms/patient-second"
        )
    for name in ("slice_s", "snapshot_s"):
        print(
            f"  {name:<22} {(last[2][name] - first[2][name]) / span / patients * 1000:.4f} ms/patient-second (wall)"
        )
    print(
        f"snapshots      {(last[2]['snapshot_bytes'] - first[2]['snapshot_bytes']) / span / 1e6:.1f} MB/s, {last[2]['commits']} commits"
    )
    p50, p99, most = np.percentile(latencies, [50, 99, 100])
    print(f"beat latency   p50 {p50:.2f} s, p99 {p99:.2f} s, max {most:.2f} s")
    print("sustained" if flat and p99 < 2.0 else "NOT sustained")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=2000)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help=f"measured, after {SETTLE_S:g} s of settling"
    )
    parser.add_argument("--chunk", type=float, default=0.5, help="seconds of signal in a message")
    parser.add_argument("--broker", help="an empty Kafka; default: start one")
    parser.add_argument(
        "--stock", action="store_true", help="faust's own delivery instead of whole fetches"
    )
    given = parser.parse_args()
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    context = mp.get_context("spawn")
    with contextlib.ExitStack() as ends:
        broker = given.broker
        if broker is None:
            kafka = services.Kafka()
            ends.callback(kafka.remove)
            kafka.start()
            broker = kafka.address
        wave = template()
        folder = ends.enter_context(tempfile.TemporaryDirectory())
        create_topics(broker)
        reports, stop = context.Queue(), context.Event()
        worker = context.Process(
            target=work, args=(broker, f"{folder}/events.db", given.stock, reports, stop)
        )
        worker.start()
        found = [reports.get(timeout=60)]
        start_s = time.time() + 4.0  # the group joins in that time
        total_s = SETTLE_S + given.seconds
        generator = context.Process(
            target=generate, args=(broker, wave, given.patients, total_s, given.chunk, start_s)
        )
        generator.start()
        beats = listen(broker, start_s + total_s + LATE_S)
        stop.set()
        generator.join()
        while not reports.empty():
            found.append(reports.get())
        worker.join(30)
        if worker.is_alive():
            worker.kill()
        report(beats, found, given.patients, start_s + SETTLE_S, start_s + total_s)


if __name__ == "__main__":
    main()
