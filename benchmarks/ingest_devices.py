"""Measure the ingest server with many devices that send half seconds: time to acknowledgement and
CPU use.

    .venv/bin/python benchmarks/ingest_devices.py --by websocket --devices 2000
    .venv/bin/python benchmarks/ingest_devices.py --by http --devices 500
    .venv/bin/python benchmarks/ingest_devices.py --by mqtt --devices 2000      (needs mosquitto)

The broker is the embedded one, in this process, as are the devices; the server is a process of its own
and runs on one core. Prints the median and the 99th percentile of the time from a chunk's sending to its
acknowledgement, and the server's share of a core: the goal is p99 < 250 ms at less than a core.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import psutil
import uvloop

sys.path.insert(0, str(Path(__file__).parents[1]))

from websockets.asyncio.client import connect

from benchmarks.ingest_parts import FS, N, server, worn_devices
from ingest import wire
from ingest.embedded import EmbeddedBroker
from ingest.wire import MESSAGEPACK, Chunk, Reply, encode_chunks, mqtt_topic
from tools.service_base import free_port

EVERY_S = N / FS
SAMPLES = random.Random(1).randbytes(2 * N)
SETTLE_S = 10.0  # connections and first chunks are not measured


class Figures:
    """Times to acknowledgement, in seconds, collected after `begin` was called."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.counting = False
        self.refused = 0

    def add(self, sent_s: float) -> None:
        if self.counting:
            self.times.append(time.perf_counter() - sent_s)


class Device:
    """One stream's chunks, in time."""

    def __init__(self, token: str, number: int) -> None:
        self.token, self.number, self.stream = token, number, str(uuid4())
        self.start_ns, self.k = 0, 0

    def body(self) -> bytes:
        self.start_ns = self.start_ns or time.time_ns()
        first = self.k * N
        self.k += 1
        chunk = Chunk(
            first_sample=first,
            t0_ns=self.start_ns + round(first * 1e9 / FS),
            fs_hz=FS,
            counts_per_mv=1000.0,
            samples=SAMPLES,
        )
        return encode_chunks([chunk])


async def paced(device: Device, count: int) -> None:
    """Wait for the device's next chunk; devices are spread over the half second."""
    at = device.begun + EVERY_S * device.k  # type: ignore[attr-defined]
    await asyncio.sleep(max(0.0, at - time.perf_counter()))


def spread(devices: list[Device]) -> None:
    now = time.perf_counter() + 1.0
    for k, device in enumerate(devices):
        device.begun = now + SETTLE_S / 2 * k / len(devices)  # type: ignore[attr-defined]


async def by_websocket(
    port: int, devices: list[Device], figures: Figures, stop: asyncio.Event
) -> None:
    async def run(device: Device) -> None:
        path = wire.SOCKET_PATH.replace("{stream}", device.stream)
        names = [wire.SUBPROTOCOL, wire.TOKEN_PREFIX + device.token]
        await asyncio.sleep(max(0.0, device.begun - time.perf_counter() - 1))  # type: ignore[attr-defined]
        async with connect(
            f"ws://127.0.0.1:{port}{path}", subprotocols=names, compression=None, open_timeout=60
        ) as ws:
            waiting: deque[tuple[int, float]] = deque()

            async def hear() -> None:
                async for data in ws:
                    reply = msgspec.msgpack.decode(data, type=Reply)
                    figures.refused += bool(reply.status)
                    while waiting and waiting[0][0] <= (reply.next_sample or 0):
                        figures.add(waiting.popleft()[1])

            hearing = asyncio.create_task(hear())
            while not stop.is_set():
                await paced(device, 0)
                body = device.body()
                waiting.append((device.k * N, time.perf_counter()))
                await ws.send(body)
            hearing.cancel()

    await asyncio.gather(*(run(device) for device in devices))


async def by_http(port: int, devices: list[Device], figures: Figures, stop: asyncio.Event) -> None:
    """Send over connections that stay open, with a minimal client, because it shares the
    machine."""

    async def run(device: Device) -> None:
        await asyncio.sleep(max(0.0, device.begun - time.perf_counter() - 1))  # type: ignore[attr-defined]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        path = wire.CHUNKS_PATH.replace("{stream}", device.stream)
        while not stop.is_set():
            await paced(device, 0)
            body = device.body()
            head = (
                f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {device.token}\r\n"
                f"Content-Type: {MESSAGEPACK}\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            sent_s = time.perf_counter()
            writer.write(head.encode() + body)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            figures.refused += b" 202 " not in answer[:16]
            figures.add(sent_s)
        writer.close()

    await asyncio.gather(*(run(device) for device in devices))


async def by_mqtt(port: int, devices: list[Device], figures: Figures, stop: asyncio.Event) -> None:
    """Send through one connection to mosquitto, as a site's bridge would; each device keeps its own
    topic."""
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion
    from paho.mqtt.packettypes import PacketTypes
    from paho.mqtt.properties import Properties

    waiting: dict[str, deque[tuple[int, float]]] = {f"d{d.number}": deque() for d in devices}
    client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
    client.max_inflight_messages_set(20_000)

    def on_message(c: object, u: object, message: mqtt.MQTTMessage) -> None:
        reply = msgspec.json.decode(message.payload, type=Reply)
        figures.refused += bool(reply.status)
        queue = waiting[message.topic.split("/")[3]]
        while queue and queue[0][0] <= (reply.next_sample or 0):
            figures.add(queue.popleft()[1])

    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.subscribe("ecgwatch/v1/bench/+/reply")
    client.loop_start()

    async def run(device: Device) -> None:
        properties = Properties(PacketTypes.PUBLISH)
        properties.ContentType = MESSAGEPACK
        properties.UserProperty = [("token", device.token), ("stream", device.stream)]
        name = f"d{device.number}"
        topic = mqtt_topic("bench", name, "samples")
        while not stop.is_set():
            await paced(device, 0)
            body = device.body()
            waiting[name].append((device.k * N, time.perf_counter()))
            client.publish(topic, body, 1, properties=properties)

    await asyncio.gather(*(run(device) for device in devices))
    client.disconnect()
    client.loop_stop()


@contextlib.contextmanager
def mosquitto() -> Iterator[int]:
    """A mosquitto and its port."""
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as settings:
        settings.write(
            f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0\n"
        )
        settings.flush()
        process = subprocess.Popen([program, "-c", settings.name], stderr=subprocess.DEVNULL)
        time.sleep(1)
        try:
            yield port
        finally:
            process.terminate()
            process.wait()


async def measure(how: str, port: int, tokens: list[str], seconds: float, pid: int) -> None:
    figures, stop = Figures(), asyncio.Event()
    devices = [Device(token, k) for k, token in enumerate(tokens)]
    spread(devices)
    ways = {"websocket": by_websocket, "http": by_http, "mqtt": by_mqtt}
    running = asyncio.create_task(ways[how](port, devices, figures, stop))
    await asyncio.sleep(SETTLE_S)
    of_server, of_us = psutil.Process(pid), psutil.Process()
    before, ours, begun = cpu(of_server), cpu(of_us), time.perf_counter()
    figures.counting = True
    await asyncio.wait([running], timeout=seconds)
    took = time.perf_counter() - begun
    figures.counting = False
    share, own = (cpu(of_server) - before) / took, (cpu(of_us) - ours) / took
    stop.set()
    await running
    times = sorted(figures.times)
    wanted = len(tokens) / EVERY_S
    if not times:
        print(f"{how}: {len(tokens)} devices, nothing was acknowledged in {took:.0f} s")
        return
    rate = len(times) / took
    needed = share / rate * wanted
    print(
        f"{how}: {len(tokens)} devices, {rate:.0f} of {wanted:.0f} chunks a second acknowledged,"
        f" {figures.refused} refused; p50 {1e3 * times[len(times) // 2]:.0f} ms,"
        f" p99 {1e3 * times[int(0.99 * len(times))]:.0f} ms; server {share:.2f} core,"
        f" {1e6 * share / rate:.0f} us per chunk: {needed:.2f} core for all; devices and broker"
        f" {own:.2f} core; load of the machine {os.getloadavg()[0]:.0f}"
    )


def cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--by", choices=["websocket", "http", "mqtt"], default="websocket")
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    with EmbeddedBroker() as broker, contextlib.ExitStack() as stack:
        tokens = worn_devices(broker.address, arguments.devices)
        more: list[str] = []
        if arguments.by == "mqtt":
            mqtt_port = stack.enter_context(mosquitto())
            more = ["--mqtt", f"mqtt://127.0.0.1:{mqtt_port}"]
        process, port = stack.enter_context(server(broker.address, *more))
        used = mqtt_port if arguments.by == "mqtt" else port
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(measure(arguments.by, used, tokens, arguments.seconds, process.pid))


if __name__ == "__main__":
    main()
