#!/usr/bin/env python3
"""Measure an alarm storm: the hearts of a thousand patients stop in the same second. Is every alarm
raised, stored and notified, how late, and does the page stay usable?

    nice python benchmarks/alarm_storm.py [--patients 1000] [--quiet 20] [--sink sqlite|influxdb] [--lead 30]

Twice the same story through a real Kafka (tools/services.py), `ecgwatch process`, `ecgwatch
monitor` and `ecgwatch notify`: first with few patients (the quiet run), then with all. Every
patient is in sinus rhythm, in asystole for 12 s from the same half second on, and in sinus rhythm
again. Watched from outside: ecg.alarms, the store, a webhook, a page with 64 patients, and the list
of high alarms by urgency. Delay: from sending the chunk with the last sample that an alarm needed
to the alarm here. Late: 2 s more than the median of the quiet run. On two cores everything
competes, the benchmark too (half a core): read the delays beside the cores in use. At the end
`ecgwatch alarms reconcile` must agree. Exit status 1 where an alarm is lost anywhere, 2 where one
is late.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing as mp
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import confluent_kafka
import numpy as np
import psutil
import websockets

from dashboards.monitor.live.frames import decode_frame
from ecgwatch import settings
from ecgwatch.stores import open_sink
from ingest.broker import create_topics
from ingest.messages import Alarm, SampleChunk, Strip, decode, encode
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import parse
from tools import services

FS_HZ, CHUNK_S, JOIN_S = 250.0, 0.5, 5.0
N = round(FS_HZ * CHUNK_S)
ASYSTOLE_S, AFTER_S = 12.0, 6.0  # a strip ends 10 s after its onset
STRIP_S = 10.0
WATCHED = 64
LATE_S = 2.0
DRAIN_S = 90.0  # longest wait for events in transit when the last sample has been sent
VARIETY = 8  # patients with a signal of their own; the others repeat them
KIND = "asystole"
Wave = np.ndarray[Any, np.dtype[np.int16]]


@dataclass
class Seen:
    """Observations from outside; times in seconds of the wall clock."""

    # (chunks, patients)
    sent: np.ndarray[Any, Any] = field(default_factory=lambda: np.empty((0, 0)))
    raised: dict[str, tuple[float, Alarm]] = field(default_factory=dict)  # by patient
    again: int = 0  # asystoles beyond one for each patient
    kinds: Counter[str] = field(default_factory=Counter)  # number of onsets of all alarms
    notified: dict[str, float] = field(default_factory=dict)  # by alarm id
    stored_s: float = np.nan  # when the last asystole was in the store
    strips_s: float = np.nan  # when the last of their strips was
    # messages about the whole ward: when, how many high alarms
    ward: list[tuple[float, int]] = field(default_factory=list)
    # delays of samples from sending to the page
    frames_late_s: list[float] = field(default_factory=list)
    # the list of high alarms: arrival, seconds it took, number of alarms
    listed: list[tuple[float, float, int]] = field(default_factory=list)
    cut_off: str = ""  # why the page was disconnected
    # cores in use during the asystole, by user
    cores: dict[str, float] = field(default_factory=dict)
    log: str = ""
    reconciled: str = ""
    agrees: bool = False
    load: tuple[float, float] = (np.nan, np.nan)


def waves(lead_s: float) -> list[Wave]:
    """Sinus rhythm, asystole, sinus rhythm: a few patients, (n,), counts at 250 Hz."""
    parts = [("sinus", lead_s, 75), (KIND, ASYSTOLE_S, None), ("sinus", AFTER_S, 75)]
    segments = [
        {"rhythm": what, "duration_s": s} | ({"rate": rate} if rate else {})
        for what, s, rate in parts
    ]
    story = parse({"fs_hz": FS_HZ, "segments": segments}, "storm")
    return [
        np.concatenate([b.counts for b in simulate(story, seed=seed)]).astype("<i2")
        for seed in range(VARIETY)
    ]


def names(patients: int) -> list[str]:
    return [f"storm-{i:04d}" for i in range(patients)]


def begins(i: int) -> int:
    """The chunk of the story with which patient i's stream begins: patients do not arrive in the
    same second."""
    return i % round(JOIN_S / CHUNK_S)


def generate(broker: str, lead_s: float, patients: int, start_s: float, path: str) -> None:
    """Send every patient's chunks on schedule, patient i i/N of a chunk behind patient 0; when each
    went, (chunks, patients), to a file."""
    made = waves(lead_s)
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": broker, "linger.ms": 5, "acks": 1, "partitioner": "murmur2_random"}
    )
    chunks = len(made[0]) // N
    sent = np.full((chunks, patients), np.nan)
    for k in range(chunks):
        for i, name in enumerate(names(patients)):
            if k < begins(i):
                continue
            due = start_s + (k + 1 + i / patients) * CHUNK_S
            if (wait := due - time.time()) > 0.002:
                producer.poll(0)
                time.sleep(wait)
            own = k - begins(i)
            chunk = SampleChunk(
                patient_id=name,
                device_id="storm",
                lead="II",
                seq=own,
                first_sample=own * N,
                t0_ns=round((due - CHUNK_S) * 1e9),
                fs_hz=FS_HZ,
                counts_per_mv=200.0,
                samples=made[i % VARIETY][k * N : (k + 1) * N].tobytes(),
                end=k == chunks - 1,
            )
            producer.produce("ecg.samples", encode(chunk), name.encode())
            sent[k, i] = time.time()
    producer.flush(30)
    np.save(path, sent)


def answer_hook(port: Any, notified: Any) -> None:
    """A webhook that accepts everything and puts (alarm id, time) of asystoles on the queue."""

    class Post(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            id_, _, step = body["message"].rpartition("\nId: ")[2].partition("|")
            if f":{KIND}:" in id_ and step.startswith("onset"):
                notified.put((id_, time.time()))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Hook(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

    server = Hook(("127.0.0.1", 0), Post)
    port.put(server.server_port)
    server.serve_forever()


class Watch:
    """Runs all observers, each in its own thread, until stopped."""

    def __init__(self, broker: str, patients: int, url: str, store: Any, notified: Any) -> None:
        self.seen, self._patients, self._url, self._store, self._told = (
            Seen(),
            names(patients),
            url,
            store,
            notified,
        )
        self._ending = threading.Event()
        self._consumer = confluent_kafka.Consumer(
            {"bootstrap.servers": broker, "group.id": "storm", "fetch.wait.max.ms": 20}
        )
        parts = self._consumer.list_topics("ecg.alarms", timeout=10).topics["ecg.alarms"].partitions
        self._consumer.assign([confluent_kafka.TopicPartition("ecg.alarms", p, 0) for p in parts])
        jobs: tuple[Callable[[], None], ...] = (
            self._alarms,
            self._keep,
            self._ask,
            lambda: asyncio.run(self._page()),
        )
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()

    def complete(self) -> bool:
        """True if all expected events have been seen."""
        while not self._told.empty():
            id_, at_s = self._told.get()
            self.seen.notified.setdefault(id_, at_s)
        s, n = self.seen, len(self._patients)
        return (
            len(s.raised) >= n
            and len(s.notified) >= n
            and not np.isnan(s.strips_s)
            and bool(s.listed)
            and s.listed[-1][2] >= n
        )

    def end(self) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(15)
        self._consumer.close()

    def _alarms(self) -> None:
        while not self._ending.is_set():
            for message in self._consumer.consume(500, timeout=0.05):
                if message.error():
                    continue
                now, alarm = time.time(), decode(message.value() or b"", Alarm)
                self.seen.kinds[alarm.kind] += alarm.step == "onset"
                if alarm.kind == KIND and alarm.step == "onset" and alarm.announced:
                    self.seen.again += alarm.patient_id in self.seen.raised
                    self.seen.raised.setdefault(alarm.patient_id, (now, alarm))

    def _keep(self) -> None:
        """Query the store for one patient after the other: times are late by at most one round over
        a thousand patients (SQLite 0.1 s, InfluxDB 30 s)."""
        self.seen.stored_s = self._until_stored(
            lambda patient: any(a.kind == KIND for a in self._store.read(Alarm, patient))
        )
        self.seen.strips_s = self._until_stored(
            lambda patient: any(s.kind == KIND for s in self._store.read(Strip, patient))
        )

    def _until_stored(self, there: Callable[[str], bool]) -> float:
        for patient in self._patients:
            while not there(patient):
                if self._ending.wait(0.1):
                    return float("nan")
        return time.time()

    def _ask(self) -> None:
        while not self._ending.wait(0.5):
            begin = time.time()
            with urllib.request.urlopen(
                f"{self._url}api/patients?alarm=high&order=urgency", timeout=60
            ) as answer:
                total = json.load(answer)["total"]
            self.seen.listed.append((time.time(), time.time() - begin, total))

    async def _page(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with websockets.connect(
                self._url.replace("http", "ws") + "live",
                origin=self._url.rstrip("/"),
                max_size=None,
            ) as socket:  # type: ignore[arg-type]
                watched: set[str] = set()
                while not self._ending.is_set():
                    await self._receive(await asyncio.wait_for(socket.recv(), 30), socket, watched)
            return
        self.seen.cut_off = "nothing came for 30 s"

    async def _receive(self, data: str | bytes, socket: Any, watched: set[str]) -> None:
        now = time.time()
        if isinstance(data, bytes):
            if not (frame := decode_frame(data)).flags:
                self.seen.frames_late_s.append(
                    now - frame.t0_ms / 1000 - frame.samples.size / frame.fs_hz
                )
            return
        message = json.loads(data)
        if message["type"] == "ward":
            self.seen.ward.append((now, message["alarms"]["high"]))
            if len(watched) < min(WATCHED, message["patients"]):
                watched |= set(self._patients[: min(WATCHED, message["patients"])])
                await socket.send(json.dumps({"watch": sorted(watched)}))


@contextlib.contextmanager
def ecgwatch(
    environment: dict[str, str], folder: Path, name: str, *arguments: str
) -> Iterator[subprocess.Popen[str]]:
    """Run `ecgwatch NAME ARGUMENTS` and end it with the block; its log is NAME.log in the
    folder."""
    with (folder / f"{name}.log").open("w") as log:
        command = [sys.executable, "-m", "ecgwatch", name, *arguments]
        child = subprocess.Popen(
            command, env=os.environ | environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            yield child
        finally:
            child.terminate()
            child.communicate(timeout=60)


def first_line(child: subprocess.Popen[str]) -> str:
    """The line that a command prints once it is ready."""
    assert child.stdout
    if not (line := child.stdout.readline()):
        raise RuntimeError(f"{child.args!r} did not start")
    return line


def run(broker: str, environment: dict[str, str], patients: int, lead_s: float) -> Seen:
    """Run the story for this number of patients; the broker and the store (named by `environment`)
    must be empty."""
    create_topics(broker)
    context = mp.get_context("spawn")
    with tempfile.TemporaryDirectory() as place, contextlib.ExitStack() as ends:
        folder, port, notified = Path(place), context.Queue(), context.Queue()
        hook = context.Process(target=answer_hook, args=(port, notified), daemon=True)
        hook.start()
        ends.callback(hook.terminate)
        plan = folder / "notifications.toml"
        plan.write_text(
            f'[recipients.hook]\nurl = "json://127.0.0.1:{port.get(timeout=60)}/"\n[[rules]]\nrecipients = ["hook"]\n'
        )
        environment = {"ECGWATCH_SINK": f"sqlite:{folder}/events.db"} | environment
        environment |= {"ECGWATCH_BROKER": broker, "ECGWATCH_NOTIFICATIONS": str(plan)}
        options = {"process": ("--workers", "1"), "notify": (), "monitor": ("--port", "0")}
        commands = {
            name: ends.enter_context(ecgwatch(environment, folder, name, *more))
            for name, more in options.items()
        }
        first_lines = {name: first_line(child) for name, child in commands.items()}
        store = open_sink(settings.load({}, environment)[0])
        ends.callback(store.close)
        watch = Watch(
            broker,
            patients,
            first_lines["monitor"].removeprefix("monitor: ").strip(),
            store,
            notified,
        )
        pids = {name: child.pid for name, child in commands.items()}
        _tell_story(context, watch, broker, patients, lead_s, folder / "sent.npy", pids)
        command = [sys.executable, "-m", "ecgwatch", "alarms", "reconcile"]
        done = subprocess.run(
            command,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        watch.seen.reconciled, watch.seen.agrees = done.stdout + done.stderr, done.returncode == 0
        watch.seen.log = (
            (folder / "process.log").read_text()
            + (folder / "notify.log").read_text()
            + (folder / "monitor.log").read_text()
        )
        return watch.seen


def _tell_story(
    context: Any,
    watch: Watch,
    broker: str,
    patients: int,
    lead_s: float,
    path: Path,
    pids: dict[str, int],
) -> None:
    """Send everything, and observe until all has been seen or DRAIN_S have passed."""
    load, start_s = os.getloadavg()[0], time.time() + 3.0
    generator = context.Process(
        target=generate, args=(broker, lead_s, patients, start_s, str(path))
    )
    generator.start()
    time.sleep(max(0.0, start_s + lead_s - time.time()))
    before, begin_s = _cpu_s(pids), time.time()
    time.sleep(ASYSTOLE_S)
    after, seconds = _cpu_s(pids), time.time() - begin_s
    generator.join()
    end_s = time.time()
    while not watch.complete() and time.time() < end_s + DRAIN_S:
        time.sleep(0.2)
    watch.end()
    watch.complete()
    watch.seen.sent = np.load(path)
    watch.seen.cores = {name: (after[name] - before[name]) / seconds for name in after}
    watch.seen.load = (load, os.getloadavg()[0])


def _cpu_s(pids: dict[str, int]) -> dict[str, float]:
    """CPU seconds used so far by the commands, by the benchmark with its Kafka, and by everything
    else on the machine."""
    found = {name: _tree_s(pid) for name, pid in pids.items()}
    all_of_ours, machine = _tree_s(os.getpid()), psutil.cpu_times()
    found["benchmark and Kafka"] = all_of_ours - sum(found.values())
    found["other work"] = machine.user + machine.nice + machine.system - all_of_ours
    return found


def _tree_s(pid: int) -> float:
    process = psutil.Process(pid)
    times = [p.cpu_times() for p in (process, *process.children(recursive=True))]
    return float(sum(t.user + t.system for t in times))


def delays(seen: Seen) -> np.ndarray[Any, Any]:
    """Seconds from sending the last sample that each asystole needed to the alarm, (alarms,)."""
    found = [
        at_s - seen.sent[_chunk(patient, alarm.raised_sample), _number(patient)]
        for patient, (at_s, alarm) in seen.raised.items()
    ]
    return np.array(found)


def lost(seen: Seen, patients: int) -> list[str]:
    """The missing events, in words."""
    ids = {alarm.id for _, alarm in seen.raised.values()}
    counts = {"on ecg.alarms": len(ids), "told": len(ids & seen.notified.keys())}
    found = [f"{n} of {patients} asystoles {where}" for where, n in counts.items() if n < patients]
    found += [
        f"not all {what} in the store"
        for what, at_s in (("asystoles", seen.stored_s), ("strips", seen.strips_s))
        if np.isnan(at_s)
    ]
    return [
        *found,
        *([] if seen.agrees else ["reconcile does not agree"]),
        *([f"page: {seen.cut_off}"] if seen.cut_off else []),
    ]


def _number(patient: str) -> int:
    return int(patient.rpartition("-")[2])


def _chunk(patient: str, sample: int) -> int:
    return begins(_number(patient)) + sample // N


def figures(seen: Seen) -> dict[str, float]:
    """Every figure of a run by its line in the table; seconds."""
    late, raised = delays(seen), sorted(at_s for at_s, _ in seen.raised.values())
    n, last_s = len(raised), raised[-1]
    notified = np.array(
        [seen.notified[a.id] - at_s for at_s, a in seen.raised.values() if a.id in seen.notified]
        or [np.nan]
    )
    strip_s = max(
        seen.sent[_chunk(p, a.onset_sample + round(STRIP_S * FS_HZ)), _number(p)]
        for p, (_, a) in seen.raised.items()
    )
    ward_s = np.array([at_s for at_s, _ in seen.ward if at_s > raised[0] - 5])
    behind = [at_s - raised[count] for at_s, count in seen.ward if count < n]
    took = np.array([took for at_s, took, _ in seen.listed if at_s > raised[0] - 5])
    return {
        "sample sent -> alarm, p50": float(np.median(late)),
        "  p99": float(np.percentile(late, 99)),
        "  max": float(late.max()),
        "alarm -> webhook, p50": float(np.median(notified)),
        "  p99 ": float(np.percentile(notified, 99)),
        "  max ": float(notified.max()),
        "last alarm -> all alarms stored": seen.stored_s - last_s,
        "last strip's end sent -> all strips stored": seen.strips_s - strip_s,
        "page: longest gap between ward messages": float(np.diff(ward_s).max()),
        "page: count of high alarms behind by at most": max(0.0, *behind),
        "page: last alarm -> all counted": next(
            (at_s - last_s for at_s, c in seen.ward if c >= n), np.nan
        ),
        "page: trace, sample -> page, p50": float(np.median(seen.frames_late_s)),
        "  p99  ": float(np.percentile(seen.frames_late_s, 99)),
        "  max  ": max(seen.frames_late_s),
        "list of high alarms, answer in, p50": float(np.median(took)),
        "  max   ": float(took.max()),
        "list: last alarm -> all listed": next(
            (at_s - last_s for at_s, _, c in seen.listed if c >= n), np.nan
        ),
    }


def report(storm: Seen, quiet: Seen) -> int:
    """Print the table; returns the number of late alarms."""
    left, right = figures(storm), figures(quiet)
    print(f"{'seconds':<46}{'storm':>9}{'quiet':>9}{'more':>9}")
    for line, value in left.items():
        print(f"{line:<46}{value:9.2f}{right[line]:9.2f}{value - right[line]:9.2f}")
    for name, seen in (("storm", storm), ("quiet", quiet)):
        print(
            f"{name}: {len(seen.raised)} asystoles on ecg.alarms, {seen.again} again, {len(seen.notified)} told;",
            end=" ",
        )
        print(
            "alarms of any kind: "
            + ", ".join(f"{count} {kind}" for kind, count in seen.kinds.most_common())
        )
        print(
            "  cores during the asystole: "
            + ", ".join(f"{what} {cpu:.2f}" for what, cpu in seen.cores.items()),
            end="; ",
        )
        behind = np.nanmax(seen.sent - np.nanmin(seen.sent, axis=1, keepdims=True)) - CHUNK_S
        print(
            f"load {seen.load[0]:.1f} to {seen.load[1]:.1f} on {os.cpu_count()} cores; generator at most {max(behind, 0):.2f} s behind"
        )
        for figure in ("latency_p99_s", "slowest_slice_s"):
            print(
                f"  processor, {figure} every 15 s: "
                + " ".join(re.findall(rf"{figure}=([\d.]+)", seen.log))
            )
    print("reconcile:", *storm.reconciled.splitlines()[:12], sep="\n  ")
    median_s = float(np.median(delays(quiet)))
    late = int((delays(storm) > median_s + LATE_S).sum())
    print(
        f"late by more than {LATE_S:g} s: {late}; the latest by {delays(storm).max() - median_s:.2f} s"
    )
    return late


@contextlib.contextmanager
def parts(sink: str) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a Kafka, and the environment that names the store to the commands (by default
    a new SQLite file)."""
    with contextlib.ExitStack() as ends:
        kafka = services.Kafka()
        ends.callback(kafka.remove)
        kafka.start()
        if sink == "sqlite":
            yield kafka.address, {}
            return
        influx = services.Influxdb()
        ends.callback(influx.remove)
        influx.start()
        yield (
            kafka.address,
            {
                "ECGWATCH_SINK": f"influxdb:{influx.url}",
                "ECGWATCH_INFLUX_TOKEN": influx.token,
                "ECGWATCH_INFLUX_ORG": influx.org,
                "ECGWATCH_INFLUX_BUCKET": influx.bucket,
            },
        )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--patients", type=int, default=1000)
    parser.add_argument(
        "--quiet", type=int, default=20, help="patients of the run that it is compared with"
    )
    parser.add_argument("--sink", choices=["sqlite", "influxdb"], default="sqlite")
    parser.add_argument("--lead", type=float, default=30.0, help="seconds of sinus rhythm before")
    parser.add_argument(
        "--log", type=Path, help="keep what the commands of the storm logged in this file"
    )
    given = parser.parse_args()
    seen = []
    for patients in (given.quiet, given.patients):
        with parts(given.sink) as (broker, environment):
            seen.append(run(broker, environment, patients, given.lead))
    quiet, storm = seen
    if given.log:
        given.log.write_text(storm.log)
    problems = [f"quiet: {text}" for text in lost(quiet, given.quiet)] + lost(storm, given.patients)
    late = report(storm, quiet) if storm.raised and quiet.raised else 0
    print("lost: " + ("nothing" if not problems else "; ".join(problems)))
    sys.exit(1 if problems else 2 if late else 0)


if __name__ == "__main__":
    main()
