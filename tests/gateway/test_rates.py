"""A heart rate strap's notifications as chunks of the RR channel."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.bounds import chunk_problems
from ingest.gateway.base import DeviceReport, RateBlock
from ingest.gateway.timing.rates import RateTimeline
from ingest.gateway.timing.timeline import OutgoingChunk
from ingest.messages.rr_channel import RR_FS_HZ, RR_LEAD
from tests.gateway.pulses import bound, irregular, notifications, sent, sinus
from tests.gateway.signals import START_NS


def marks(chunks: list[OutgoingChunk]) -> list[tuple[float, int]]:
    """(seconds since START_NS, value) of every sample that is not 0."""
    found = []
    for _, chunk in chunks:
        values = np.frombuffer(chunk.samples, "<i2")
        found += [
            ((chunk.t0_ns - START_NS) / 1e9 + int(i) / RR_FS_HZ, int(values[i]))
            for i in np.flatnonzero(values)
        ]
    return found


def beats(chunks: list[OutgoingChunk]) -> list[tuple[float, int]]:
    return [(at, value) for at, value in marks(chunks) if value > 0]


@settings(max_examples=30, deadline=None)
@given(
    rate=st.floats(40, 180),
    jitter_s=st.floats(0, 0.45),
    seed=st.integers(0, 1000),
    shape=st.sampled_from([sinus, irregular]),
)
def test_every_interval_arrives_once_and_near_its_time(rate, jitter_s, seed, shape) -> None:
    rr_s = shape(90, rate, seed)
    chunks = sent(notifications(rr_s, jitter_s=jitter_s, seed=seed))
    found = beats(chunks)
    assert [value for _, value in found] == [round(1000 * one_s) for one_s in rr_s]
    late = np.array([at for at, _ in found]) - np.cumsum(rr_s)
    assert late.min() > -0.02
    assert late.max() < 1.0 + jitter_s + 0.02  # notifications come once a second
    steps = np.diff([at for at, _ in found])
    assert np.abs(steps - np.array(rr_s[1:])).max() <= 0.011  # the processor sees no hole


def test_chunks_follow_each_other_and_are_within_the_bounds() -> None:
    chunks = sent(notifications(sinus(60)))
    assert len({stream for stream, _ in chunks}) == 1
    next_sample = 0
    for chunk in bound(chunks):
        assert chunk_problems(chunk) == []
        assert (chunk.lead, chunk.fs_hz, chunk.battery) == (RR_LEAD, RR_FS_HZ, 0.8)
        assert chunk.first_sample == next_sample
        next_sample += chunk.n


def test_another_rate_of_the_channel_is_refused() -> None:
    (chunk, *_) = sent(notifications(sinus(10)))
    wrong = bound([OutgoingChunk("s", chunk.chunk)])[0]
    assert [p.field for p in chunk_problems(type(wrong)(**{**_fields(wrong), "fs_hz": 250.0}))] == [
        "fs_hz"
    ]


def _fields(chunk) -> dict[str, object]:
    return {name: getattr(chunk, name) for name in chunk.__struct_fields__}


def test_a_lost_link_is_a_gap_of_the_same_stream() -> None:
    blocks = list(notifications(sinus(120), jitter_s=0.0))
    line = RateTimeline(DeviceReport())
    before = sent(blocks[:60], line)
    after = sent(blocks[80:], line)
    assert {stream for stream, _ in before + after} == {before[0].stream}
    gap = after[0].chunk.first_sample - (before[-1].chunk.first_sample + before[-1].chunk.n)
    assert gap / RR_FS_HZ == pytest.approx(20, abs=2)
    assert line.restarts == 0


def test_without_contact_there_are_no_beats_and_the_lead_is_off() -> None:
    blocks = [
        RateBlock(b.received_ns, b.bpm, b.rr_s, contact=not 20 <= k < 40)
        for k, b in enumerate(notifications(sinus(60), jitter_s=0.0))
    ]
    chunks = sent(blocks)
    off = [out for out in chunks if out.chunk.lead_off]
    assert len(off) == 20
    assert beats(off) == []
    assert beats(chunks)[-1][0] > 58


def test_a_strap_without_intervals_still_says_its_rate() -> None:
    blocks = [RateBlock(START_NS + k * 10**9, 64, ()) for k in range(20)]
    found = marks(sent(blocks))
    assert {value for _, value in found} == {-64}
    assert len(found) == 20


def test_a_beat_that_the_strap_left_out_is_a_hole_and_not_a_long_interval() -> None:
    rr_s = sinus(60, rate=60)
    blocks = [
        RateBlock(b.received_ns, b.bpm, () if 30 <= k < 34 else b.rr_s)
        for k, b in enumerate(notifications(rr_s, jitter_s=0.0))
    ]
    found = beats(sent(blocks))
    holes = [
        (b_at - a_at, value)
        for (a_at, _), (b_at, value) in itertools.pairwise(found)
        if abs(b_at - a_at - value / 1000) > 0.06
    ]
    assert len(holes) == 1
    assert holes[0][0] > 3
    assert holes[0][1] < 1200


def test_two_notifications_at_once_lose_nothing() -> None:
    """A radio that was busy delivers three of them together."""
    rr_s = sinus(60)
    blocks = list(notifications(rr_s, jitter_s=0.0))
    for k in (20, 21):
        blocks[k] = RateBlock(blocks[22].received_ns, blocks[k].bpm, blocks[k].rr_s)
    assert [v for _, v in beats(sent(blocks))] == [round(1000 * one_s) for one_s in rr_s]


def test_a_restart_begins_another_stream() -> None:
    line = RateTimeline(DeviceReport())
    blocks = list(notifications(sinus(30), jitter_s=0.0))
    first = [out for block in blocks[:15] for out in line.push(block)] + line.restart()
    second = [out for block in blocks[15:] for out in line.push(block)]
    assert {s for s, _ in first}.isdisjoint({s for s, _ in second})
    assert second[0].chunk.first_sample == 0
    assert line.restarts == 1
