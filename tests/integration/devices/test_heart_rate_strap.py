"""From a virtual heart rate strap, which has no trace, to heart rates and alarms in the store: bleak,
gateway, ingest server, Kafka, processor, archive."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from ingest.clock import ManualClock
from ingest.gateway import device as device_module
from ingest.gateway.device import Device
from ingest.gateway.gateway import Gateway, NamedDevice
from ingest.gateway.straps import HeartRateStrap
from ingest.messages import Alarm, Beat, Rhythm, Vitals, Waveform
from tests.gateway.pulses import notifications, sinus
from tests.gateway.signals import START_NS
from tests.gateway.virtual_h10 import Air, BumbleRadio, VirtualStrap
from tests.integration.devices.ingest_bench import kept, running
from tests.integration.devices.test_gateway_path import admitted, until
from tests.integration.processor.test_whole_path import Stack, stack

__all__ = ["stack"]  # a fixture

NORMAL_S, FAST_S, LOST = 60, 60, range(90, 100)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(device_module, "LONGEST_WAIT_S", 0.05)


async def worn(url: str, token: str, spool: Path) -> Device:
    """Two minutes, faster than life: at first 70 beats a minute, then 130; the link is lost once."""
    air = Air()
    strap = VirtualStrap(air, "Any strap", "F0:07:F0:F0:F0:F0")
    await air.power_on()
    await strap.power_on()
    clock = ManualClock(START_NS)
    source = HeartRateStrap(strap.address, clock, BumbleRadio(air, [strap]))
    named = NamedDevice("heartrate", source, token)
    gateway = Gateway([named], url, spool, clock, budget_bytes=10**8)
    (device,) = gateway.devices
    task = asyncio.create_task(gateway.run())
    await until(lambda: device.linked)
    for k, block in enumerate(notifications(sinus(NORMAL_S, 70) + sinus(FAST_S, 130))):
        clock.advance((block.received_ns - clock.now_ns()) / 1e9)
        if k == LOST.start:
            await strap.lose_link()
            await until(lambda: not device.linked)
        if k in LOST:
            continue
        if k == LOST.stop:
            await until(lambda: device.linked)
        await strap.send_rate(block.bpm, True, block.rr_s)
        await until(lambda: device.last_block_s == clock.steady_s())
    await strap.lose_link()
    await until(lambda: not device.linked and device.spool.backlog_bytes == 0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    return device


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("scheme", ["http", "ws"])
@pytest.mark.parametrize("stack", ["embedded and sqlite", "kafka and influxdb"], indirect=True)
def test_from_the_strap_to_the_store(stack: Stack, scheme: str, tmp_path: Path) -> None:
    broker = stack.environment["ECGWATCH_BROKER"]
    stack.run("topics", "create")
    stack.start("process", "--workers", "1")
    token = admitted(broker, "strap", "p")
    with running(broker) as server:
        url = server.url if scheme == "http" else server.ws
        device = asyncio.run(worn(url, token, tmp_path / "spool"))
        assert device.links == 2
        stack.run("patients", "discharge", "p")
        deadline = time.monotonic() + 60
        while not kept(broker, "p")[-1].end:
            assert time.monotonic() < deadline
            time.sleep(0.1)
        stack.run("topics", "lag", "--wait", "120")
    vitals = sorted(stack.sink.read(Vitals, "p"), key=lambda v: v.time_ns)
    assert {(v.lead, v.device_id) for v in vitals} == {("RR", "strap")}
    assert len({v.time_ns for v in vitals}) == len(vitals) >= NORMAL_S + FAST_S - len(LOST) - 8
    by_s = {round((v.time_ns - START_NS) / 1e9): v.hr_bpm for v in vitals}
    assert all(by_s[s] == pytest.approx(70, abs=4) for s in range(20, NORMAL_S))
    assert all(by_s[s] == pytest.approx(130, abs=8) for s in range(NORMAL_S + 15, LOST.start))
    first = {a.kind: a for a in stack.sink.read(Alarm, "p")}
    # on a slow machine the processor may have waited for longer than `no_signal_s` at some point
    assert {"hr_high", "gap"} <= first.keys() <= {"hr_high", "gap", "no_signal"}
    assert first["hr_high"].text.endswith("(RR only)")
    rhythms = stack.sink.read(Rhythm, "p")
    assert ("~", "RR only: intervals regular") in {(r.label, r.reason) for r in rhythms}
    assert not [*stack.sink.read(Beat, "p"), *stack.sink.read(Waveform, "p")]
