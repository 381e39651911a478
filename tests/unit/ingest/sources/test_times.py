"""A column of times: rate, packets, holes. Nothing is squeezed or stretched, whatever single times are worth."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import BadInputError
from ingest.sources.csv.fields import clock_s
from ingest.sources.csv.grid import on_grid
from ingest.sources.csv.source import CsvSource
from ingest.sources.csv.times import SampleTiming, seconds_per_unit, timing
from tests.made_files import FS, MV, assert_reads, ecg_mv, mv_of, write_table

quick = settings(max_examples=60, deadline=None)
RATES = st.sampled_from([100.0, 128.0, 130.0, 250.0, 256.0, 360.0, 500.0, 512.0, 1000.0, 130.2083])


def on_the_grid(times: np.ndarray, rate: float | None = None, batch: int = 997) -> np.ndarray:
    """The numbers of the samples, laid on the grid of their times; NaN in holes."""
    found = timing(times, rate)
    assert found is not None
    numbers = np.arange(len(times), dtype=float)
    rows = ((times[a : a + batch], numbers[a : a + batch]) for a in range(0, len(times), batch))
    return np.concatenate(list(on_grid(rows, found, "x.csv")))


def placed(grid: np.ndarray) -> np.ndarray:
    """Where on the grid each sample came to lie."""
    where = np.flatnonzero(np.isfinite(grid))
    found = np.full(int(np.nanmax(grid)) + 1, -1)
    found[grid[where].astype(int)] = where
    return found


@quick
@given(fs=RATES, decimals=st.sampled_from([3, 4, 6]), start=st.sampled_from([0.0, 12.34, 1.7e9]))
def test_the_rate_of_rounded_times_is_found_and_no_sample_moves(fs, decimals, start):
    times = np.round(start + np.arange(6000) / fs, decimals)
    found = timing(times)
    assert found is not None
    assert found.fs_hz == pytest.approx(fs, abs=0 if fs == round(fs) else 2e-3 * fs)
    np.testing.assert_array_equal(on_the_grid(times, fs), np.arange(6000))


@quick
@given(fs=RATES, holes=st.dictionaries(st.integers(200, 5800), st.integers(1, 400), max_size=6))
def test_a_hole_of_any_length_stays_where_and_as_long_as_it_was(fs, holes):
    at = np.arange(6000) + sum((np.arange(6000) >= k) * n for k, n in holes.items())
    times = np.round(at / fs, 4)
    grid = on_the_grid(times, fs)
    assert len(grid) == at[-1] + 1
    assert np.abs(placed(grid) - at).max() <= 1


@quick
@given(
    fs=st.sampled_from([128.0, 130.0, 250.0]),
    packet=st.integers(2, 73),
    lost=st.sets(st.integers(5, 60), max_size=5),
    delay_s=st.sampled_from([0.0, 0.02]),
    seed=st.integers(0, 9),
)
def test_packets_share_a_time_and_lost_ones_leave_a_hole(fs, packet, lost, delay_s, seed):
    """Every sample of a packet has the packet's time, some come late; whole packets are missing."""
    if delay_s and packet < 0.1 * fs:
        delay_s = 0.0  # else packets would come in another order
    number = np.arange(80 * packet)
    arrival = np.random.default_rng(seed).exponential(delay_s, 80) if delay_s else np.zeros(80)
    times = np.round((number // packet * packet) / fs + arrival[number // packet], 3)
    here = ~np.isin(number // packet, list(lost))
    grid = on_the_grid(times[here], fs)
    expected = np.flatnonzero(here)
    slack = packet / 2 + delay_s * fs * 6 + 2
    where = placed(grid)
    there = where >= 0
    assert len(where) - there.sum() <= slack  # samples that came when the time was over
    assert np.abs(where - expected)[there].max() <= slack
    assert abs(len(grid) - len(number)) <= slack


def test_a_wrong_time_among_right_ones_counts_for_nothing():
    times = np.arange(5000) / FS
    times[[700, 1203, 1204]] += 0.4
    times[3000] -= 0.3
    np.testing.assert_array_equal(on_the_grid(times), np.arange(5000))


@pytest.mark.parametrize("ppm", [-1000, -200, 300, 5000])
def test_a_device_whose_clock_runs_otherwise_is_neither_squeezed_nor_stretched(ppm):
    """Nominal 130 Hz, in truth a little more or less: an hour is an hour."""
    n = 130 * 3600
    times = np.round(np.arange(n) / (130 * (1 + ppm * 1e-6)), 3)
    grid = on_the_grid(times, 130.0, batch=20_000)
    assert len(grid) / 130 == pytest.approx(times[-1], abs=0.05)


def test_times_that_go_back_or_stand_a_day_still_are_errors():
    right = np.arange(1000) / FS
    for step in (-5.0, 90_000.0):
        times = right + (np.arange(1000) >= 500) * step
        rows = iter([(times, np.zeros(1000))])
        with pytest.raises(BadInputError, match=r"x\.csv: the time steps by .* s"):
            list(on_grid(rows, SampleTiming(FS, 0.0), "x.csv"))


@pytest.mark.parametrize(
    ("unit", "step", "seconds"),
    [
        ("", 0.004, 1.0),
        ("", 4.0, 1e-3),
        ("", 4000.0, 1e-6),
        ("", 4e6, 1e-9),
        ("ms", 4.0, 1e-3),
        ("µs", 1.0, 1e-6),
    ],
)
def test_the_unit_of_times(unit, step, seconds):
    assert seconds_per_unit(unit, np.arange(100) * step) == seconds


@pytest.mark.parametrize(
    ("field", "seconds"),
    [
        ("1970-01-01T00:00:01.5Z", 1.5),
        ("1970-01-02 00:00:00", 86_400),
        ("1970-01-01T01:00:00+01:00", 0),
        ("01.02.2026 10:00:00,250", 36_000.25),
        ("10:00:00.250", 36_000.25),
        ("1:02.5", 62.5),
        ("12:00:01 AM", 1),
        ("1:00:00 pm", 46_800),
        ("100:00:00", 360_000),
    ],
)
def test_clock_times(field, seconds):
    assert clock_s(field) == pytest.approx(seconds)


@pytest.mark.parametrize(
    ("head", "form"),
    [
        ("timestamp,ecg_mV", "2026-01-01T23:59:{s:06.3f}Z,{v}"),
        ("when,ecg_mV", "23:59:{s:06.3f},{v}"),
        ("'Elapsed time','MLII'\n'hh:mm:ss.mmm','mV'", "'{m}:{s:06.3f}',{v}"),
        ("time,ecg_mV", "{h:02d}:{m:02d}:{s:06.3f},{v}"),
        ("timestamp,ecg_mV", "{ns},{v}"),
    ],
)
def test_clock_times_of_a_file_go_on_over_midnight(tmp_path, head, form):
    lines = []
    for i, v in enumerate(MV):
        at = 50 + i / FS if "23:59" not in form else i / FS
        h, m, s = (23, 59, at) if at < 60 else (0, 0, at - 60)
        if "'" in form:
            h, m = 0, int(at // 60)
        ns = 1_700_000_000_000_000_000 + i * 4_000_000
        lines.append(form.format(h=h, m=m, s=s, v=v, ns=ns))
    assert_reads(CsvSource(write_table(tmp_path / "x.csv", head, lines)))


def test_ten_samples_of_one_time_and_whole_milliseconds(tmp_path):
    mv = ecg_mv(130)
    packets = [f"{i // 10 * 10 * 1000 / 130:.0f},{v * 1000:.0f}" for i, v in enumerate(mv)]
    whole = [f"{1_700_000_000_000 + i * 1000 / 130:.0f},{v * 1000:.0f}" for i, v in enumerate(mv)]
    for lines in (packets, whole):
        source = CsvSource(write_table(tmp_path / "x.csv", "timestamp [ms],ecg [uV]", lines))
        assert_reads(source, mv, 130)
        assert source.duration_s == pytest.approx(len(mv) / 130, abs=0.08)


def test_the_duration_told_is_the_duration_read(tmp_path):
    keep = np.ones(len(MV), bool)
    keep[[500, 501, 2000]] = keep[3000:3040] = False  # holes below a quarter of a second
    lines = [f"{i / FS:.3f},{v}" for i, v in enumerate(MV) if keep[i]]
    source = CsvSource(write_table(tmp_path / "x.csv", "time,ecg", lines))
    assert source.duration_s == len(mv_of(source)) / FS == len(MV) / FS
