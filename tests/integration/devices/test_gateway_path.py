"""From a virtual strap to beats in the store: bleak, gateway, HTTP, ingest server, Kafka, processor. And the gateway and its servers
killed in between."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import httpx
import numpy as np
import pytest

from ecgwatch.annotate import new_ward
from ingest.clock import ManualClock
from ingest.embedded import EmbeddedBroker
from ingest.gateway import device as device_module
from ingest.gateway import sender as sender_module
from ingest.gateway.gateway import Gateway, NamedDevice
from ingest.gateway.sender import Sender
from ingest.gateway.spool import Spool
from ingest.gateway.straps import PolarH10
from ingest.gateway.uplink.base import Uplink
from ingest.gateway.uplink.http import HttpUplink
from ingest.gateway.uplink.socket import SocketUplink
from ingest.messages import Beat, SampleChunk
from ingest.operator import OperatorOutlet
from ingest.registry import steps
from ingest.registry.reader import read_registry
from ingest.registry.step import Author
from ingest.wire import Chunk
from tests.gateway.signals import START_NS
from tests.gateway.test_sources import belt, documented_source
from tests.gateway.virtual_h10 import Air, BumbleRadio, VirtualH10
from tests.gateway.wearing import Night, assert_same_beats, bad_night, beats_of, undisturbed, wear
from tests.integration.devices.ingest_bench import People, kept, running
from tests.integration.processor.test_whole_path import Stack, stack

__all__ = ["stack"]  # a fixture

BEFORE = Author("Kim", START_NS - 3600 * 10**9)  # the simulated night lies in the past


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(device_module, "LONGEST_WAIT_S", 0.05)
    monkeypatch.setattr(sender_module, "LONGEST_WAIT_S", 0.5)
    monkeypatch.setattr(sender_module, "REFUSED_WAIT_S", 0.5)


def admitted(broker: str, device: str = "h10-1", patient: str = "p") -> str:
    """A device's token; it has been worn since before the night."""
    outlet = OperatorOutlet(broker)
    made, token = steps.add_device(read_registry(broker), device, BEFORE)
    for message in made.messages:
        outlet.send(message)
    for message in steps.admit(read_registry(broker), patient, BEFORE, device_id=device).messages:
        outlet.send(message)
    return token


async def until(condition: Callable[[], object], seconds: float = 120) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def live_through(
    night: Night, url: str, token: str, spool: Path, *, mtu_first: int = 247
) -> Gateway:
    """The night, from the strap to the server's last acknowledgement."""
    air = Air()
    air.mtu = mtu_first
    strap = VirtualH10(air)
    await air.power_on()
    await strap.power_on()
    clock = ManualClock(START_NS)
    source = PolarH10(strap.address, clock, BumbleRadio(air, [strap]))
    gateway = Gateway([NamedDevice("h10", source, token)], url, spool, clock, budget_bytes=10**8)
    (device,) = gateway.devices
    task = asyncio.create_task(gateway.run())
    if mtu_first < 232:
        await strap.streaming.wait()
        for k in range(4):
            await strap.send([k] * 73, START_NS)
        await until(lambda: not strap.streaming.is_set())
        assert device.bad_packets >= 3
        air.mtu = 247
    await wear(night, strap, clock, lambda: device.last_block_s == clock.steady_s())
    await strap.lose_link()
    await until(lambda: not device.linked and device.spool.backlog_bytes == 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return gateway


def gateway_equals_annotated(stack: Stack, night: Night, spool: Path) -> None:
    broker = stack.environment["ECGWATCH_BROKER"]
    stack.run("topics", "create")
    stack.start("process", "--workers", "1")
    token = admitted(broker)
    with running(broker) as server:
        gateway = asyncio.run(live_through(night, server.url, token, spool, mtu_first=185))
        (device,) = gateway.devices
        assert device.timeline
        assert device.timeline.restarts == 0
        assert device.timeline.counts.gaps == len(
            [k for k in night.lost if k - 1 not in night.lost]
        )
        stack.run("patients", "discharge", "p")  # the stream ends: its last beats are told
        deadline = time.monotonic() + 60
        while not kept(broker, "p")[-1].end:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stack.run("topics", "lag", "--wait", "180")
    chunks = kept(broker, "p")
    assert [c.first_sample for c in chunks] == sorted(
        {c.first_sample for c in chunks}
    )  # in order, none twice
    found = sorted(stack.sink.read(Beat, "p"), key=lambda beat: beat.time_ns)
    assert len(found) > 0.9 * night.frames * 73 / 128.4
    assert_same_beats(found, beats_of(undisturbed(night), new_ward()))


@pytest.mark.slow
@pytest.mark.parametrize("stack", ["embedded and sqlite"], indirect=True)
def test_a_bad_night_from_strap_to_store(stack: Stack, tmp_path: Path) -> None:
    gateway_equals_annotated(stack, bad_night(150), tmp_path / "spool")


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("stack", ["kafka and influxdb"], indirect=True)
def test_a_longer_bad_night_with_kafka_and_influxdb(stack: Stack, tmp_path: Path) -> None:
    gateway_equals_annotated(stack, bad_night(1200), tmp_path / "spool")


def hours(
    spool: Spool, seconds: float, stream: str = "00000000-0000-4000-8000-000000000001"
) -> list[tuple[int, bytes]]:
    """Chunks of half a second, in the spool; (first sample, samples) of each."""
    found = []
    for k in range(int(2 * seconds)):
        samples = np.full(65, k % 30_000, "<i2").tobytes()
        t0_ns = START_NS + k * 65 * 10**9 // 130
        spool.append(
            stream,
            Chunk(
                first_sample=k * 65, t0_ns=t0_ns, fs_hz=130.0, counts_per_mv=1000.0, samples=samples
            ),
            [],
        )
        found.append((k * 65, samples))
    return found


async def drained(
    url: str, token: str, spool: Spool, meanwhile: Callable[[], None] = lambda: None
) -> None:
    """Run a sender until the server has everything; `meanwhile` is done once some of it is there."""
    async with httpx.AsyncClient(base_url=url.replace("ws://", "http://")) as client:
        uplink: Uplink = HttpUplink(client, token)
        if url.startswith("ws"):
            uplink = SocketUplink(url, token, uplink)
        sender = Sender(uplink, spool, "h10")
        task = asyncio.create_task(sender.run())
        await until(lambda: sender.sent > 100)
        await asyncio.to_thread(meanwhile)
        await until(lambda: spool.backlog_bytes == 0, 280)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await uplink.close()


def in_kafka(broker: str) -> list[tuple[int, bytes]]:
    return [(c.first_sample, c.samples) for c in kept(broker, "p")]


def test_a_spool_arrives_by_websocket_in_order_and_once(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "h10")
    with EmbeddedBroker() as broker, running(broker.address) as server:
        wanted = hours(spool, 600)
        asyncio.run(drained(server.ws, admitted(broker.address), spool))
        assert in_kafka(broker.address) == wanted
    spool.close()


@pytest.mark.slow
def test_two_hours_without_kafka_arrive_in_order_though_it_and_the_server_die_again(
    empty_kafka, tmp_path: Path
) -> None:
    spool, broker = Spool(tmp_path, "h10"), empty_kafka.address
    wanted = hours(spool, 7200)
    token = admitted(broker)

    with running(broker) as server:

        def disaster() -> None:
            empty_kafka.kill()
            time.sleep(2)
            server.stop()
            empty_kafka.start()
            server.start()

        asyncio.run(drained(server.url, token, spool, disaster))
    spool.close()
    found = in_kafka(broker)
    assert (
        list(dict.fromkeys(found)) == wanted
    )  # each in its place; a repeat after the kill is the processor's to drop


@contextmanager
def command(folder: Path, address: str, token: str, url: str) -> Iterator[subprocess.Popen[str]]:
    """`ecgwatch gateway` with the device of docs/devices.md, killed at the end."""
    arguments = [
        f"belt:Belt:{address}",
        "--token",
        token,
        "--server",
        url,
        "--spool",
        str(folder / "spool"),
    ]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    child = subprocess.Popen(
        [sys.executable, "-m", "ecgwatch", "gateway", *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def spooled_bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in (folder / "spool").rglob("*.spool"))


def waiting(folder: Path, device: str) -> list[tuple[str, Chunk]]:
    """(stream, chunk) of all that is in the spool, by a copy of it."""
    shutil.copytree(folder / "spool", folder / "copy")
    spool, found = Spool(folder / "copy", device), []
    while (batch := spool.next(1000, 10**9)) is not None:
        found += [(batch.stream, chunk) for chunk in batch.chunks]
        spool.acknowledge(batch.behind[-1])
    return found


@pytest.mark.slow
async def test_a_killed_gateway_has_lost_nothing_that_it_had(tmp_path: Path) -> None:
    """The command, killed twice (kill -9) while the server is away; then everything arrives, in order, stream after stream."""
    (tmp_path / "belt.py").write_text(documented_source())
    with EmbeddedBroker() as broker:
        people = await asyncio.to_thread(People, broker.address)
        token = await asyncio.to_thread(people.device, "belt", "p")
        async with belt() as address:
            for _ in range(2):
                with command(tmp_path, address, token, "http://127.0.0.1:9"):
                    before = spooled_bytes(tmp_path)
                    await until(lambda before=before: spooled_bytes(tmp_path) > before + 3000)
            wanted = waiting(tmp_path, f"belt:Belt:{address}")
            assert len({stream for stream, _ in wanted}) == 2
            with running(broker.address) as server, command(tmp_path, address, token, server.url):
                found: list[SampleChunk] = []
                async with asyncio.timeout(60):
                    while len(found) < len(wanted) + 2:
                        await asyncio.sleep(0.2)
                        found = await asyncio.to_thread(kept, broker.address, "p")
    for (_, chunk), there in zip(wanted, found, strict=False):
        assert (there.t0_ns, there.samples) == (chunk.t0_ns, chunk.samples)
    assert all(a.t0_ns < b.t0_ns for a, b in pairwise(found))
