"""The binary frame: what the page decodes is what was measured, at the right times."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dashboards.monitor.live.frames import END, LEAD_OFF, PAST, decimate, decode_frame, encode_chunk
from ingest.messages import SampleChunk, sample_offset_ns
from tests.made_chunks import made_chunk

START_NS = 1_700_000_000_000_000_000


def make(samples: np.ndarray, first: int = 0, fs_hz: float = 250.0, **fields: bool) -> SampleChunk:
    return made_chunk("p", first, samples, START_NS, fs_hz, **fields)


signals = st.lists(st.integers(-32768, 32767), max_size=400).map(
    lambda values: np.array(values, np.int16)
)


@given(signals, st.integers(0, 2**40), st.floats(100, 250))
def test_up_to_250_hz_every_sample_arrives_as_it_was(
    samples: np.ndarray, first: int, fs_hz: float
) -> None:
    frame = decode_frame(encode_chunk(make(samples, first, fs_hz), patient=7, stream=3))
    assert (frame.patient, frame.stream, frame.first, frame.fs_hz) == (7, 3, first, fs_hz)
    assert np.array_equal(frame.samples, samples)
    assert frame.t0_ms == pytest.approx(
        (START_NS + sample_offset_ns(first, fs_hz)) / 1e6, abs=0.001
    )


@given(signals, st.integers(0, 2**40), st.floats(250.001, 1000))
def test_faster_streams_are_thinned_to_samples_that_were_measured_at_about_their_times(
    samples: np.ndarray, first: int, fs_hz: float
) -> None:
    frame = decode_frame(encode_chunk(make(samples, first, fs_hz), patient=1, stream=1))
    assert 100 <= frame.fs_hz <= 250
    k = round(fs_hz / frame.fs_hz)
    for i, value in enumerate(frame.samples):
        start = (frame.first + i) * k - first
        assert value in samples[max(0, start) : start + k]
    if frame.samples.size:
        expected = START_NS + sample_offset_ns(frame.first * k, fs_hz)
        assert frame.t0_ms == pytest.approx(expected / 1e6, abs=0.001)


@given(
    st.integers(2, 4), st.integers(0, 1000), st.lists(st.integers(0, 200), min_size=1, max_size=6)
)
def test_thinned_chunks_join_without_gap_or_overlap(k: int, first: int, lengths: list[int]) -> None:
    at, expected = first, None
    for length in lengths:
        index, kept = decimate(np.zeros(length, np.int16), at, k)
        assert expected is None or index == expected or kept.size == 0
        if kept.size:
            expected = index + kept.size
        at += length


def test_thinning_keeps_the_height_of_a_narrow_r_peak() -> None:
    x = np.zeros(500, np.int16)
    x[123], x[124] = 900, -300
    assert decimate(x, 1, 4)[1].max() == 900


def test_flags_travel() -> None:
    frame = decode_frame(
        encode_chunk(make(np.zeros(0), end=True, lead_off=True), patient=1, stream=1, past=True)
    )
    assert frame.flags == LEAD_OFF | END | PAST


@given(st.binary(max_size=120))
def test_other_bytes_are_refused(data: bytes) -> None:
    if (
        len(data) < 48
        or data[0] != 1
        or len(data) != 48 + 2 * struct.unpack_from("<I", data, 12)[0]
    ):
        with pytest.raises(ValueError, match="no frame"):
            decode_frame(data)
