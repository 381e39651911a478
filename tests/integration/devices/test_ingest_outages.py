"""The ingest server killed, Kafka away: what was acknowledged is there, in order and once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import httpx
import pytest

from tests.integration.devices.ingest_bench import N, People, Sender, kept, running
from tools.service_base import free_port


def send_all(sender: Sender, last: int, note=lambda number: None) -> None:
    """Chunk after chunk, each until it is acknowledged, as a gateway does."""
    number = 0
    while number <= last:
        try:
            answer = sender.send(number)
        except httpx.TransportError:
            time.sleep(0.1)
            continue
        if answer.status_code == 202:
            number = answer.json()["next_sample"] // N
            note(number)
        else:
            assert answer.status_code in (401, 409, 429), answer.text
            time.sleep(min(float(answer.headers.get("Retry-After", 0.1)), 0.5))


def distinct(broker: str) -> list[int]:
    """The first samples in the order of their first arrival, and no other bytes for one of them."""
    seen: dict[int, bytes] = {}
    for chunk in kept(broker, "ada"):
        assert seen.setdefault(chunk.first_sample, chunk.samples) == chunk.samples
    return list(seen)


@pytest.mark.slow
def test_kafka_away_is_429_and_nothing_is_lost_or_out_of_order(empty_kafka):
    with running(empty_kafka.address) as server:
        sender = Sender(server.url, People(empty_kafka.address).device("h1", "ada"))
        sender.until_taken(0)
        acknowledged: list[int] = []
        empty_kafka.kill()
        sending = threading.Thread(target=send_all, args=(sender, 99, acknowledged.append))
        sending.start()
        other = Sender(server.url, sender.token, sender.stream)
        other.start_ns = sender.start_ns
        deadline = time.monotonic() + 30
        while (answer := other.send(0, 1)).status_code != 429:
            assert time.monotonic() < deadline
        assert answer.headers["Retry-After"]
        assert acknowledged in ([], [1])  # a repeat of what Kafka has is acknowledged
        assert httpx.get(f"{server.url}/healthz").status_code == 503
        empty_kafka.start()
        sending.join(120)
        assert not sending.is_alive()
        assert acknowledged[-1] == 100
    assert distinct(empty_kafka.address) == [k * N for k in range(100)]


@pytest.mark.slow
def test_a_killed_server_loses_nothing_that_it_acknowledged(empty_kafka):
    port = free_port()
    command = [sys.executable, "-m", "ecgwatch", "ingest", "--port", str(port)]
    command += ["--broker", empty_kafka.address]
    sender = Sender(f"http://127.0.0.1:{port}", People(empty_kafka.address).device("h1", "ada"))
    acknowledged: list[int] = []
    sending = threading.Thread(target=send_all, args=(sender, 99, acknowledged.append))
    sending.start()
    for round_ in range(3):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ingest: http://")
        deadline = time.monotonic() + 30
        while len(acknowledged) < 30 * (round_ + 1) and time.monotonic() < deadline:
            time.sleep(0.01)
        if round_ < 2:
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            process.stdout.close()
    sending.join(120)
    assert not sending.is_alive()
    process.terminate()
    process.wait(30)
    process.stdout.close()
    assert acknowledged == sorted(acknowledged)
    assert distinct(empty_kafka.address) == [k * N for k in range(100)]
