"""The laws of the data path for straps that send RR intervals only: what a ward says does not depend
on how, or with whom, they came."""

from __future__ import annotations

import functools
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.gateway.base import RateBlock
from ingest.messages import Alarm, Event, SampleChunk, sample_offset_ns
from stream_processor.ward import build_ward
from tests.contract import test_ward as trace
from tests.gateway.pulses import bound, irregular, notifications, sent, sinus


@functools.cache
def whole() -> tuple[SampleChunk, ...]:
    """A strap's stream: regular, fast, a pause, holes, contact lost, irregular; link lost in between."""
    rr_s = [*sinus(40), *sinus(30, 150), 3.5, *sinus(20, 60), *irregular(60)]
    blocks = [
        RateBlock(b.received_ns, b.bpm, () if 80 <= k < 84 else b.rr_s, not 95 <= k < 105)
        for k, b in enumerate(notifications(rr_s))
        if not 110 <= k < 125
    ]
    return tuple(bound(sent(blocks), "rr"))


def cut_at(cuts: list[int]) -> list[SampleChunk]:
    """The same samples in other chunks."""
    found: list[SampleChunk] = []
    for chunk in whole():
        inside = [c for c in cuts if chunk.first_sample < c < chunk.first_sample + chunk.n]
        for a, b in pairwise([chunk.first_sample, *inside, chunk.first_sample + chunk.n]):
            of = {name: getattr(chunk, name) for name in chunk.__struct_fields__}
            of["samples"] = chunk.samples[
                2 * (a - chunk.first_sample) : 2 * (b - chunk.first_sample)
            ]
            of["t0_ns"] = chunk.start_ns + sample_offset_ns(a, chunk.fs_hz)
            found.append(SampleChunk(**{**of, "first_sample": a, "seq": len(found)}))
    return found


@functools.cache
def undisturbed() -> trace.Told:
    ward = build_ward(ManualClock())
    return trace.final([e for c in whole() for e in ward.push([c])] + ward.flush("rr"))


def test_the_story_has_its_alarms() -> None:
    kinds = {event.kind for event in undisturbed().values() if isinstance(event, Alarm)}
    assert {"hr_high", "pause", "lead_off", "gap"} <= kinds
    assert "asystole" not in kinds


@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 16_000), min_size=1, max_size=60).map(sorted))
def test_any_cut_says_the_same(cuts: list[int]) -> None:
    ward = build_ward(ManualClock())
    events = [e for c in cut_at(cuts) for e in ward.push([c])] + ward.flush("rr")
    assert trace.final(events) == undisturbed()


def test_together_with_traces_it_is_as_alone() -> None:
    ward, events = build_ward(ManualClock()), list[Event]()
    traces = trace.chunks("vt", 125, end=False)
    for k, chunk in enumerate(whole()):
        events += ward.push([chunk, *traces[k : k + 1]])
    events += ward.flush("rr") + ward.flush("vt")
    assert trace.final([e for e in events if e.patient_id == "rr"]) == undisturbed()
    alone = build_ward(ManualClock())
    wanted = [e for c in traces for e in alone.push([c])] + alone.flush("vt")
    assert trace.final([e for e in events if e.patient_id == "vt"]) == trace.final(wanted)


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_killed_and_restored_anywhere(data: st.DataObject) -> None:
    chunks = list(whole())
    ward, events = build_ward(ManualClock()), list[Event]()
    kills = data.draw(st.sets(st.integers(1, len(chunks) - 1), max_size=4))
    for k, chunk in enumerate(chunks):
        if k in kills:
            state = ward.snapshot("rr")
            ward = build_ward(ManualClock())
            ward.restore("rr", state)
        events += ward.push([chunk])
    assert trace.final(events + ward.flush("rr")) == undisturbed()
