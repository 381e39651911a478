"""The H10 source against a virtual strap, through bleak: what users of real ones complain of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from ecgwatch.annotate import new_ward
from ingest.clock import ManualClock
from ingest.gateway import device as device_module
from ingest.gateway.base import Packet
from ingest.gateway.device import Device
from ingest.gateway.recording import Recorder, read_packets
from ingest.gateway.sources import open_live
from ingest.gateway.spool import Spool
from ingest.gateway.straps import HeartRateStrap, PolarH10
from ingest.gateway.timing.timeline import OutgoingChunk, Timeline
from tests.gateway.signals import START_NS
from tests.gateway.virtual_h10 import Air, BumbleRadio, VirtualH10
from tests.gateway.wearing import (
    FIRST_NS,
    assert_same_beats,
    bad_night,
    beats_of,
    undisturbed,
    wear,
)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(device_module, "LONGEST_WAIT_S", 0.05)


class Rig:
    """A strap, and a device of the gateway's that runs."""

    def __init__(
        self,
        folder: Path,
        air: Air,
        strap: VirtualH10,
        clock: ManualClock,
        recorder: Recorder | None,
    ) -> None:
        self.air, self.strap, self.clock = air, strap, clock
        self.source = PolarH10("", clock, BumbleRadio(air, [strap]))
        self.device = Device(self.source, Spool(folder, "h10"), clock, recorder)

    def arrived(self) -> bool:
        return self.device.last_block_s == self.clock.steady_s()

    def sent(self) -> list[OutgoingChunk]:
        """All that was spooled; acknowledges it."""
        found: list[OutgoingChunk] = []
        while (batch := self.device.spool.next(100, 10**6)) is not None:
            found += [OutgoingChunk(batch.stream, chunk) for chunk in batch.chunks]
            self.device.spool.acknowledge(batch.behind[-1])
        return found


@asynccontextmanager
async def worn(
    folder: Path, recorder: Recorder | None = None, *, mtu: int = 247
) -> AsyncIterator[Rig]:
    air = Air()
    air.mtu = mtu
    strap = VirtualH10(air)
    await air.power_on()
    await strap.power_on()
    rig = Rig(folder, air, strap, ManualClock(START_NS), recorder)
    task = asyncio.create_task(rig.device.run())
    try:
        yield rig
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        rig.device.spool.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_bad_night_gives_the_beats_of_an_undisturbed_recording(tmp_path: Path) -> None:
    """128.4 Hz, a clock of 2019, link loss every minute, wrong timestamps, contact lost: the same beats, each once, within 10 ms.

    What was recorded gives the same chunks again through the same codec.
    """
    night = bad_night(150)
    recorder = Recorder(tmp_path / "night.ecgpackets", "h10")
    async with worn(tmp_path / "spool", recorder) as rig:
        await wear(night, rig.strap, rig.clock, rig.arrived)
    recorder.close()
    timeline = rig.device.timeline
    assert timeline
    assert timeline.restarts == 0
    assert rig.device.links == 1 + timeline.counts.gaps == 3
    assert timeline.counts.bad_times == len(night.stamp) > 12
    assert timeline.true_fs_hz == pytest.approx(128.4, abs=0.01)
    sent = rig.sent()
    chunks = [out.chunk.bound("p", "d", k) for k, out in enumerate(sent)]
    ward = new_ward()
    assert_same_beats(beats_of(chunks, ward), beats_of(undisturbed(night), ward))
    assert any(chunk.lead_off for chunk in chunks)
    assert {chunk.battery for chunk in chunks} == {0.93}
    assert replayed(list(read_packets(tmp_path / "night.ecgpackets"))) == [
        (c.first_sample, c.samples, c.lead_off) for _, c in sent
    ]


def replayed(packets: list[Packet]) -> list[tuple[int, bytes, bool]]:
    source = open_live("h10", ManualClock())
    timeline = Timeline(source.fs_hz, "ECG", source.wearing)
    sent: list[OutgoingChunk] = []
    for packet in packets:
        if packet.channel == "link":
            sent += timeline.unlink()
        elif (block := source.decode(packet)) is not None:
            sent += timeline.push(block)
    sent += timeline.unlink()
    return [(c.first_sample, c.samples, c.lead_off) for _, c in sent]


async def test_an_mtu_that_is_too_small_is_told_and_the_link_made_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """At 185 the frames are cut, and a known client delivers nothing, silently."""
    async with worn(tmp_path, mtu=185) as rig:
        await rig.strap.streaming.wait()
        for k in range(4):
            await rig.strap.send([k] * 73, FIRST_NS + k)
        await until(
            lambda: any(
                "MTU" in getattr(r, "why", "") for r in caplog.records if r.message == "no link"
            )
        )
        assert rig.device.bad_packets >= 3
        rig.air.mtu = 247
        await until(lambda: not rig.strap.streaming.is_set())
        for k in range(10):
            await rig.strap.streaming.wait()
            rig.clock.advance(73 / 130)
            await rig.strap.send([k] * 73, FIRST_NS + round(k * 73 / 130 * 1e9))
            await until(rig.arrived)
    assert sum(out.chunk.n for out in rig.sent()) == pytest.approx(730, abs=2)


@pytest.mark.parametrize(("status", "says"), [(10, "MTU"), (5, "status 5")])
async def test_a_strap_that_refuses_to_start_says_why(
    tmp_path: Path, status: int, says: str
) -> None:
    async with worn(tmp_path) as rig:
        rig.strap.refuse_with = status
        await until(lambda: says in rig.device.problem)
        rig.strap.refuse_with = 0
        await asyncio.wait_for(rig.strap.streaming.wait(), 20)


async def test_stop_is_sent_on_leaving_so_that_the_battery_lasts(tmp_path: Path) -> None:
    async with worn(tmp_path) as rig:
        await asyncio.wait_for(rig.strap.streaming.wait(), 20)
    assert rig.strap.orders == ["02 00 00 01 82 00 01 01 0e 00", "03 00"]
    assert not rig.strap.streaming.is_set()


async def test_a_strap_that_still_streams_from_before_is_taken_as_it_is(tmp_path: Path) -> None:
    """Status 6, already in that state: a gateway that was killed never said stop."""
    async with worn(tmp_path) as rig:
        rig.strap.streaming.set()
        await until(lambda: "02 00" in " ".join(rig.strap.orders))
        rig.clock.advance(1)
        await until(lambda: rig.device.linked)
        await rig.strap.send([1] * 73, FIRST_NS)
        await until(rig.arrived)


async def test_a_link_without_samples_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands, heart rates come, the ECG does not: nobody would notice."""
    monkeypatch.setattr(device_module, "FIRST_BLOCK_S", 1.0)
    async with worn(tmp_path) as rig:
        await asyncio.wait_for(rig.strap.streaming.wait(), 20)
        for _ in range(75):
            await rig.strap.send_rate(70, contact=True)
            await asyncio.sleep(0.02)
        await until(lambda: rig.strap.orders.count("02 00 00 01 82 00 01 01 0e 00") > 1)


async def test_a_heart_rate_strap_gives_rates_and_no_trace(tmp_path: Path) -> None:
    air = Air()
    strap = VirtualH10(air)
    await air.power_on()
    await strap.power_on()
    clock = ManualClock(START_NS)
    source = HeartRateStrap("", clock, BumbleRadio(air, [strap]))
    device = Device(source, Spool(tmp_path, "heartrate"), clock)
    task = asyncio.create_task(device.run())
    await until(lambda: device.linked)
    await strap.send_rate(64, contact=True)
    await until(lambda: source.wearing.heart_rate == 64)
    assert source.wearing.contact is True
    assert np.isclose(source.wearing.rr_s[0], 60 / 64, atol=0.01)
    assert strap.orders == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    batch = device.spool.next(9, 10**6)
    assert batch is not None
    assert {(c.lead, c.fs_hz) for c in batch.chunks} == {("RR", 100.0)}


async def test_two_straps_at_once_of_which_one_is_out_of_reach(tmp_path: Path) -> None:
    air = Air()
    straps = [VirtualH10(air, 1), VirtualH10(air, 2)]
    for part in (air, *straps):
        await part.power_on()
    clock, radio = ManualClock(START_NS), BumbleRadio(air, straps)
    devices = [
        Device(PolarH10(s.name[-8:], clock, radio), Spool(tmp_path, s.name), clock) for s in straps
    ]
    tasks = [asyncio.create_task(d.run()) for d in devices]
    for strap in straps:
        await asyncio.wait_for(strap.streaming.wait(), 20)
    await straps[0].lose_link()
    for k in range(20):
        clock.advance(73 / 130)
        await straps[1].send([k] * 73, FIRST_NS + round(k * 73 / 130 * 1e9))
        await until(lambda: devices[1].last_block_s == clock.steady_s())
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert [d.source.wearing.battery for d in devices] == [0.93, 0.93]
    assert devices[0].spool.backlog_bytes == 0
    assert devices[1].timeline
    assert devices[1].timeline.counts.gaps == 0
    for device in devices:
        device.spool.close()
