"""A device's clock: told from its timestamps, drawn to wall time, and never believed blindly.

The stories are drawn as frames in the order of arrival: their timestamps in frames, and what the
gateway makes of them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from ingest.gateway.base import DeviceReport, LiveBlock
from ingest.gateway.timing.device_clock import DeviceClock, RestartedError
from ingest.gateway.timing.timeline import Timeline
from ingest.gateway.timing.wall_clock import ClockSetError, WallClock, lower_hull
from tests.gateway.signals import START_NS, blocks

FRAME_NS = round(73 / 128.4 * 1e9)


def drift_ms(seconds: float, **how) -> np.ndarray:
    """By how much disciplined time is wrong at each block."""
    device, wall = DeviceClock(130.0), WallClock()
    off = []
    for block, true_s in blocks(seconds, **how):
        for placed in device.push(block):
            wall.learn(placed.end_ns, placed.block.received_ns)
            off.append((wall.wall_ns(placed.end_ns) - START_NS) / 1e6 - 1000 * true_s)
    assert vars(device.counts) == dict.fromkeys(vars(device.counts), 0)
    return np.array(off)


@pytest.mark.slow
def test_after_a_day_time_has_drifted_by_less_than_20_ms() -> None:
    """Both errors at once: it samples at 131.3 Hz instead of 130, and its clock loses 1 %."""
    off = drift_ms(24 * 3600, fs_hz=131.3, clock_error=0.01, jitter_s=0.2)
    assert np.abs(off[-1]) < 5
    assert np.abs(off[1100:]).max() < 20  # from ten minutes on


@pytest.mark.parametrize(
    "how", [{"fs_hz": 128.4}, {"fs_hz": 131.0}, {"clock_error": -0.01}, {"clock_error": 5e-5}]
)
def test_an_hour(how: dict[str, float]) -> None:
    off = drift_ms(3600, jitter_s=0.2, seed=3, **how)
    assert np.abs(off[1100:]).max() < 20


def test_after_four_hours_of_both_errors() -> None:
    assert (
        np.abs(
            drift_ms(4 * 3600, fs_hz=128.4, clock_error=-0.01, jitter_s=0.2, seed=1)[1100:]
        ).max()
        < 20
    )


def story(
    stamps: list[float], *, arrive: list[float] | None = None, n: int = 73
) -> tuple[DeviceClock, list[tuple[int, bool]]]:
    """Push twenty good frames, then frames of these timestamps (in frames); what is made of the latter: (frame, follows)."""
    device = DeviceClock(130.0)
    good = [float(k) for k in range(-20, 0)]
    arrivals = good + (arrive or [float(k) for k in range(len(stamps))])
    made = []
    for k, (stamp, arrival) in enumerate(zip([*good, *stamps], arrivals, strict=True)):
        samples = np.full(n, float(k)) + np.arange(n)
        block = LiveBlock(
            samples, START_NS + round(arrival * FRAME_NS), 10**15 + round(stamp * FRAME_NS)
        )
        made += device.push(block)
    made += device.flush()
    return device, [
        (int(p.block.microvolts[0]) - 20, p.follows) for p in made if p.block.microvolts[0] >= 20
    ]


def test_a_timestamp_that_repeats_costs_nothing() -> None:
    device, made = story([0, 0, 2, 3])
    assert made == [(0, True), (1, True), (2, True), (3, True)]
    assert (device.counts.bad_times, device.counts.gaps) == (1, 0)


def test_a_timestamp_that_jumps_back_costs_nothing() -> None:
    device, made = story([0, -7.3, 2, 3])
    assert made == [(0, True), (1, True), (2, True), (3, True)]
    assert (device.counts.bad_times, device.counts.gaps) == (1, 0)


def test_a_timestamp_that_jumps_ahead_costs_nothing() -> None:
    device, made = story([0, 50, 2, 3])
    assert made == [(0, True), (1, True), (2, True), (3, True)]
    assert device.counts.gaps == 0


def test_lost_frames_are_a_gap_of_their_length() -> None:
    device, made = story([0, 3, 4, 5], arrive=[0, 3, 4, 5])
    assert made == [(0, True), (1, False), (2, True), (3, True)]
    assert (device.counts.gaps, device.counts.missing) == (1, 2 * 73)


def test_one_lost_sample_is_a_gap() -> None:
    device, made = story([0, 1 + 1 / 73, 2 + 1 / 73, 3 + 1 / 73])
    assert made == [(0, True), (1, False), (2, True), (3, True)]
    assert device.counts.missing == 1


def test_a_gap_while_frames_arrive_in_bursts() -> None:
    """The radio holds frames back for two seconds, and loses one in between."""
    device, made = story([0, 1, 2, 4, 5, 6], arrive=[3.9, 3.9, 3.9, 4, 5, 6])
    assert made == [(0, True), (1, True), (2, True), (3, False), (4, True), (5, True)]
    assert device.counts.missing == 73


def test_a_clock_that_is_set_while_connected_loses_nothing() -> None:
    device, made = story([0, -1000, -999, -998, -997])
    assert made == [(0, True), (1, True), (2, True), (3, True), (4, True)]
    assert (device.counts.clock_steps, device.counts.gaps) == (1, 0)


def test_a_clock_that_is_set_ahead_while_connected_is_no_gap() -> None:
    """Polar's own app sets the strap's clock: from 2019 to today."""
    device, made = story([0, 10**8, 10**8 + 1, 10**8 + 2])
    assert made == [(0, True), (1, True), (2, True), (3, True)]
    assert (device.counts.clock_steps, device.counts.gaps) == (1, 0)


def test_a_frame_that_comes_twice_counts_once() -> None:
    device = DeviceClock(130.0)
    placed = []
    for block, _ in blocks(20, 128.4):
        placed += device.push(block) + device.push(block)
    assert len(placed) == device.counts.repeats == int(20 * 128.4 / 73)


def resumed(away_s: float, *, set_by_s: float = 0.0) -> tuple[DeviceClock, int]:
    """A minute, the link lost for a while, another minute; the device's clock is set meanwhile. And how many samples were lost."""
    device = DeviceClock(130.0)
    every = [b for b, _ in blocks(120 + away_s, 128.4, jitter_s=0.1)]
    frames = round(60 * 128.4 / 73)
    for block in every[:frames]:
        device.push(block)
    device.unlink()
    for block in every[-frames:]:
        device.push(dataclasses.replace(block, last_ns=block.last_ns + round(set_by_s * 1e9)))
    return device, (len(every) - 2 * frames) * 73


@pytest.mark.parametrize("away_s", [1.5, 5.0, 60.0, 3500.0])
def test_a_lost_link_is_a_gap(away_s: float) -> None:
    device, lost = resumed(away_s)
    assert device.counts.gaps == 1
    assert abs(device.counts.missing - lost) <= 1 + 1e-5 * lost


@pytest.mark.parametrize(
    ("away_s", "set_by_s"), [(60.0, -200.0), (60.0, -1e8), (60.0, 1e8), (8 * 3600.0, 0.0)]
)
def test_a_clock_that_was_set_and_a_night_away_begin_anew(away_s: float, set_by_s: float) -> None:
    with pytest.raises(RestartedError):
        resumed(away_s, set_by_s=set_by_s)


def test_a_device_that_counts_from_0_again_begins_anew() -> None:
    device = DeviceClock(250.0)
    for k in range(10):
        device.push(LiveBlock(np.ones(50), START_NS + k * 200_000_000, None, k * 50))
    with pytest.raises(RestartedError, match="from 0"):
        device.push(LiveBlock(np.ones(50), START_NS + 2 * 10**9, None, 0))


def test_a_device_without_any_clock_is_placed_by_arrival() -> None:
    """Only samples come: its rate is what arrival says, and a lost link is a gap."""
    timeline = Timeline(250.0, "ECG", DeviceReport())
    sent = []
    rng = np.random.default_rng(0)
    for k in range(3000):  # 20 min at a true rate of 251 Hz
        arrival = START_NS + round((k + 1) * 100 / 251 * 1e9) + int(rng.integers(0, 50_000_000))
        sent += timeline.push(LiveBlock(np.zeros(100), arrival))
    end = sent[-1].chunk
    wall_s = (end.t0_ns - START_NS) / 1e9 + end.n / 250
    assert wall_s == pytest.approx(3000 * 100 / 251, abs=0.1)
    assert len({s for s, _ in sent}) == 1


def test_wall_time_that_would_have_to_jump_is_refused() -> None:
    wall = WallClock()
    for k in range(100):
        wall.learn(k * 1e9, START_NS + k * 10**9)
        wall.wall_ns(k * 1e9)
    wall.learn(100e9, START_NS + 98 * 10**9)
    with pytest.raises(ClockSetError):
        wall.wall_ns(100e9)


def test_lower_hull() -> None:
    points = [(0.0, 1.0), (1.0, 0.0), (2.0, 5.0), (3.0, 1.0), (4.0, 0.5), (5.0, 3.0)]
    assert lower_hull(points) == [(0.0, 1.0), (1.0, 0.0), (4.0, 0.5), (5.0, 3.0)]
