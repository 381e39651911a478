"""/healthz, /readyz and /metrics of every kind of process, as an orchestrator and Prometheus ask."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from ingest.embedded import EmbeddedBroker

PLAN = """[recipients.nurse]
url = "json://127.0.0.1:1"

[[rules]]
recipients = ["nurse"]
"""
TOLD = {
    "process": {"latency_p99_seconds", "slowest_slice_seconds", "lag_messages", "unstored_messages"}
    | {"store_away_seconds", "inputs_refused_total", "dead_letters_total", "worker_restarts_total"},
    "notify": {"lag_messages", "notifications_waiting", "alarms_refused_total"},
    "score": {"lag_messages", "scored_patients", "inputs_refused_total"},
    "monitor": {"broker_up", "patients", "system_alarms"},
    "ingest": {"broker_up", "waiting_chunks", "inputs_refused_total"},
    "gateway": {"devices", "devices_silent", "backlog_bytes", "inputs_refused_total"},
}


@pytest.fixture(scope="module")
def broker() -> Iterator[EmbeddedBroker]:
    with EmbeddedBroker() as found:
        yield found


def free_port() -> int:
    """Outside the range from which the system gives ports to clients, so that no connection of the
    process itself takes it meanwhile."""
    for port in random.Random(os.getpid()).sample(range(20_000, 30_000), 50):
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no free port")


def arguments(kind: str, port: int, folder: Path) -> list[str]:
    (folder / "plan.toml").write_text(PLAN)
    return {
        "process": ["process", "--workers", "1"],
        "notify": ["notify", "--file", str(folder / "plan.toml")],
        "score": ["score"],
        "monitor": ["monitor", "--port", str(port)],
        "ingest": ["ingest", "--port", str(port)],
        "gateway": ["gateway", "mqtt://127.0.0.1:1/x", "--spool", str(folder / "spool")],
    }[kind]


def ask(child: subprocess.Popen[str], url: str, ready: bool = False) -> httpx.Response:
    deadline = time.monotonic() + 120
    while True:
        assert child.poll() is None, child.communicate()[0]
        try:
            answer = httpx.get(url, timeout=15)
            if answer.status_code == 200 or not ready:
                return answer
        except httpx.TransportError:
            pass  # it starts
        assert time.monotonic() < deadline, url
        time.sleep(0.3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", TOLD)
def test_a_running_process_tells_how_it_is(broker, tmp_path: Path, kind: str) -> None:
    port = free_port()
    environment = {
        "ECGWATCH_BROKER": broker.address,
        "ECGWATCH_SINK": f"sqlite:{tmp_path / 'events.db'}",
        "ECGWATCH_METRICS": f"127.0.0.1:{port}" if kind not in ("monitor", "ingest") else "",
        "ECGWATCH_INGEST_URL": "http://127.0.0.1:1",
        "ECGWATCH_DEVICE_TOKEN": "none",
    }
    child = subprocess.Popen(
        [sys.executable, "-m", "ecgwatch", *arguments(kind, port, tmp_path)],
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        url = f"http://127.0.0.1:{port}"
        assert ask(child, f"{url}/healthz", ready=True).status_code == 200
        assert ask(child, f"{url}/readyz", ready=True).status_code == 200
        answer = ask(child, f"{url}/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        names = {line.split()[0] for line in answer.text.splitlines() if not line.startswith("#")}
        missing = {f"ecgwatch_{name}" for name in TOLD[kind]} - names
        # a latency needs a beat, which nobody sends here
        assert missing <= {"ecgwatch_latency_p99_seconds"}
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=60)
