"""Measures of a period: a made-up modulation has its power in its band, a made-up beat its marks
where its waves begin and end, and a day its share of atrial fibrillation."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.delineation import errors
from dashboards.measures.average import BEFORE_S, aligned, cut
from dashboards.measures.burden import burden
from dashboards.measures.delineation import delineate
from dashboards.measures.intervals import measure
from dashboards.measures.spectrum import FREQUENCIES_HZ, spectrum
from dashboards.report.rhythm import ClippedEpisode
from tests.e2e.monitor_fakes import Story, beats_of, trace
from tests.unit.dashboards.monitor_bench import S, beat, ms, rhythm, storing, waveform

FS = 500.0
DAY = 24 * 3600


def modulated(*waves: tuple[float, float], seconds: float = 600.0, mean: float = 800.0) -> tuple:
    """(end s, ms) of intervals with sines (Hz, amplitude ms) in them."""
    times, intervals, t = [], [], 0.0
    while t < seconds:
        nn = mean + sum(a * math.sin(2 * math.pi * f * t) for f, a in waves)
        t += nn / 1000
        times.append(t)
        intervals.append(nn)
    return np.array(times), np.array(intervals)


# Spectrum


def test_a_sine_of_amplitude_a_has_the_power_half_a_squared_in_its_band() -> None:
    found = spectrum(*modulated((0.1, 30.0), (0.25, 20.0)))
    assert found is not None
    assert found.stretches == 2
    assert found.lf_ms2 == pytest.approx(30**2 / 2, rel=0.1)
    assert found.hf_ms2 == pytest.approx(20**2 / 2, rel=0.15)
    assert found.ratio == pytest.approx(2.25, rel=0.25)
    assert FREQUENCIES_HZ[np.argmax(found.density)] == pytest.approx(0.1, abs=0.003)


def test_intervals_left_out_beside_ectopic_beats_do_not_move_the_power() -> None:
    times, nn = modulated((0.1, 30.0), (0.25, 20.0))
    kept = np.random.default_rng(7).random(nn.size) > 0.08
    whole, thinned = spectrum(times, nn), spectrum(times[kept], nn[kept])
    assert whole is not None
    assert thinned is not None
    assert thinned.lf_ms2 == pytest.approx(whole.lf_ms2, rel=0.1)
    assert thinned.hf_ms2 == pytest.approx(whole.hf_ms2, rel=0.25)


@pytest.mark.parametrize(
    ("seconds", "kept", "mean"), [(200, 1.0, 800.0), (600, 0.7, 800.0), (600, 1.0, 1400.0)]
)
def test_no_spectrum_of_too_few_intervals_or_of_a_slow_heart(
    seconds: float, kept: float, mean: float
) -> None:
    times, nn = modulated((0.1, 30.0), seconds=seconds, mean=mean)
    some = np.random.default_rng(1).random(nn.size) < kept
    assert spectrum(times[some], nn[some]) is None


# The average beat


def made_beat(**waves: tuple[float, float, float]) -> np.ndarray:
    """A beat (n,) of half cosines: centre s from R, whole width s, mV."""
    t = np.arange(round(0.95 * FS)) / FS - BEFORE_S
    x = np.zeros(t.size)
    for centre, width, mv in waves.values():
        inside = np.abs(t - centre) < width / 2
        x[inside] += mv * (1 + np.cos(2 * np.pi * (t[inside] - centre) / width)) / 2
    return x


def test_the_marks_lie_where_the_waves_begin_and_end() -> None:
    found = delineate(
        made_beat(p=(-0.17, 0.10, 0.15), r=(0.0, 0.09, 1.2), t=(0.28, 0.18, 0.3)),
        round(BEFORE_S * FS),
        FS,
        0.85,
    )
    places = {n: (v / FS - BEFORE_S) * 1000 for n, v in found._asdict().items() if v is not None}
    expected = {
        "p_on": -220, "p_off": -120, "qrs_on": -45, "qrs_off": 45, "t_peak": 280, "t_off": 370
    }  # fmt: skip
    assert places.keys() == expected.keys()
    for name, at in expected.items():
        assert places[name] == pytest.approx(at, abs=20), name


def test_a_beat_without_p_has_no_p_and_silence_no_marks() -> None:
    bare = made_beat(r=(0.0, 0.09, 1.2), t=(0.28, 0.18, 0.3))
    found = delineate(bare, round(BEFORE_S * FS), FS, 0.85)
    assert (found.p_on, found.p_off) == (None, None)
    assert found.qrs_on is not None
    assert set(delineate(np.zeros(475), round(BEFORE_S * FS), FS, 0.85)) == {None}


def test_beats_are_aligned_and_one_of_another_shape_is_left_out() -> None:
    one = made_beat(r=(0.0, 0.09, 1.2))
    beats = np.array([np.roll(one, by) for by in (-4, 0, 3, 5, 0)] + [-one])
    moved = aligned(beats, FS)
    assert len(moved) == 5
    assert np.abs(moved - moved[0]).max() < 0.05


def test_an_incomplete_stretch_and_one_with_missing_samples_are_no_beats() -> None:
    x = np.zeros(5000)
    x[1500] = np.nan
    assert len(cut(x, [10, 1000, 1450, 3000, 4990], FS)) == 2


def test_marks_that_noise_moves_are_unsure_and_their_intervals_not_told() -> None:
    story = Story("Ada", bpm=66.0, noise_mv=0.01, wander_mv=0.0)
    peaks = [round(t * 250) for t, _ in beats_of(story, 60.0)]
    calm = measure(trace(story, 60.0), peaks, 250.0, 909.0)
    assert calm is not None
    assert calm.unsure == ()
    assert calm.qt_ms is not None
    assert calm.qtc_bazett_ms == pytest.approx(calm.qt_ms / 0.909**0.5)
    assert calm.pr_ms == pytest.approx(160, abs=30)
    story.noise_mv = 0.12
    loud = measure(trace(story, 60.0), peaks, 250.0, 909.0)
    assert loud is not None
    assert loud.unsure
    assert loud.qt_ms is None or loud.pr_ms is None


def test_too_few_beats_have_no_average() -> None:
    story = Story("Ada", bpm=66.0)
    peaks = [round(t * 250) for t, _ in beats_of(story, 60.0)]
    assert measure(trace(story, 60.0), peaks[:4], 250.0, 909.0) is None


@pytest.mark.slow
def test_marks_on_ludb_stay_as_good_as_they_were(data_dir: Path) -> None:
    found = list(errors(data_dir / "ludb", list(range(2, 201, 2)), ["ii"]))
    # of sure marks, ms: the SD when the method was chosen, and some room
    most = {"p_on": 7, "p_off": 12, "qrs_on": 15, "qrs_off": 16, "t_peak": 4, "t_off": 8}
    for name, sd in most.items():
        off = np.array([error for n, error, sure in found if n == name and sure])
        assert off.size >= 45, name
        assert abs(off.mean()) < 8, name
        assert off.std() < sd, name


# Burden


def episode(label: str, start_s: float, end_s: float) -> ClippedEpisode:
    return ClippedEpisode(label, round(start_s * S), round(end_s * S))  # type: ignore[arg-type]


def test_an_episode_over_midnight_counts_for_both_days_and_unreadable_time_for_none() -> None:
    days = burden(
        [
            episode("N", 0, DAY - 3600),
            episode("AFIB", DAY - 3600, DAY + 1800),
            episode("~", DAY + 1800, DAY + 7200),
            episode("N", DAY + 7200, DAY + 9000),
        ],
        0,
        2 * DAY * S,
        0,
    )
    assert [(d.readable_s, d.af_s, d.longest_s) for d in days] == [
        (DAY, 3600, 3600),
        (3600, 1800, 1800),
    ]
    assert days[0].share == pytest.approx(1 / 24)


def test_days_begin_at_the_wearers_midnight_and_an_empty_one_has_no_share() -> None:
    days = burden([episode("AFIB", 22 * 3600, 23 * 3600)], 0, DAY * S, 2 * 3600 * S)
    assert [d.start_ns / 1e9 / 3600 for d in days] == [-2, 22]
    assert [d.share for d in days] == [None, 1.0]


# The API


def test_both_are_null_if_nothing_is_stored(tmp_path: Path) -> None:
    with storing(tmp_path, rhythm(0, 30, "N")) as bench:
        assert bench.get("measures", from_=ms(0), to=ms(60)).json() == {
            "spectrum": None,
            "beat": None,
        }
        days = bench.get("burden", from_=ms(0), to=ms(60)).json()["days"]
    assert [(d["readable_s"], d["af_s"]) for d in days] == [(30.0, 0.0)]


def test_the_average_of_stored_beats_is_that_of_the_signal(tmp_path: Path) -> None:
    story = Story("Bed 1", bpm=66.0, noise_mv=0.01, wander_mv=0.0)
    x = np.round(trace(story, 120.0) * 200).astype(np.int16)
    found = beats_of(story, 120.0)
    stored = [waveform(k * 10, x[k * 2500 : (k + 1) * 2500]) for k in range(12)]
    beats = [beat(t, label=label, rr_ms=60_000 / 66) for t, label in found]
    with storing(tmp_path, *stored, *beats) as bench:
        got = bench.get("measures", from_=ms(0), to=ms(120)).json()["beat"]
    assert got["beats"] == pytest.approx(sum(t > 30 for t, _ in found), abs=2)
    assert got["unsure"] == []
    assert got["pr"] == pytest.approx(160, abs=30)
    assert got["qtc_fridericia"] == pytest.approx(got["qt"] / (60 / 66) ** (1 / 3))
