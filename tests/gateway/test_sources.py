"""Sources that are not straps, with real parts: LSL by loopback, mosquitto, and a device of a user's own from docs/devices.md."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import struct
import subprocess
import sys
import types
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from ingest.clock import SystemClock
from ingest.errors import BadInputError
from ingest.gateway import device as device_module
from ingest.gateway.base import LinkError, LiveSource
from ingest.gateway.device import Device
from ingest.gateway.extra import library
from ingest.gateway.gateway import Gateway, NamedDevice, held_by_this_process
from ingest.gateway.lsl import Lsl
from ingest.gateway.mqtt import Mqtt
from ingest.gateway.sources import open_live
from ingest.gateway.spool import Spool
from ingest.wire import Chunk
from tools.service_base import free_port

DOCUMENT = Path(__file__).parents[2] / "docs" / "devices.md"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "FIRST_WAIT_S", 0.05)
    monkeypatch.setattr(device_module, "LONGEST_WAIT_S", 0.1)


async def until(condition: Callable[[], object], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def spooled(spool: Spool) -> list[Chunk]:
    batch = spool.next(10_000, 10**9)
    return batch.chunks if batch else []


def samples(chunks: list[Chunk]) -> np.ndarray:
    return np.concatenate([np.frombuffer(c.samples, "<i2") for c in chunks] or [np.zeros(0)])


@asynccontextmanager
async def linked(source: LiveSource, folder: Path) -> AsyncIterator[Device]:
    device = Device(source, Spool(folder, "device"), source.clock)
    task = asyncio.create_task(device.run())
    try:
        yield device
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        device.spool.close()


def ramp(k: int, n: int) -> np.ndarray:
    """Samples that tell where they belong: a slow ramp, in uV."""
    return (k + np.arange(n)) % 1000 * 1.0


def outlet(name: str, unit: str = "millivolts", fs_hz: float = 250.0):
    import pylsl

    info = pylsl.StreamInfo(name, "ECG", 2, fs_hz, "float32", f"source-{name}")
    channels = info.desc().append_child("channels")
    for kind in ("ACC", "ECG"):
        channels.append_child("channel").append_child_value("type", kind).append_child_value(
            "unit", unit
        )
    return pylsl.StreamOutlet(info)


async def feed(out: object, seconds: float, fs_hz: float = 250.0) -> None:
    """Push a sine of 1 Hz and 1 mV peak to peak, in real time."""
    loop, n = asyncio.get_running_loop(), 25
    begun = loop.time()
    for k in range(int(seconds * fs_hz / n)):
        for at in range(k * n, (k + 1) * n):
            out.push_sample([9.9, 0.5 * np.sin(2 * np.pi * at / fs_hz)])  # type: ignore[attr-defined]
        await asyncio.sleep(max(begun + (k + 1) * n / fs_hz - loop.time(), 0))


async def test_lsl_loopback_and_a_stream_that_comes_back(tmp_path: Path) -> None:
    """The ECG channel of two, in the unit that the stream names; when its program starts again it is the same device."""
    out = outlet("ecgwatch-test")
    async with linked(Lsl("ecgwatch-test", SystemClock()), tmp_path) as device:
        while not out.have_consumers():
            await asyncio.sleep(0.05)
        await feed(out, 5)
        await until(lambda: sum(c.n for c in spooled(device.spool)) > 1100)
        assert device.timeline
        assert device.timeline.fs_hz == 250
        assert np.ptp(samples(spooled(device.spool))) == pytest.approx(1000, abs=60)
        del out
        await until(lambda: not device.linked)
        before = sum(c.n for c in spooled(device.spool))
        out = outlet("ecgwatch-test")
        while not out.have_consumers():
            await asyncio.sleep(0.05)
        await feed(out, 3)
        await until(
            lambda: device.links == 2 and sum(c.n for c in spooled(device.spool)) > before + 500
        )
        assert device.timeline.restarts == 0
    del out


@pytest.mark.parametrize(
    ("unit", "fs_hz", "says"), [("furlongs", 250.0, "furlongs"), ("uV", 50.0, "50 Hz")]
)
async def test_lsl_streams_that_cannot_be_used_say_why(unit: str, fs_hz: float, says: str) -> None:
    out = outlet(f"ecgwatch-{unit}", unit, fs_hz)
    with pytest.raises(LinkError, match=says):
        async for _ in Lsl(f"ecgwatch-{unit}", SystemClock()).packets():
            pass
    del out


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[int]:
    """The port of a broker."""
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    config = tmp_path / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n")
    broker = subprocess.Popen([program, "-c", config], stderr=subprocess.DEVNULL)
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
    yield port
    broker.terminate()
    broker.wait(10)


async def test_mqtt_sensor_through_a_broker_that_keeps_what_the_gateway_misses(
    tmp_path: Path, mosquitto: int
) -> None:
    import aiomqtt

    begin_s = SystemClock().now_ns() / 1e9 - 60

    def message(k: int) -> str:
        said = {
            "time": begin_s + (k + 1) * 0.5,
            "rate": 250,
            "size": 125,
            "battery": 0.8,
            "contact": True,
        }
        return json.dumps(
            said
            | {"samples": b64encode(struct.pack("<125h", *ramp(k * 125, 125).astype(int))).decode()}
        )

    address = f"mqtt://127.0.0.1:{mosquitto}/ward/bed%201/ecg"
    sensor = aiomqtt.Client("127.0.0.1", mosquitto, protocol=aiomqtt.ProtocolVersion.V5)
    async with sensor:
        async with linked(Mqtt(address, SystemClock()), tmp_path) as device:
            for _ in range(200):  # until it has subscribed
                await sensor.publish("ward/bed 1/ecg", message(0), qos=1)
                if device.linked:
                    break
                await asyncio.sleep(0.02)
            for k in range(20):
                await sensor.publish("ward/bed 1/ecg", message(k), qos=1)
            await until(lambda: sum(c.n for c in spooled(device.spool)) >= 19 * 125)
        for k in range(20, 40):
            await sensor.publish("ward/bed 1/ecg", message(k), qos=1)
        async with linked(Mqtt(address, SystemClock()), tmp_path / "again") as device:
            await until(lambda: sum(c.n for c in spooled(device.spool)) >= 19 * 125)
            assert np.abs(np.diff(samples(spooled(device.spool)))[8:-8]).max() < 1100
            assert device.source.wearing.battery == 0.8


def documented_source() -> str:
    """The example of docs/devices.md, as a user would paste it into a file."""
    (code,) = re.findall(r"```python\n(# belt\.py.*?)```", DOCUMENT.read_text(), re.DOTALL)
    assert len(code.splitlines()) <= 30
    return str(code)


def documented_class() -> type[LiveSource]:
    code = documented_source()
    module = types.ModuleType("belt")
    sys.modules["belt"] = module
    exec(code, vars(module))
    return module.Belt  # type: ignore[no-any-return]


@asynccontextmanager
async def belt() -> AsyncIterator[str]:
    """The device of the example, in real time, by TCP; its address. It goes on counting while nobody is connected, and ends each link
    after 1.5 s."""
    loop, links = asyncio.get_running_loop(), set()
    begun_s = loop.time()

    async def send(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        links.add(asyncio.current_task())
        first = int((loop.time() - begun_s) * 10 + 1) * 25
        try:
            for at in range(first, first + 15 * 25, 25):
                await asyncio.sleep(max(begun_s + (at + 25) / 250 - loop.time(), 0))
                writer.write(
                    struct.pack("<I25h", at, *(ramp(at, 25).astype(int) // 2))
                )  # 2 uV a count
        except asyncio.CancelledError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(send, "127.0.0.1", 0)
    yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    server.close()
    for link in links:
        link.cancel()
    await asyncio.gather(*links, return_exceptions=True)
    await asyncio.sleep(0.05)


async def test_a_device_of_a_users_own_as_documented(tmp_path: Path) -> None:
    documented_class()
    async with (
        belt() as address,
        linked(open_live(f"belt:Belt:{address}", SystemClock()), tmp_path) as device,
    ):
        await until(lambda: device.links >= 2 and sum(c.n for c in spooled(device.spool)) > 1000)
        assert device.timeline
        assert device.timeline.restarts == 0
    found = samples(spooled(device.spool))
    assert found.max() == pytest.approx(998, abs=80)  # the kernel rings where the ramp falls
    del sys.modules["belt"]


class Hanging(LiveSource):
    """Connects for ever."""

    fs_hz = 250.0

    async def packets(self):  # type: ignore[no-untyped-def]
        await asyncio.Event().wait()
        yield self.packet(b"")

    def decode(self, packet):  # type: ignore[no-untyped-def]
        raise NotImplementedError


class Breaking(Hanging):
    """A user's code with a defect."""

    async def packets(self):  # type: ignore[no-untyped-def]
        yield self.packet(b"x")

    def decode(self, packet):  # type: ignore[no-untyped-def]
        raise ZeroDivisionError


async def test_a_device_that_hangs_or_breaks_holds_up_no_other(tmp_path: Path) -> None:
    """And each has its line, which says what is wrong with it."""
    own, clock, shown = documented_class(), SystemClock(), []
    async with belt() as address:
        wanted = [
            NamedDevice("hanging", Hanging("hanging", clock), "1"),
            NamedDevice("breaking", Breaking("breaking", clock), "2"),
            NamedDevice("belt", own(address, clock), "3"),
        ]
        gateway = Gateway(
            wanted, "http://127.0.0.1:9", tmp_path, clock, budget_bytes=10**7, show=shown.extend
        )
        task = asyncio.create_task(gateway.run())
        await until(lambda: sum(c.n for c in spooled(gateway.devices[2].spool)) > 500)
        gateway.report()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    hanging, breaking, good = shown
    assert "NO LINK (connecting)" in hanging
    assert "breaks down" in breaking
    assert re.search(r"Hz, clock [+-]\d+ ppm, signal 0\.\d mV", good)
    assert "NOT SENT: the server does not answer" in good
    assert "spool 0.0" in good
    sys.modules.pop("belt", None)


def test_two_gateways_do_not_share_a_spool(tmp_path: Path) -> None:
    with (
        held_by_this_process(tmp_path),
        pytest.raises(BadInputError, match="another gateway"),
        held_by_this_process(tmp_path),
    ):
        pass


def test_a_missing_library_names_the_extra() -> None:
    with pytest.raises(BadInputError, match=re.escape("[gateway]")):
        library("no_such_package", "h10")
