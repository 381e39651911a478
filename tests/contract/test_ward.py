"""The laws again, for the whole data path: what a Ward tells must not depend on how, or with whom,
the samples came."""

from __future__ import annotations

import functools
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.messages import (
    Alarm,
    BadMessageError,
    Beat,
    Event,
    Rhythm,
    SampleChunk,
    Strip,
    Waveform,
    decode,
    encode,
    sample_offset_ns,
)
from ingest.packing import MISSING, unpack
from ingest.simulator.generate import simulate
from ingest.simulator.scenario import load
from stream_processor.pipeline.patient_clock import CLOSE_AFTER_S
from stream_processor.pipeline.stages.admission.admission import REPEAT_S
from stream_processor.pipeline.ward import Ward
from stream_processor.sinks.base import identity
from stream_processor.ward import build_ward

START_NS = 1_700_000_000_000_000_000
PATIENTS = {"vt": 250.0, "noisy": 360.0, "asystole": 128.0}
Told = dict[tuple[object, ...], Event]  # by identity


@functools.cache
def signal(patient: str) -> np.ndarray:
    scenario = load(patient).model_copy(update={"fs_hz": PATIENTS[patient]})
    return np.concatenate([b.counts for b in simulate(scenario, duration_s=60)])


def chunks(
    patient: str, cuts: list[int] | int, *, end: bool = True, start_ns: int = START_NS
) -> list[SampleChunk]:
    """The patient's signal as chunks: of a fixed size, or cut at the given samples."""
    x, fs = signal(patient), PATIENTS[patient]
    edges = list(range(0, len(x), cuts)) if isinstance(cuts, int) else sorted({0, *cuts})
    return [
        SampleChunk(
            patient_id=patient,
            device_id="d",
            lead="I",
            seq=i,
            first_sample=a,
            t0_ns=start_ns + sample_offset_ns(a, fs),
            fs_hz=fs,
            counts_per_mv=200.0,
            samples=x[a:b].astype("<i2").tobytes(),
            end=end and b == len(x),
        )
        for i, (a, b) in enumerate(zip(edges, [*edges[1:], len(x)], strict=True))
    ]


def final(events: list[Event]) -> Told:
    """What a sink would hold in the end: the last event of each identity."""
    return {(type(e).__name__, *identity(e)): e for e in events}


@functools.cache
def undisturbed(patient: str) -> Told:
    return final(build_ward(ManualClock()).push(chunks(patient, 10**9)))


@pytest.mark.parametrize("patient", PATIENTS)
@pytest.mark.parametrize("size", [1, 7, 360, 1000])
def test_any_chunk_size_tells_the_same(patient: str, size: int) -> None:
    ward = build_ward(ManualClock())
    together = 400 if size < 100 else 1  # one push per chunk of 1 sample would take minutes
    pieces = chunks(patient, size)
    events = [
        e for i in range(0, len(pieces), together) for e in ward.push(pieces[i : i + together])
    ]
    assert final(events) == undisturbed(patient)


def test_patients_together_are_as_alone() -> None:
    ward = build_ward(ManualClock())
    queues = {p: chunks(p, int(PATIENTS[p] / 2)) for p in PATIENTS}
    events: list[Event] = []
    while any(queues.values()):
        events += ward.push(
            [c for q in queues.values() for c in (q.pop(0) for _ in range(min(3, len(q))))]
        )
    assert final(events) == {k: v for p in PATIENTS for k, v in undisturbed(p).items()}


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_killed_and_restored_anywhere(data: st.DataObject) -> None:
    patient = data.draw(st.sampled_from(sorted(PATIENTS)))
    cuts = data.draw(
        st.lists(st.integers(1, len(signal(patient)) - 1), min_size=3, max_size=12, unique=True)
    )
    pieces = chunks(patient, cuts)
    at = data.draw(st.integers(1, len(pieces) - 1))
    first = build_ward(ManualClock())
    events = first.push(pieces[:at])
    state = first.snapshot(patient)
    second = build_ward(ManualClock())
    second.restore(patient, state)
    # delivered again: the snapshot knows them. More than REPEAT_S of it would be a restart.
    again = at
    while again and sum(p.n for p in pieces[again - 1 : at]) < (REPEAT_S - 1) * PATIENTS[patient]:
        again -= 1
    events += second.push(pieces[max(again, at - 2) :])
    assert final(events) == undisturbed(patient)


def test_repeats_and_late_chunks_are_dropped_and_counted() -> None:
    ward = build_ward(ManualClock())
    pieces = chunks("vt", 125)
    mixed = [
        c
        for i, chunk in enumerate(pieces)
        for c in ([chunk, pieces[i - 3]] if i % 5 == 4 else [chunk])
    ]
    assert final(ward.push(mixed)) == undisturbed("vt")
    assert ward.admission.counters.duplicates == len(mixed) - len(pieces)


def test_a_gap_is_an_alarm_and_what_follows_is_as_before() -> None:
    ward = build_ward(ManualClock())
    pieces = chunks("vt", 250)
    events = final(ward.push(pieces[:20] + pieces[23:]))
    (gap,) = [e for e in events.values() if isinstance(e, Alarm) and e.kind == "gap"]
    assert (gap.onset_sample, gap.value) == (20 * 250, 3.0)
    lost = range(18 * 250, 26 * 250)  # around the gap beats may differ, elsewhere they may not

    def outside(es: Told) -> list[int]:
        return sorted(e.sample for e in es.values() if isinstance(e, Beat) and e.sample not in lost)

    assert outside(events) == outside(undisturbed("vt"))
    assert not [
        e for e in events.values() if isinstance(e, Beat) and 20 * 250 <= e.sample < 23 * 250
    ]
    spans = sorted(
        (e.start_sample, e.end_sample, e.label) for e in events.values() if isinstance(e, Rhythm)
    )
    assert next(s for s in spans if s[0] <= 20 * 250 < s[1])[2] == "~"
    assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_rhythm_covers_the_stream_without_overlap() -> None:
    for patient in PATIENTS:
        spans = sorted(
            (e.start_sample, e.end_sample)
            for e in undisturbed(patient).values()
            if isinstance(e, Rhythm)
        )
        assert (spans[0][0], spans[-1][1]) == (0, len(signal(patient)))
        assert all(a[1] == b[0] for a, b in pairwise(spans))


@pytest.mark.parametrize("patient", PATIENTS)
def test_the_whole_signal_is_told_and_every_alarm_has_its_strip(patient: str) -> None:
    events, x, around = (
        undisturbed(patient).values(),
        signal(patient),
        round(10 * PATIENTS[patient]),
    )
    blocks = sorted((e for e in events if isinstance(e, Waveform)), key=lambda e: e.start_ns)
    assert np.concatenate([unpack(b.packed) for b in blocks]).tolist() == x.tolist()
    strips = {e.alarm_id: e for e in events if isinstance(e, Strip)}
    alarms = [e for e in events if isinstance(e, Alarm)]
    assert alarms
    assert strips.keys() == {alarm.id for alarm in alarms}
    for alarm in alarms:
        strip = strips[alarm.id]
        start, end = max(0, alarm.onset_sample - around), min(len(x), alarm.onset_sample + around)
        assert (strip.start_sample, strip.n, strip.onset_ns, strip.kind) == (
            start,
            end - start,
            alarm.onset_ns,
            alarm.kind,
        )
        assert strip.start_ns == START_NS + sample_offset_ns(start, PATIENTS[patient])
        assert unpack(strip.packed).tolist() == x[start:end].tolist()


def test_a_gap_is_missing_in_blocks_and_strips() -> None:
    ward = build_ward(ManualClock())
    pieces = chunks("vt", 250)
    events = final(ward.push(pieces[:20] + pieces[23:])).values()
    wanted = signal("vt").copy()
    wanted[20 * 250 : 23 * 250] = MISSING
    blocks = sorted((e for e in events if isinstance(e, Waveform)), key=lambda e: e.start_ns)
    assert np.concatenate([unpack(b.packed) for b in blocks]).tolist() == wanted.tolist()
    (strip,) = [e for e in events if isinstance(e, Strip) and e.kind == "gap"]
    assert unpack(strip.packed).tolist() == wanted[10 * 250 : 30 * 250].tolist()


def test_no_signal_is_raised_when_nothing_arrives_and_ends_when_it_does() -> None:
    clock = ManualClock(START_NS)
    ward = build_ward(clock)
    pieces = chunks("vt", 250, end=False)
    ward.push(pieces[:10])
    clock.advance(4.9)
    assert ward.on_clock() == []
    clock.advance(0.2)
    (raised,) = ward.on_clock()
    assert isinstance(raised, Alarm)
    assert (raised.kind, raised.step, raised.onset_sample) == ("no_signal", "onset", 2500)
    # by the stream's own time: reprocessing gives the same
    assert raised.raised_ns == START_NS + 15 * 10**9
    assert ward.on_clock() == []
    (ended,) = [
        e for e in ward.push(pieces[10:12]) if isinstance(e, Alarm) and e.kind == "no_signal"
    ]
    assert (ended.id, ended.step, ended.end_sample) == (raised.id, "end", 2500)
    clock.advance(CLOSE_AFTER_S + 1)
    assert any(isinstance(e, Beat) for e in ward.on_clock())  # what was pending
    assert ward.patients() == []


def test_a_stream_that_starts_again_at_another_time_is_a_new_one() -> None:
    ward = build_ward(ManualClock())
    later = START_NS + 3600 * 10**9
    events = ward.push(chunks("vt", 500, end=False) + chunks("vt", 500, start_ns=later))
    by_stream: dict[bool, list[int]] = defaultdict(list)
    for e in final(events).values():
        if isinstance(e, Beat):
            by_stream[e.time_ns >= later].append(e.sample)
    assert sorted(by_stream[False]) == sorted(by_stream[True])


odd_samples = st.integers(0, 3000).flatmap(
    lambda n: st.sampled_from(
        [bytes(2 * n), b"\xff\x7f\x00\x80" * n, bytes(range(256)) * (n // 64)]
    )
)
odd_chunks = st.builds(
    SampleChunk,
    schema=st.just(1),
    patient_id=st.sampled_from("abc"),
    device_id=st.sampled_from("de"),
    lead=st.just("I"),
    seq=st.integers(0, 2**40),
    first_sample=st.integers(0, 5000) | st.integers(0, 2**40),
    t0_ns=st.integers(0, 2**62),
    fs_hz=st.floats(100, 1000),
    counts_per_mv=st.floats(1e-9, 1e12),
    samples=odd_samples,
    lead_off=st.booleans(),
    battery=st.none() | st.floats(),
    fault=st.text(max_size=3),
    end=st.booleans(),
)


# no shrinking: it takes minutes
@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(odd_chunks, max_size=20))
def test_no_chunk_that_decodes_breaks_the_ward(sent: list[SampleChunk]) -> None:
    ward = build_ward(ManualClock())
    for chunk in sent:
        try:
            good = decode(encode(chunk), SampleChunk)
        except BadMessageError:
            continue
        for event in ward.push([good]):
            encode(event)
    for patient in ward.patients():
        ward.restore(patient, ward.snapshot(patient))
        if patient in ward._row:  # else only its latched alarms are left
            ward.flush(patient)


def test_a_state_of_another_version_is_refused() -> None:
    ward: Ward = build_ward(ManualClock())
    for state in (b"", b"\x81\xa1a\x01", b"nonsense"):
        with pytest.raises(ValueError, match="state"):
            ward.restore("p", state)
    assert ward.patients() == []
