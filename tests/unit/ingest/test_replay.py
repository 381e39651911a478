"""The replay schedule: the same samples, each chunk due at its own end, whatever the speed, the cut
or the number of patients."""

import math
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.clock import ManualClock
from ingest.errors import BadInputError
from ingest.messages import Reference, SampleChunk, decode, encode, sample_offset_ns
from ingest.replay import copies, end_after, merge, play, stream
from ingest.sources.base import Annotation, Block

quick = settings(max_examples=50, deadline=None)  # the machine may be busy
START_NS = 1_700_000_000_123_456_789


class Ramp:
    """A record whose sample i is i; cut into blocks of `sizes`, `off` of them lead-off, with
    annotations."""

    name, lead, device_id, counts_per_mv = "ramp", "II", "test", 200.0

    def __init__(self, n=1000, fs_hz=250.0, sizes=(333,), off=(), notes=()):
        self.n, self.fs_hz, self.sizes, self.off, self.notes = n, fs_hz, sizes, off, notes
        self.duration_s = n / fs_hz

    def blocks(self, start_s=0.0):
        at, begin = 0, round(start_s * self.fs_hz)
        for i in range(self.n):
            size = self.sizes[i % len(self.sizes)]
            low, high = max(at, begin), min(at + size, self.n)
            if low < high:
                notes = tuple(Annotation(s, "N") for s in self.notes if low <= s < high)
                yield Block(np.arange(low, high).astype(np.int16), i in self.off, notes)
            at += size
            if at >= self.n:
                return


def chunks(items):
    return [item.message for item in items if isinstance(item.message, SampleChunk)]


def references(items):
    return [item.message for item in items if isinstance(item.message, Reference)]


def samples(found):
    return np.concatenate([c.counts() for c in found])


records = st.builds(
    Ramp,
    n=st.integers(1, 3000),
    fs_hz=st.sampled_from([100.0, 128.0, 250.0, 257.3, 360.0, 1000.0]),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=4).map(tuple),
    off=st.sets(st.integers(0, 10)),
    notes=st.lists(st.integers(0, 3000), max_size=5).map(lambda s: tuple(sorted(s))),
)


@quick
@given(record=records, chunk_s=st.floats(0.02, 2))
def test_chunks_are_the_record_in_order_and_each_is_due_at_its_end(record, chunk_s):
    items = list(stream(record, "p", START_NS, chunk_s=chunk_s))
    found = chunks(items)
    np.testing.assert_array_equal(samples(found), np.arange(record.n))
    assert [c.seq for c in found] == list(range(len(found)))
    first = 0
    for item in items:
        if isinstance(item.message, SampleChunk):
            chunk = item.message
            assert chunk.first_sample == first
            assert chunk.t0_ns == START_NS + sample_offset_ns(first, record.fs_hz)
            assert chunk.n <= math.ceil(chunk_s * record.fs_hz) + 1
            first += chunk.n
            assert item.due_s == first / record.fs_hz
            assert decode(encode(chunk), SampleChunk) == chunk
    assert [c.end for c in found] == [False] * (len(found) - 1) + [True]


@quick
@given(record=records, other=st.lists(st.integers(1, 900), min_size=1, max_size=3).map(tuple))
def test_chunks_do_not_depend_on_the_sources_blocks(record, other):
    """Without lead-off, which cuts blocks and chunks alike."""
    whole = Ramp(record.n, record.fs_hz, (record.n,), (), record.notes)
    cut = Ramp(record.n, record.fs_hz, other, (), record.notes)
    assert list(stream(cut, "p", START_NS)) == list(stream(whole, "p", START_NS))


@quick
@given(record=records)
def test_lead_off_holds_for_whole_chunks_and_exactly(record):
    truth = np.concatenate([np.full(len(b.counts), b.lead_off) for b in record.blocks()])
    found = chunks(stream(record, "p", START_NS))
    np.testing.assert_array_equal(np.concatenate([np.full(c.n, c.lead_off) for c in found]), truth)


@quick
@given(record=records, data=st.data())
def test_from_and_to_begin_a_stream_of_their_own(record, data):
    begin = data.draw(st.integers(0, record.n - 1))
    end = data.draw(st.integers(begin + 1, record.n + 100))
    items = list(
        stream(record, "p", START_NS, from_s=begin / record.fs_hz, to_s=end / record.fs_hz)
    )
    np.testing.assert_array_equal(samples(chunks(items)), np.arange(begin, min(end, record.n)))
    assert chunks(items)[0].first_sample == 0
    assert chunks(items)[0].t0_ns == START_NS
    inside = [s - begin for s in record.notes if begin <= s < min(end, record.n)]
    assert [r.sample for r in references(items)] == inside
    assert [r.time_ns for r in references(items)] == [
        START_NS + sample_offset_ns(s, record.fs_hz) for s in inside
    ]


@quick
@given(record=records.filter(lambda r: r.n > 20))
def test_a_loop_has_no_seam(record):
    items = list(islice(stream(record, "p", START_NS, loop=True), 60))
    found = chunks(items)
    got = samples(found)
    np.testing.assert_array_equal(got, np.arange(len(got)) % record.n)
    assert [c.seq for c in found] == list(range(len(found)))
    assert [c.t0_ns for c in found] == [
        START_NS + sample_offset_ns(c.first_sample, record.fs_hz) for c in found
    ]
    assert not any(c.end for c in found)
    wanted = sorted(
        s + k * record.n
        for s in record.notes
        if s < record.n
        for k in range(1 + len(got) // record.n)
    )
    assert [r.sample for r in references(items)] == wanted[: len(references(items))]


def test_an_annotation_is_due_with_its_chunk():
    items = list(stream(Ramp(500, notes=(0, 130)), "p", START_NS))
    assert [(i.due_s, type(i.message).__name__) for i in items][:4] == [
        (0.5, "SampleChunk"),
        (0.5, "Reference"),
        (1.0, "SampleChunk"),
        (1.0, "Reference"),
    ]


def test_an_hour_does_not_drift():
    """Chunk n is due at n chunks, not at the sum of n waits: at 257.3 Hz no chunk is a whole number
    of samples."""
    last = list(stream(Ramp(30_000, 257.3), "p", START_NS))[-1]
    assert last.due_s == 30_000 / 257.3
    assert last.message.start_ns == START_NS


@quick
@given(n=st.integers(1, 5))
def test_copies_are_the_same_stream_under_other_names(n):
    record = Ramp(700, notes=(3,))
    alone = list(stream(record, "208", START_NS))
    made = copies(stream(record, "208", START_NS), "208", n)
    assert list(made) == (["208"] if n == 1 else [f"208-{i}" for i in range(1, n + 1)])
    for name, items in made.items():
        found = list(items)
        assert {i.message.patient_id for i in found} == {name}
        np.testing.assert_array_equal(samples(chunks(found)), samples(chunks(alone)))
        assert [i.due_s for i in found] == [i.due_s for i in alone]


def test_several_streams_are_merged_by_due_time():
    a, b = stream(Ramp(2000, 250.0), "a", START_NS), stream(Ramp(900, 360.0), "b", START_NS)
    found = list(merge([a, b]))
    assert [i.due_s for i in found] == sorted(i.due_s for i in found)
    assert {i.message.patient_id for i in found} == {"a", "b"}


def playing(items, speed=1.0, lag_s=0.0):
    """(time, message) of everything sent; every send takes lag_s."""
    clock, sent = ManualClock(5_000_000_000), []

    def send(message):
        sent.append((clock.steady_s() - 5, message))
        clock.advance(lag_s)

    play(items, send, clock, speed=speed, sleep=clock.advance)
    return sent


@pytest.mark.parametrize("speed", [0.1, 1.0, 10.0])
def test_play_keeps_the_schedule(speed):
    for (at_s, message), item in zip(
        playing(stream(Ramp(), "p", START_NS), speed), stream(Ramp(), "p", START_NS), strict=True
    ):
        assert message == item.message
        assert at_s == pytest.approx(item.due_s / speed, abs=1e-6)


def test_play_at_once():
    assert {at_s for at_s, _ in playing(stream(Ramp(), "p", START_NS), math.inf)} == {0.0}


def test_a_slow_broker_does_not_shift_the_schedule():
    """Sending costs a third of each chunk's time; the last one is due when it always was."""
    sent = playing(stream(Ramp(), "p", START_NS), lag_s=0.16)
    assert sent[-1][0] == pytest.approx(4.0)


def test_what_is_interrupted_is_closed():
    sent = []

    def send(message):
        if len(sent) == 3:
            sent.append("interrupt")
            raise KeyboardInterrupt
        sent.append(message)

    # b is at its end
    items = merge([stream(Ramp(), "a", START_NS), stream(Ramp(50), "b", START_NS)])
    with pytest.raises(KeyboardInterrupt):
        play(items, send, ManualClock(), speed=math.inf)
    before = [m for m in sent[:3] if m.patient_id == "a"][-1]
    assert sent[4:] == [end_after(before)]
    closing = decode(encode(sent[4]), SampleChunk)
    assert (closing.n, closing.end, closing.seq, closing.first_sample) == (
        0,
        True,
        before.seq + 1,
        before.first_sample + before.n,
    )
    assert closing.start_ns == START_NS


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"from_s": 4.0}, "4 s long"),
        ({"from_s": 2, "to_s": 1}, "0 <= from < to"),
        ({"chunk_s": 61}, "at most 60"),
        ({"chunk_s": 0.001}, "at least one"),
    ],
)
def test_what_cannot_be_replayed(options, said):
    with pytest.raises(BadInputError, match=said):
        list(stream(Ramp(), "p", START_NS, **options))
