"""The tape against the plain thing: the whole signal in one array, cut with slices."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.packing import MISSING, unpack
from stream_processor.pipeline.stages.waveform_recorder import (
    AlarmStrip,
    PackedBlock,
    SamplePiece,
    WaveformRecorder,
)

FS = 100.0  # a block has 1,000 samples
ROW = np.array([0], dtype=np.intp)
SIGNAL = np.random.default_rng(1).integers(-2000, 2000, 40_000).astype("<i2")


def recorder() -> WaveformRecorder:
    made = WaveformRecorder()
    assert made.open("p", FS) == 0
    return made


def there(lost: list[tuple[int, int]], first: int, end: int) -> np.ndarray:
    """The signal as far as it came."""
    kept = SIGNAL[:end].copy()
    for a, b in lost:
        kept[a:b] = MISSING
    kept[:first] = MISSING
    return kept


def pieces(cuts: list[int], lost: list[tuple[int, int]], first: int, end: int) -> list[SamplePiece]:
    edges = sorted(
        {
            first,
            end,
            *(c for c in cuts if first < c < end),
            *(e for ab in lost for e in ab if first < e < end),
        }
    )
    return [
        SamplePiece(0, a, SIGNAL[a:b])
        for a, b in pairwise(edges)
        if not any(x <= a < y for x, y in lost)
    ]


def by_start(found: list[PackedBlock | AlarmStrip]) -> dict[int, PackedBlock]:
    blocks = [item for item in found if isinstance(item, PackedBlock)]
    assert len({b.start for b in blocks}) == len(blocks)
    return {b.start: b for b in blocks}


gaps = st.lists(st.tuples(st.integers(100, 9_000), st.integers(1, 3_000)), max_size=3)


@settings(deadline=None)
@given(
    cuts=st.lists(st.integers(0, 9_999), max_size=30),
    gaps=gaps,
    first=st.integers(0, 3_000),
    restart_at=st.integers(0, 30),
)
def test_blocks_are_the_signal_on_a_grid(cuts, gaps, first, restart_at):
    lost = [(a, a + n) for a, n in gaps]
    sent = pieces(cuts, lost, first, 10_000)
    made, found = recorder(), []
    for number, piece in enumerate(sent):
        if number == restart_at:
            state = msgspec.msgpack.decode(msgspec.msgpack.encode(made.snapshot(0)))
            made = recorder()
            made.restore(0, state)
        found += made.push([piece])
    found += made.flush(ROW)
    begin, end = (
        (sent[0].first_sample, sent[-1].first_sample + len(sent[-1].counts)) if sent else (0, 0)
    )
    whole = there(lost, begin, end)
    blocks = by_start(found)
    told = np.full(end, MISSING, dtype=np.int16)
    for block in blocks.values():
        assert block.start == begin or block.start % 1000 == 0
        assert block.n == min(block.start - block.start % 1000 + 1000, end) - block.start
        told[block.start : block.start + block.n] = unpack(block.packed)
        assert (unpack(block.packed) != MISSING).any()
    assert told.tolist() == whole.tolist()


@settings(deadline=None)
@given(
    cuts=st.lists(st.integers(0, 9_999), max_size=30),
    gaps=gaps,
    onset=st.integers(0, 9_999),
    late=st.integers(0, 6_900),
)
def test_a_strip_is_the_signal_around_the_onset_however_it_came(cuts, gaps, onset, late):
    lost = [(a, a + n) for a, n in gaps if not a < onset + late < a + n]
    raised = min(onset + late, 10_000)
    made, found, wanted = recorder(), [], False
    for piece in pieces(cuts, lost, 0, 10_000):
        found += made.push([piece])
        if not wanted and piece.first_sample + len(piece.counts) >= raised:
            wanted = True
            found += made.request_strip(0, "p:pause:1", "pause", onset, raised)
    if not wanted:
        return  # what was needed to raise it never came
    found += made.flush(ROW)
    (strip,) = [item for item in found if isinstance(item, AlarmStrip)]
    end = max(p.first_sample + len(p.counts) for p in pieces(cuts, lost, 0, 10_000))
    a, b = max(0, onset - 1000), min(onset + 1000, end)
    assert (strip.block.start, strip.block.n) == (a, b - a)
    assert unpack(strip.block.packed).tolist() == there(lost, 0, end)[a:b].tolist()


def test_a_strip_comes_once_the_signal_has_reached_its_end():
    made = recorder()
    made.push([SamplePiece(0, 0, SIGNAL[:2000])])
    assert made.request_strip(0, "x", "pause", 1500, 1990) == []
    assert not [
        c for c in made.push([SamplePiece(0, 2000, SIGNAL[2000:2499])]) if isinstance(c, AlarmStrip)
    ]
    (cut,) = [
        c for c in made.push([SamplePiece(0, 2499, SIGNAL[2499:2500])]) if isinstance(c, AlarmStrip)
    ]
    assert (cut.block.start, cut.block.n) == (500, 2000)
    assert made.flush(ROW) == [PackedBlock(0, 2000, 500, cut_of(2000, 2500))]


def cut_of(a: int, b: int) -> bytes:
    made = recorder()
    (block,) = made.push([SamplePiece(0, a, SIGNAL[a:b])]) + made.flush(ROW)
    assert isinstance(block, PackedBlock)
    return block.packed


@pytest.mark.parametrize("size", [50, 777, 20_000])
def test_an_alarm_that_comes_very_late_has_the_oldest_signal_that_is_kept_in_any_cut(size):
    made, found = recorder(), []
    for a in range(0, 20_000, size):
        piece = SIGNAL[a : min(a + size, 20_000)]
        found += made.push([SamplePiece(0, a, piece)])
        if a < 18_000 <= a + len(piece):
            found += made.request_strip(0, "x", "atrial_fibrillation", 2_000, 18_000)
    (cut,) = [c for c in found if isinstance(c, AlarmStrip)]
    assert (cut.wanted.onset, cut.block.start, cut.block.n) == (2_000, 10_000, 2_000)
    assert unpack(cut.block.packed).tolist() == SIGNAL[10_000:12_000].tolist()


def test_what_is_remembered_stays_small():
    made, x = recorder(), np.tile(SIGNAL, 10)
    for a in range(0, len(x), 50):
        made.push([SamplePiece(0, a, x[a : a + 50])])
    state = made.snapshot(0)
    assert 9 <= len(state["blocks"]) <= 10
    assert len(state["tail"]) < 2 * 1000
    made.push([SamplePiece(0, 2**40, SIGNAL[:10])])  # an outage of centuries costs nothing
    assert made.snapshot(0)["tail_start"] == 2**40 - 2**40 % 1000
