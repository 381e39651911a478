"""From blocks to chunks: the nominal rate, the signal as it was, gaps where they were, streams that end and begin."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.bounds import chunk_problems
from ingest.gateway.base import DeviceReport, LiveBlock
from ingest.gateway.timing.resampler import Resampler
from ingest.gateway.timing.timeline import OutgoingChunk, Timeline
from ingest.messages import sample_offset_ns
from tests.gateway.signals import START_NS, blocks


def run(every: list[LiveBlock], wearing: DeviceReport | None = None) -> list[OutgoingChunk]:
    timeline = Timeline(130.0, "ECG", wearing or DeviceReport())
    return [out for block in every for out in timeline.push(block)] + timeline.unlink()


def joined(sent: list[OutgoingChunk]) -> tuple[np.ndarray, np.ndarray]:
    """(wall seconds since START_NS, uV) of everything sent, which must be consecutive chunks of one stream."""
    times, values = [], []
    start = sent[0].chunk.t0_ns
    for stream, chunk in sent:
        assert stream == sent[0].stream
        assert chunk.t0_ns == start + sample_offset_ns(chunk.first_sample, 130.0)
        assert chunk_problems(chunk.bound("p", "d", 0)) == []
        times.append((start - START_NS) / 1e9 + (chunk.first_sample + np.arange(chunk.n)) / 130)
        values.append(np.frombuffer(chunk.samples, "<i2"))
    assert sent[0].chunk.first_sample == 0
    return np.concatenate(times), np.concatenate(values).astype(float)


@pytest.mark.parametrize("fs_hz", [128.4, 130.0, 131.3])
def test_the_signal_is_the_same_at_the_nominal_rate(fs_hz: float) -> None:
    times, values = joined(run([b for b, _ in blocks(60, fs_hz)]))
    assert np.allclose(np.diff(times), 1 / 130)
    assert (
        np.abs(values - 1000 * np.sin(2 * np.pi * times))[20:-20].max() < 4
    )  # of 1000 uV: rounding, the kernel, the clock
    assert times[-1] == pytest.approx(60, abs=0.6)


def test_a_40_hz_wave_keeps_its_height() -> None:
    at = np.arange(20 * 73) / 128.4
    every = [
        LiveBlock(
            1000 * np.sin(2 * np.pi * 40 * at[k : k + 73]),
            START_NS + round(at[k + 72] * 1e9),
            round(at[k + 72] * 1e9),
        )
        for k in range(0, len(at), 73)
    ]
    times, values = joined(run(every))
    wanted = 1000 * np.sin(2 * np.pi * 40 * times)
    assert np.abs(values - wanted)[20:-20].max() < 60


def test_lost_frames_leave_a_gap_and_time_goes_on() -> None:
    every = [b for b, _ in blocks(60, 128.4)]
    sent = run(every[:40] + every[50:])
    times, values = joined(sent)
    holes = np.flatnonzero(np.diff(times) > 1.5 / 130)
    assert len(holes) == 1
    lost_s = 10 * 73 / 128.4
    assert times[holes[0] + 1] - times[holes[0]] == pytest.approx(lost_s, abs=0.02)
    whole = np.ones(len(times), bool)
    whole[:20] = whole[-20:] = False
    whole[holes[0] - 20 : holes[0] + 20] = False
    assert np.abs(values - 1000 * np.sin(2 * np.pi * times))[whole].max() < 4


def test_a_restart_begins_a_stream_and_keeps_what_was_before() -> None:
    first = [b for b, _ in blocks(30, 128.4)]
    later = [
        dataclasses.replace(b, received_ns=b.received_ns + 60 * 10**9) for b in first
    ]  # its clock is at the same 2019 again
    reasons: list[str] = []
    timeline = Timeline(130.0, "ECG", DeviceReport(), reasons.append)
    sent = [out for block in first for out in timeline.push(block)] + timeline.unlink()
    sent += [out for block in later for out in timeline.push(block)] + timeline.unlink()
    streams = list(dict.fromkeys(s for s, _ in sent))
    assert len(streams) == 2
    assert timeline.restarts == 1
    assert "earlier" in reasons[0]
    for k, stream in enumerate(streams):
        times, _ = joined([out for out in sent if out.stream == stream])
        assert times[0] == pytest.approx(60 * k, abs=0.05)
        assert times[-1] - times[0] == pytest.approx(30, abs=0.6)


def test_a_step_of_this_machines_clock_begins_a_stream() -> None:
    every = [b for b, _ in blocks(60, 128.4)]
    stepped = [dataclasses.replace(b, received_ns=b.received_ns - 30 * 10**9) for b in every[50:]]
    timeline = Timeline(130.0, "ECG", DeviceReport())
    sent = [
        out for block in every[:50] + stepped for out in timeline.push(block)
    ] + timeline.unlink()
    assert timeline.restarts == 1
    assert sum(out.chunk.n for out in sent) == pytest.approx(len(every) * 73 * 130 / 128.4, abs=20)


def test_lost_contact_is_lead_off_from_that_block_on() -> None:
    wearing = DeviceReport()
    timeline = Timeline(130.0, "ECG", wearing)
    sent: list[OutgoingChunk] = []
    every = [b for b, _ in blocks(30, 130.0)]
    for k, block in enumerate(every):
        wearing.contact, wearing.battery = not 20 <= k < 30, 0.93
        sent += timeline.push(block)
    off = [out.chunk for out in sent if out.chunk.lead_off]
    assert off[0].first_sample == pytest.approx(20 * 73, abs=16)
    assert sum(chunk.n for chunk in off) == pytest.approx(10 * 73, abs=16)
    assert {chunk.battery for _, chunk in sent} == {0.93}


def test_contact_that_is_not_told_is_no_lead_off() -> None:
    assert not any(
        out.chunk.lead_off for out in run([b for b, _ in blocks(10)], DeviceReport(contact=None))
    )


def test_a_short_recording_loses_nothing() -> None:
    assert run([]) == []
    timeline = Timeline(130.0, "ECG", DeviceReport())
    block = next(blocks(1))[0]
    sent = timeline.push(block) + timeline.unlink() + timeline.restart("the end")
    assert sum(out.chunk.n for out in sent) == 73


@given(st.lists(st.integers(1, 40), min_size=1, max_size=20), st.floats(0.97, 1.03))
def test_resampling_does_not_depend_on_the_blocks(sizes: list[int], rate: float) -> None:
    """Cut anywhere, at any rate near 1: the same samples, each once."""
    n = sum(sizes)
    values = np.cumsum(np.random.default_rng(n).normal(size=n))
    period_ns = rate * 1e9 / 130

    def made(cuts: list[int]) -> np.ndarray:
        resampler, at, parts = Resampler(0, 130.0), 0, []
        for size in cuts:
            at += size
            part = resampler.push(values[at - size : at], round((at - 1) * period_ns), period_ns)
            assert part.first_sample == sum(map(len, parts))
            parts.append(part.microvolts)
        return np.concatenate([*parts, resampler.end().microvolts])

    assert len(made(sizes)) == int(np.floor((n - 1) * rate + 1e-6)) + 1
    np.testing.assert_allclose(made(sizes), made([n]), atol=1e-2 * np.ptp(values) + 1e-9)


def test_a_constant_stays_constant() -> None:
    resampler = Resampler(0, 130.0)
    part = resampler.push(np.full(500, 321.0), round(499e9 / 128.4), 1e9 / 128.4)
    np.testing.assert_allclose(np.concatenate([part.microvolts, resampler.end().microvolts]), 321.0)
