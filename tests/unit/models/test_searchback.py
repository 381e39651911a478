"""The choice of weak peaks, on streams of peaks: a beat a second, sure until second 20, then as
each test says."""

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.beats.decoding import Peaks
from models.beats.searchback import FIELDS, NOISY, SILENT, choose, usual
from models.signal.conditioning import FS_HZ
from models.signal.stage import Table

SURE, FAINT = 0.95, 0.2
QUIET, LOUD = 0.2 * NOISY, 3 * NOISY
BEGUN = [(FS_HZ * (second + 0.5), SURE) for second in range(20)]


def peaks(found: list[tuple[int, float, float]]) -> tuple[Peaks, np.ndarray]:
    """Of (window, sample, confidence) in order, with what each window shows within the next 0.5 s."""
    at = np.array([x for _, x, _ in found], np.float64)
    sure = np.array([x for _, x, p in found if p >= 0.4])
    ahead = [min([s - x for s in sure if 25 < s - x < 62], default=np.inf) for x in at]
    row = np.array([w for w, _, _ in found], np.intp)
    return Peaks(row, at, np.array([p for *_, p in found], np.float32), np.array(ahead)), at


def beats(then: list[tuple[float, float]], noise: float = LOUD, seconds: int = 40) -> list[float]:
    """Which samples are called beats from second 20 on."""
    state = Table(**FIELDS)
    row = state.open()
    found, at = peaks([(int(x // FS_HZ), x, p) for x, p in [*BEGUN, *then]])
    doubt = np.where(np.arange(seconds) < 10, QUIET, noise)
    kept = choose(state, np.full(seconds, row, np.intp), doubt, found, at)
    return [x / FS_HZ for x in at[kept] if x >= 20 * FS_HZ]


def at_seconds(*places: float, confidence: float = FAINT) -> list[tuple[float, float]]:
    return [(place * FS_HZ, confidence) for place in places]


def test_in_noise_a_weak_peak_in_its_place_is_a_beat():
    assert beats(at_seconds(20.5, 21.5, 22.5)) == [20.5, 21.5, 22.5]


def test_in_a_clean_signal_it_is_none():
    assert beats(at_seconds(20.5, 21.5), noise=QUIET) == []


def test_too_early_after_a_beat_it_is_none_but_a_sure_one_is():
    assert beats(at_seconds(20.1)) == []
    assert beats(at_seconds(20.1, confidence=SURE)) == [20.1]


def test_too_near_before_a_sure_beat_that_is_in_sight_it_is_none():
    assert beats([*at_seconds(20.4), *at_seconds(20.8, confidence=SURE)]) == [20.8]


def test_weak_peaks_do_not_carry_on_without_a_sure_one():
    late = beats(at_seconds(*np.arange(20.5, 39.5)))
    assert late == list(np.arange(20.5, 19.5 + SILENT / FS_HZ + 0.1))


def test_nothing_is_found_where_there_is_no_peak():
    assert beats([]) == []


def test_an_unknown_rhythm_has_no_weak_beats():
    state = Table(**FIELDS)
    rows = np.full(12, state.open(), np.intp)
    found, at = peaks(
        [(0, 60.0, SURE), *((second, (second + 0.5) * FS_HZ, FAINT) for second in range(1, 12))]
    )
    assert choose(state, rows, np.full(12, 10 * LOUD), found, at).tolist() == [0]


def test_missed_beats_in_noise_do_not_stretch_the_usual_interval():
    state = Table(**FIELDS)
    row = state.open()
    sure = [*BEGUN, *at_seconds(*np.arange(20.5, 60, 2), confidence=SURE)]
    found, at = peaks([(int(x // FS_HZ), x, p) for x, p in sure])
    choose(state, np.full(60, row, np.intp), np.where(np.arange(60) < 10, QUIET, LOUD), found, at)
    assert usual(state, row) == FS_HZ


def test_the_usual_interval_follows_the_heart_rate():
    state = Table(**FIELDS)
    row = state.open()
    found, at = peaks([(int(x // FS_HZ), x, SURE) for x in np.arange(100, 60 * FS_HZ, 60)])
    choose(state, np.full(60, row, np.intp), np.full(60, QUIET), found, at)
    assert usual(state, row) == 60


@pytest.mark.parametrize("cut", [1, 7, 23])
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_rows_cuts_and_restarts_change_nothing(cut, seed):
    """Three patients together, second by second or in parts, with a restart between parts, choose
    what each alone does in one go."""
    rng = np.random.default_rng(seed)
    seconds, patients = 40, 3
    streams = []
    for _ in range(patients):
        at = np.cumsum(rng.uniform(20, 120, 60))
        at = at[at < seconds * FS_HZ]
        confidence = rng.choice([0.15, 0.3, 0.5, 0.97], len(at)).astype(np.float32)
        streams.append(
            (
                at,
                confidence,
                rng.choice([30.0, 100.0, np.inf], len(at)),
                rng.uniform(0, 4 * NOISY, seconds),
            )
        )

    def part(
        state: Table, rows: list[int], members: list[int], first: int, last: int
    ) -> list[tuple[int, float]]:
        windows = [(patient, second) for second in range(first, last) for patient in members]
        row, place, sure, ahead, doubt, who = [], [], [], [], [], []
        for i, (patient, second) in enumerate(windows):
            at, confidence, clear, undecided = streams[patient]
            inside = np.flatnonzero(at // FS_HZ == second)
            row += [i] * len(inside)
            who += [patient] * len(inside)
            place += at[inside].tolist()
            sure += confidence[inside].tolist()
            ahead += clear[inside].tolist()
            doubt.append(undecided[second])
        found = Peaks(
            np.array(row, np.intp), np.array(place), np.array(sure, np.float32), np.array(ahead)
        )
        kept = choose(
            state,
            np.array([rows[members.index(p)] for p, _ in windows], np.intp),
            np.array(doubt),
            found,
            np.array(place),
        )
        return [(who[i], place[i]) for i in kept]

    alone: list[tuple[int, float]] = []
    for patient in range(patients):
        state = Table(**FIELDS)
        alone += part(state, [state.open()], [patient], 0, seconds)
    together: list[tuple[int, float]] = []
    state = Table(**FIELDS)
    rows = [state.open() for _ in range(patients)]
    for first in range(0, seconds, cut):
        together += part(state, rows, list(range(patients)), first, min(first + cut, seconds))
        kept = [msgspec.msgpack.decode(msgspec.msgpack.encode(state.snapshot(row))) for row in rows]
        state = Table(**FIELDS)
        rows = [state.open() for _ in range(patients)][::-1]
        for row, plain in zip(rows, kept, strict=True):
            state.restore(row, plain)
    assert sorted(alone) == sorted(together)
    assert len(alone) > 30
