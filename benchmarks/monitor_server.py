#!/usr/bin/env python3
"""Measure the cost and delay of the built-in monitor's server, also while days of history are being
read.

    python benchmarks/monitor_server.py [--patients 50] [--watched 50] [--seconds 30] [--readers 4]

Made-up patients at 250 Hz (two chunks, a rhythm, vitals and 1.2 beats a second each) go through a
broker in this process to `ecgwatch monitor` in another; one page watches some of them. Reported
are: bytes on the wire per watched patient and second, the monitor's CPU time, and how long after a
chunk's last sample its frame is at the page, first alone, then while `--readers` programs read a
day of signal, trend and report of a patient over and over from SQLite.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import psutil
import websockets
from confluent_kafka import Producer

from dashboards.monitor.live.frames import decode_frame
from ingest import topics
from ingest.embedded import EmbeddedBroker
from ingest.messages import Beat, Message, Rhythm, SampleChunk, Vitals, Waveform, encode
from ingest.packing import pack
from stream_processor.sinks.sqlite import SqliteSink

S = 10**9
FS, N = 250.0, 125
DAY0 = 1_700_000_000 * S
TOPIC = {
    SampleChunk: topics.SAMPLES,
    Beat: topics.BEATS,
    Rhythm: topics.RHYTHM,
    Vitals: topics.VITALS,
}


def fill(path: Path) -> None:
    """Store a day of one patient."""
    sink, rng = SqliteSink(path), np.random.default_rng(0)
    base = {"patient_id": "past", "device_id": "d", "lead": "II"}
    for k in range(8640):
        x = rng.normal(0, 60, 2500).cumsum() % 400
        start = DAY0 + k * 10 * S
        made = {
            "fs_hz": FS,
            "counts_per_mv": 200.0,
            "start_sample": k * 2500,
            "n": 2500,
            "packed": pack(x.astype(np.int16)),
        }
        sink.add(Waveform(**base, **made, start_ns=start))
        for i in range(10):
            sink.add(
                Vitals(
                    **base,
                    time_ns=start + i * S,
                    hr_bpm=70.0 + i,
                    sdnn_ms=50.0,
                    rmssd_ms=30.0,
                    quality=1.0,
                )
            )
        for i in range(12):
            sink.add(beat("past", start + i * S * 10 // 12))
        if k % 200 == 0:
            sink.flush()
    sink.flush()
    sink.close()


def beat(patient: str, at_ns: int) -> Beat:
    made = {
        "patient_id": patient,
        "device_id": "d",
        "lead": "II",
        "fs_hz": FS,
        "time_ns": at_ns,
        "sample": 0,
        "rr_ms": 833.3,
    }
    return Beat(**made, label="N", confidence=0.99, label_probability=0.9)


class Stream(threading.Thread):
    """Sends the patients' messages evenly over time, each chunk at the moment of its last
    sample."""

    def __init__(self, broker: str, patients: int) -> None:
        super().__init__(daemon=True)
        self.producer = Producer({"bootstrap.servers": broker, "linger.ms": 5, "log_level": 0})
        self.patients = [f"Bed {k}" for k in range(patients)]
        self.ending = threading.Event()
        self.start_ns = time.time_ns()

    def run(self) -> None:
        step = S // 2 // len(self.patients)
        samples = np.round(200 * np.sin(np.arange(N) / 8)).astype("<i2").tobytes()
        for seq in range(10**9):
            for k, patient in enumerate(self.patients):
                t0 = self.start_ns + seq * S // 2 + k * step
                wait = (t0 + S // 2 - time.time_ns()) / S
                if self.ending.wait(max(0.0, wait)) if wait > 0.002 else self.ending.is_set():
                    return
                for message in self.due(patient, seq, t0, samples):
                    self.producer.produce(TOPIC[type(message)].name, encode(message), key=patient)
                self.producer.poll(0)

    def due(self, patient: str, seq: int, t0: int, samples: bytes) -> list[Message]:
        base = {"patient_id": patient, "device_id": "d", "lead": "II"}
        chunk = SampleChunk(
            **base,
            seq=seq,
            first_sample=seq * N,
            t0_ns=t0,
            fs_hz=FS,
            counts_per_mv=200.0,
            samples=samples,
        )
        found: list[Message] = (
            [chunk, beat(patient, t0)]
            if seq % 5 != 4
            else [chunk, beat(patient, t0), beat(patient, t0 + S // 4)]
        )
        if seq % 2:
            span = {
                "start_ns": self.start_ns,
                "end_ns": t0,
                "start_sample": 0,
                "end_sample": seq * N,
            }
            found.append(Rhythm(**base, fs_hz=FS, **span, label="N", probability=0.97))
            found.append(
                Vitals(
                    **base, time_ns=t0, hr_bpm=72.5, sdnn_ms=48.123, rmssd_ms=31.456, quality=1.0
                )
            )
        return found


async def watch(url: str, watched: list[str], seconds: float) -> tuple[int, list[float]]:
    """(bytes, delays in ms) of a page."""
    total, late = 0, []
    async with websockets.connect(
        url.replace("http", "ws") + "live", origin=url.rstrip("/"), max_size=None
    ) as socket:
        await socket.send('{"watch": [' + ",".join(f'"{p}"' for p in watched) + "]}")
        warm = time.monotonic() + 3
        while time.monotonic() < warm + seconds:
            data = await socket.recv()
            now = time.time()
            if time.monotonic() < warm:
                continue
            total += len(data)
            if isinstance(data, bytes) and not (frame := decode_frame(data)).flags:
                late.append(now * 1000 - frame.t0_ms - 1000 * frame.samples.size / frame.fs_hz)
    return total, late


def read_days(url: str, ending: threading.Event, took: list[float]) -> None:
    period = f"from={DAY0 / 1e6}&to={DAY0 / 1e6 + 86_400_000}"
    while not ending.is_set():
        for what in (
            f"waveform?{period}&points=2000",
            f"trend?{period}&points=2000",
            f"report?{period}",
        ):
            begin = time.monotonic()
            urllib.request.urlopen(f"{url}api/patients/past/{what}", timeout=120).read()
            took.append(time.monotonic() - begin)


def tell(what: str, process: psutil.Process, url: str, watched: list[str], seconds: float) -> None:
    before = process.cpu_times()
    total, late = asyncio.run(watch(url, watched, seconds))
    after = process.cpu_times()
    cpu = after.user + after.system - before.user - before.system
    p50, p99, worst = np.percentile(late, [50, 99, 100])
    print(
        f"{what}: {total / len(watched) / seconds:.0f} bytes per patient-second, CPU {100 * cpu / (seconds + 3):.1f} % of a core"
    )
    print(
        f"  from a chunk's last sample to the page: median {p50:.0f} ms, p99 {p99:.0f} ms, worst {worst:.0f} ms ({len(late)} frames)"
    )


def tell_with_readers(
    count: int, process: psutil.Process, url: str, watched: list[str], seconds: float
) -> None:
    ending, took = threading.Event(), list[float]()
    readers = [threading.Thread(target=read_days, args=(url, ending, took)) for _ in range(count)]
    for reader in readers:
        reader.start()
    tell(f"with {count} readers of days", process, url, watched, seconds)
    ending.set()
    for reader in readers:
        reader.join()
    print(
        f"  a day's answer took: median {np.median(took):.1f} s, worst {max(took):.1f} s ({len(took)} answers)"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--patients", type=int, default=50)
    parser.add_argument("--watched", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--readers", type=int, default=4)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, EmbeddedBroker() as broker:
        path = Path(folder) / "day.db"
        fill(path)
        command = [
            sys.executable,
            "-m",
            "ecgwatch",
            "monitor",
            "--port",
            "0",
            "--broker",
            broker.address,
            "--sink",
            f"sqlite:{path}",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as monitor:
            assert monitor.stdout
            url = monitor.stdout.readline().removeprefix("monitor: ").strip()
            stream = Stream(broker.address, given.patients)
            stream.start()
            time.sleep(5)
            process, watched = psutil.Process(monitor.pid), stream.patients[: given.watched]
            print(
                f"{given.patients} patients, {len(watched)} watched, load {os.getloadavg()[0]:.1f}"
            )
            tell("alone", process, url, watched, given.seconds)
            if given.readers:
                tell_with_readers(given.readers, process, url, watched, given.seconds)
            print(f"  memory {process.memory_info().rss / 1e6:.0f} MB")
            stream.ending.set()
            stream.join()
            monitor.terminate()


if __name__ == "__main__":
    main()
