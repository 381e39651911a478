"""What a cardiologist would measure on the simulated tracings."""

from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import signal

from ingest.simulator.generate import simulate
from ingest.simulator.scenario import parse

FS = 1000
QUIET = {"wander_mv": 0, "muscle_mv": 0, "mains_mv": 0}
BEATS = ("N", "V", "A", "/")


class Record(NamedTuple):
    mv: np.ndarray
    notes: list[Any]

    def beats(self, symbols: tuple[str, ...] = BEATS) -> np.ndarray:
        return np.array([a.sample for a in self.notes if a.symbol in symbols])

    def average(self, at: np.ndarray, before: int = 400, after: int = 700) -> np.ndarray:
        """Mean beat, index = ms, the R peak at `before`."""
        kept = at[(at >= before) & (at < len(self.mv) - after)]
        return np.mean([self.mv[r - before : r + after] for r in kept], axis=0)


def record(
    rhythm: str,
    seconds: float = 60,
    *,
    seed: int = 1,
    patient: dict[str, float] | None = None,
    **keys: Any,
) -> Record:
    segment = {"rhythm": rhythm, "duration_s": seconds} | keys
    data = {
        "fs_hz": FS,
        "counts_per_mv": 2000,
        "noise": QUIET,
        "patient": patient or {},
        "segments": [segment],
    }
    blocks = list(simulate(parse(data, "test.toml"), seed=seed))
    return Record(
        np.concatenate([b.counts for b in blocks]) / 2000,
        [a for b in blocks for a in b.annotations],
    )


def qrs_bounds(
    beat: np.ndarray, r: int = 400, slope_mv_per_ms: float = 0.0055, within: int = 125
) -> tuple[int, int]:
    """First and last ms near the R peak where the signal moves faster than P, ST or T do."""
    fast = np.flatnonzero(
        np.abs(np.gradient(signal.savgol_filter(beat, 9, 2)))[r - within : r + within]
        > slope_mv_per_ms
    )
    return r - within + fast[0], r - within + fast[-1]


def t_end(beat: np.ndarray, rr_s: float, r: int = 400) -> float:
    """Where the steepest tangent of the T wave's end meets the baseline."""
    smooth = signal.savgol_filter(beat, 31, 2)
    peak = r + 100 + int(np.argmax(np.abs(smooth[r + 100 : r + round(620 * min(rr_s, 1))])))
    slope = np.gradient(smooth)[peak : peak + 100] * np.sign(smooth[peak])
    steepest = peak + int(np.argmin(slope))
    return steepest + abs(smooth[steepest] / slope.min())


@pytest.mark.parametrize("rate", [50, 70, 100, 130])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_sinus_beat_has_normal_intervals_at_any_rate(rate: float, seed: int) -> None:
    tape = record("sinus", rate=rate, seed=seed, patient={"respiratory_arrhythmia": 0})
    beats = tape.beats()
    rr_s = np.diff(beats).mean() / FS
    assert 60 / rr_s == pytest.approx(rate, rel=0.02)
    beat = tape.average(beats[10:])
    onset, end = qrs_bounds(beat)
    # between the steep parts, so a little less than between the feet
    assert 75 <= end - onset <= 100
    p_peak = (
        400 - 300 + int(np.argmax(beat[100:340]))
        if rate < 100
        else 250 + int(np.argmax(beat[250:340]))
    )
    assert beat[p_peak] == pytest.approx(0.13, abs=0.06)
    assert 120 <= onset - (p_peak - 46) <= 200
    qt = t_end(beat, rr_s) - onset
    assert qt / 1000 / np.cbrt(rr_s) == pytest.approx(0.405, abs=0.03)
    assert 0.9 < beat[400] < 1.1
    assert beat[onset + 150 : onset + 400].max() > 0.2  # T the same way as R


def test_qt_shortens_with_the_rate_and_by_less_than_rr() -> None:
    qts = []
    for rate in (45, 60, 90, 120):
        tape = record("sinus", rate=rate, patient={"respiratory_arrhythmia": 0})
        beat = tape.average(tape.beats()[10:])
        qts.append(t_end(beat, 60 / rate) - qrs_bounds(beat)[0])
    assert qts == sorted(qts, reverse=True)
    assert 1.25 < qts[0] / qts[-1] < (120 / 45) ** 0.5


@pytest.mark.parametrize("seed", range(6))
def test_premature_ventricular_beat_is_wide_without_p_discordant_and_fully_compensated(
    seed: int,
) -> None:
    tape = record(
        "sinus", 120, rate=70, pvc_per_minute=6, seed=seed, patient={"respiratory_arrhythmia": 0}
    )
    beats, ectopic = tape.beats(), tape.beats(("V",))
    assert 9 <= len(ectopic) <= 14
    beat = tape.average(ectopic)
    onset, end = qrs_bounds(beat, slope_mv_per_ms=0.008)
    assert end - onset > 120
    t_wave = beat[400 + 150 : 400 + 350]
    assert np.sign(t_wave[np.argmax(np.abs(t_wave))]) == -np.sign(beat[400])
    for v in ectopic:
        before, after = beats[beats < v][-2:], beats[beats > v][:2]
        rr = before[1] - before[0]
        assert 0.5 < (v - before[1]) / rr < 0.7
        assert (after[0] - before[1]) / (2 * rr) == pytest.approx(1, abs=0.06)


def test_premature_atrial_beat_is_narrow_and_not_fully_compensated() -> None:
    tape = record("sinus", 120, rate=70, pac_per_minute=8, patient={"respiratory_arrhythmia": 0})
    beats, early = tape.beats(), tape.beats(("A",))
    onset, end = qrs_bounds(tape.average(early))
    assert end - onset <= 100
    for a in early[:-1]:
        before, after = beats[beats < a][-2:], beats[beats > a][:1]
        assert 1.5 < (after[0] - before[1]) / (before[1] - before[0]) < 1.9


def test_breathing_moves_the_rate_and_fast_rhythms_less() -> None:
    rest, effort = (np.diff(record("sinus", 120, rate=rate).beats())[8:] for rate in (62, 130))
    assert 15 < rest.std() < 70
    assert effort.std() < rest.std() / 3
    tones = np.abs(
        np.fft.rfft(signal.detrend(np.interp(np.arange(0, 100, 0.25), np.cumsum(rest) / FS, rest)))
    )
    hz = np.fft.rfftfreq(400, 0.25)
    assert 0.2 < hz[hz > 0.15][np.argmax(tones[hz > 0.15])] < 0.3


def test_atrial_fibrillation_is_irregular_without_p_and_with_f_waves() -> None:
    tape, sinus = record("afib", 120), record("sinus", 120, rate=105)
    rr = np.diff(tape.beats())
    assert 60 * FS / rr.mean() == pytest.approx(105, rel=0.08)
    assert 0.15 < rr.std() / rr.mean() < 0.3
    assert abs(np.corrcoef(rr[:-1], rr[1:])[0, 1]) < 0.2
    assert rr.min() >= 260
    assert {a.symbol for a in tape.notes} == {"+", "N"}
    before = slice(400 - 230, 400 - 60)
    long = tape.beats()[1:][rr > 600]  # far enough from the T wave before
    assert np.ptp(tape.average(long)[before]) < 0.05
    assert np.ptp(sinus.average(sinus.beats())[before]) > 0.09
    silent = np.concatenate([tape.mv[r - 200 : r - 60] for r in tape.beats()[1:][rr > 700]])
    assert 0.02 < silent.std() < 0.12


def test_supraventricular_tachycardia_is_fast_regular_and_narrow() -> None:
    tape = record("svt", 20, rate=180)
    rr = np.diff(tape.beats(("A",)))
    assert 60 * FS / rr.mean() == pytest.approx(180, rel=0.01)
    assert rr.std() / rr.mean() < 0.015
    onset, end = qrs_bounds(tape.average(tape.beats()[2:]))
    assert end - onset <= 130  # the backward P wave at its end included


def test_ventricular_tachycardia_is_fast_wide_and_has_no_other_beats() -> None:
    tape = record("vt", 20, rate=170)
    rr = np.diff(tape.beats(("V",)))
    assert 60 * FS / rr.mean() == pytest.approx(170, rel=0.02)
    assert {a.symbol for a in tape.notes} == {"+", "V"}
    first = tape.average(tape.beats()[:1], before=400 if tape.beats()[0] >= 400 else 0)
    assert len(first) > 0
    slow = record("ventricular", 30, rate=50)
    onset, end = qrs_bounds(slow.average(slow.beats()), slope_mv_per_ms=0.008)
    assert end - onset > 120


@pytest.mark.parametrize(("rhythm", "low", "high"), [("vf", 3, 7), ("flutter", 3, 5.5)])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_fibrillation_has_no_beats_and_one_dominant_frequency(
    rhythm: str, low: float, high: float, seed: int
) -> None:
    tape = record(rhythm, 20, seed=seed)
    assert len(tape.beats()) == 0
    assert [a.symbol for a in tape.notes] == ["+", "[", "]"]
    hz, power = signal.welch(tape.mv, FS, nperseg=4096)
    assert low < hz[np.argmax(power)] < high
    assert power[(hz > 2) & (hz < 12)].sum() > 0.9 * power.sum()
    assert np.abs(np.diff(tape.mv)).max() < 0.06  # nothing as steep as a QRS complex
    assert 0.15 < tape.mv.std() < 1


def test_paced_beat_follows_its_spike_and_is_wide() -> None:
    tape = record("paced", 30, rate=70, spike_mv=1.0)
    rr = np.diff(tape.beats(("/",)))
    assert np.ptp(rr) <= 1
    beat = tape.average(tape.beats())
    spike = int(np.argmax(beat[250:370])) + 250
    assert beat[spike] > 0.6
    onset, end = qrs_bounds(beat[spike + 5 :], r=400 - spike - 5, slope_mv_per_ms=0.008, within=75)
    assert onset < end
    fall = np.flatnonzero(beat[spike + 10 :] < 0.1 * beat[400]) + spike + 10
    assert (
        90
        < fall[0] - spike + (np.flatnonzero(beat[400:] > 0.1 * beat[400])[0] + 400 - fall[0])
        < 200
    )


@pytest.mark.parametrize(
    ("rhythm", "cycle", "aux"),
    [("bigeminy", ["N", "V"], "(B"), ("trigeminy", ["N", "N", "V"], "(T")],
)
def test_geminy_repeats_its_cycle(rhythm: str, cycle: list[str], aux: str) -> None:
    notes = record(rhythm, 30).notes
    symbols = [a.symbol for a in notes if a.symbol in BEATS][: 8 * len(cycle)]
    assert symbols == cycle * 8
    assert [a.aux for a in notes if a.symbol == "+"] == [aux]


def test_runs_and_couplets_come_as_often_and_as_long_as_asked() -> None:
    text = "".join(
        a.symbol
        for a in record(
            "sinus", 120, rate=75, nsvt_per_minute=2, nsvt_beats=4, couplets_per_minute=3
        ).notes
    )
    runs = [len(run) for run in text.replace("+", "").replace("N", " ").split()]
    assert runs.count(4) == pytest.approx(4, abs=1)
    assert runs.count(2) == pytest.approx(6, abs=1)
    assert set(runs) == {2, 4}
    assert text.count("+V") == runs.count(4)  # only a run of three or more is a rhythm of its own


def test_pauses_last_as_long_as_asked() -> None:
    rr = np.diff(record("sinus", 120, rate=60, pauses_per_minute=3, pause_s=2.8).beats()) / FS
    assert np.sum(np.abs(rr - 2.8) < 0.01) == pytest.approx(6, abs=1)
    assert np.sum(rr > 1.5) == np.sum(np.abs(rr - 2.8) < 0.01)


def test_asystole_lasts_as_long_as_the_script_says_and_the_heart_starts_slowly() -> None:
    segments = [
        {"rhythm": r, "duration_s": 12, **({} if r == "asystole" else {"rate": 80})}
        for r in ("sinus", "asystole", "sinus")
    ]
    blocks = list(simulate(parse({"fs_hz": FS, "segments": segments}, "test.toml")))
    beats = np.array([a.sample for b in blocks for a in b.annotations if a.symbol == "N"]) / FS
    assert not np.any((beats >= 12) & (beats <= 24))
    after = np.diff(beats[beats > 24])
    assert after[0] > 1.15 > 0.85 > after[-1]


def test_mains_muscle_and_wander_reach_the_asked_size() -> None:
    tapes = {
        key: record("asystole", 60, noise=QUIET | {key: size}).mv
        for key, size in (("mains_mv", 0.1), ("muscle_mv", 0.1), ("wander_mv", 0.5))
    }
    hz, power = signal.welch(tapes["mains_mv"], FS, nperseg=4096)
    assert hz[np.argmax(power)] == pytest.approx(50, abs=0.3)
    assert tapes["mains_mv"].std() == pytest.approx(0.1 / np.sqrt(2), rel=0.05)
    hz, power = signal.welch(tapes["muscle_mv"], FS, nperseg=4096)
    assert 0.07 < tapes["muscle_mv"].std() < 0.16
    assert power[(hz > 15) & (hz < 120)].sum() > 0.85 * power.sum()
    hz, power = signal.welch(tapes["wander_mv"], FS, nperseg=16384)
    assert 0.15 < tapes["wander_mv"].std() < 0.6
    assert power[hz < 0.7].sum() > 0.95 * power.sum()
