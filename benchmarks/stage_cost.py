"""Measure what a patient costs, step by step, in CPU time of one thread, without Kafka.

    python benchmarks/stage_cost.py [--patients 500 1000] [--seconds 20] [--profile FILE]

N patients at 250 Hz, all tasks on, 2 % of them with VT and 18 % with ectopic beats, in chunks of half a second
and slices of a tenth of a second, as the worker gets them. After SETTLE_S of signal: the data path
step by step; then what a worker does with its events (encoding, decoding, SQLite, InfluxDB's line
protocol) and the snapshots of all patients, one every COMMIT_S. Figures are CPU milliseconds per
patient and second of signal: 0.1 is one core at 10,000 patients.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import os
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np

from ingest.clock import ManualClock
from ingest.messages import Event, SampleChunk, decode, encode
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from models.serving import runtime
from stream_processor.pipeline.step_times import StepTimes
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks import influx_lines
from stream_processor.sinks.sqlite import SqliteSink
from stream_processor.worker.app import GC_THRESHOLDS

FS_HZ = 250.0
CHUNK_S = 0.5
SLICE_S = 0.1
SETTLE_S = 15  # the rhythm task answers from 9 s on
COMMIT_S = 5.0  # worker/checkpointer.py
SCENARIOS = {"vt": 0.02, "pvcs": 0.18, "normal": 0.8}  # share of patients
TEMPLATE_S = 60
START_NS = 1_700_000_000_000_000_000
BATCH = 5_000  # events written at a time, as worker/archive.py does
Wave = np.ndarray[Any, np.dtype[np.int16]]


def template(name: str) -> Wave:
    """A minute of a scenario's signal, (n,), counts at 250 Hz."""
    scenario = load(name).model_copy(update={"fs_hz": FS_HZ, "loop": True})
    return np.concatenate([b.counts for b in simulate(scenario, duration_s=TEMPLATE_S)]).astype(
        "<i2"
    )


class Patients:
    """Chunks of N patients, whose streams are spread over the rhythm task's five seconds."""

    def __init__(self, n: int) -> None:
        self._waves = {name: template(name) for name in SCENARIOS}
        self._at = np.random.default_rng(0).integers(TEMPLATE_S * round(FS_HZ), size=n)
        shares = np.cumsum(list(SCENARIOS.values()))
        self._scenario = [
            list(SCENARIOS)[int(np.searchsorted(shares, (i + 0.5) / n))] for i in range(n)
        ]

    def __len__(self) -> int:
        return len(self._at)

    def signal(self, i: int) -> Wave:
        """A minute of patient i's signal, (n,), counts."""
        return np.roll(self._waves[self._scenario[i]], -int(self._at[i]))

    def chunks(self, step: int) -> list[SampleChunk]:
        """Chunks that come in one slice; a fifth of the patients in each."""
        per_chunk, n = round(CHUNK_S / SLICE_S), round(CHUNK_S * FS_HZ)
        found = []
        for i in range(step % per_chunk, len(self), per_chunk):
            k = step // per_chunk - i % 10  # chunks of this patient before
            if k < 0:
                continue
            wave, at = self._waves[self._scenario[i]], int(self._at[i]) + k * n
            samples = wave.take(range(at, at + n), mode="wrap").tobytes()
            found.append(
                SampleChunk(
                    patient_id=f"bench-{i:05d}",
                    device_id="bench",
                    lead="II",
                    seq=k,
                    first_sample=k * n,
                    t0_ns=START_NS + round(k * CHUNK_S * 1e9),
                    fs_hz=FS_HZ,
                    counts_per_mv=200.0,
                    samples=samples,
                )
            )
        return found


def measure(n: int, seconds: float, profile: cProfile.Profile | None) -> None:
    """Print the cost of n patients."""
    model, times, clock = runtime.load(), StepTimes(), ManualClock(START_NS)
    patients = Patients(n)
    before_kb = resident_kb()
    ward = Ward(model, clock, timings=times)
    events: list[Event] = []
    spent: dict[str, float] = defaultdict(float)
    slices = round((SETTLE_S + seconds) / SLICE_S)
    settled: dict[str, float] = {}
    for step in range(slices):
        values = [encode(chunk) for chunk in patients.chunks(step)]
        if step == round(SETTLE_S / SLICE_S):
            settled, events = dict(times.seconds), []
            spent.clear()
            if profile:
                profile.enable()
        clock.advance(SLICE_S)
        chunks = timed(spent, "decode chunks", partial(decoded, values))
        found = timed(spent, "ward in all", partial(ward.push, chunks))
        if step % 5 == 0:
            found += timed(spent, "clock", ward.on_clock)
        events += found
    if profile:
        profile.disable()
    per = 1000 / (n * seconds)
    after_kb = resident_kb()
    print(f"\n{n} patients, {seconds:g} s, {len(events) / n / seconds:.2f} events/patient-second")
    path = {name: spend - settled.get(name, 0.0) for name, spend in times.seconds.items()}
    for name, spend in sorted(path.items(), key=lambda item: -item[1]):
        print(f"  {name:<24} {spend * per:.4f}")
    pipeline = sum(spent.values())
    spent["ward, beside its steps"] = spent.pop("ward in all") - sum(path.values())
    worker(ward, events, spent, n, seconds)
    for name, spend in sorted(spent.items(), key=lambda item: -item[1]):
        print(f"  {name:<24} {spend * per:.4f}")
    once = pipeline + spent["encode events"] + spent["snapshots"]
    print(
        f"pipeline {pipeline * per:.4f}, with encoding and snapshots {once * per:.4f} ms/patient-second"
    )
    print(f"memory {(after_kb - before_kb) / n:.0f} kB/patient")


def decoded(values: list[bytes]) -> list[SampleChunk]:
    """The chunks that these messages hold."""
    return [decode(value, SampleChunk) for value in values]


def worker(
    ward: Ward, events: list[Event], spent: dict[str, float], n: int, seconds: float
) -> None:
    """Time what follows the data path."""
    names = ward.patients()
    states = timed(spent, "snapshots", lambda: [ward.snapshot(name) for name in names])
    spent["snapshots"] *= seconds / COMMIT_S
    size = sum(map(len, states)) / n
    print(f"  snapshot of {size / 1000:.1f} kB, {size / COMMIT_S / 1000:.2f} kB/patient-second")
    values = timed(spent, "encode events", lambda: [encode(event) for event in events])
    print(f"  events of {sum(map(len, values)) / n / seconds / 1000:.2f} kB/patient-second")
    timed(
        spent,
        "decode events (archive)",
        lambda: [decode(v, type(e)) for v, e in zip(values, events, strict=True)],
    )
    timed(spent, "InfluxDB lines", lambda: sum(len(list(influx_lines.lines(e))) for e in events))
    with tempfile.TemporaryDirectory() as folder:
        sink = SqliteSink(Path(folder) / "events.db")

        def store() -> None:
            for first in range(0, len(events), BATCH):
                for event in events[first : first + BATCH]:
                    sink.add(event)
                sink.flush()

        timed(spent, "SQLite", store)
        sink.close()


def timed(spent: dict[str, float], name: str, work: Callable[[], Any]) -> Any:
    """Run `work`, and add its CPU seconds."""
    start = time.thread_time()
    result = work()
    spent[name] += time.thread_time() - start
    return result


def resident_kb() -> int:
    """Largest resident memory of this process so far, kB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, nargs="+", default=[500, 1000])
    parser.add_argument("--seconds", type=float, default=20.0, help="measured, after settling")
    parser.add_argument("--profile", metavar="FILE", help="write a cProfile of the data path")
    given = parser.parse_args()
    gc.set_threshold(*GC_THRESHOLDS)  # as the worker does
    profile = cProfile.Profile() if given.profile else None
    for n in given.patients:
        measure(n, given.seconds, profile)
    if profile:
        profile.dump_stats(given.profile)


if __name__ == "__main__":
    main()
