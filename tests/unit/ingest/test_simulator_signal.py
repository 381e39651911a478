"""The simulator's contract: the same samples however they are taken, annotations where they say,
WFDB out and in."""

from itertools import islice
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st
from wfdb import processing

from ingest.errors import BadInputError
from ingest.simulator import generate
from ingest.simulator.generate import simulate, write_wfdb
from ingest.simulator.rhythms import LABELS
from ingest.simulator.scenario import Scenario, load, parse, shipped
from ingest.sources.base import Annotation, Block
from ingest.sources.simulated import SimulatedSource

BEATS = {"N", "V", "A", "/"}


def whole(blocks: list[Block]) -> tuple[np.ndarray, list[Annotation]]:
    return np.concatenate([b.counts for b in blocks]), [a for b in blocks for a in b.annotations]


def script(*rhythms: str, seconds: float = 8, **top: Any) -> Scenario:
    return parse(
        {"segments": [{"rhythm": r, "duration_s": seconds} for r in rhythms]} | top, "test.toml"
    )


@pytest.mark.parametrize("name", shipped())
def test_the_same_seed_gives_the_same_patient_and_another_seed_another(name: str) -> None:
    one, two, other = (
        whole(list(simulate(load(name), seed=seed, duration_s=70))) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(one[0], two[0])
    assert one[1] == two[1]
    assert not np.array_equal(one[0], other[0])


@pytest.mark.parametrize("piece_s", [0.004, 0.31, 60])
@pytest.mark.parametrize("name", ["vf", "noisy", "afib", "vt"])
def test_the_signal_does_not_depend_on_the_pieces_it_is_made_in(
    name: str, piece_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 8 if piece_s < 0.01 else 70
    expected = whole(list(simulate(load(name), duration_s=seconds)))
    monkeypatch.setattr(generate, "PIECE_S", piece_s)
    counts, annotations = whole(list(simulate(load(name), duration_s=seconds)))
    assert np.abs(counts - expected[0]).max() <= 1  # the order of a sum may move a rounding
    assert np.mean(counts != expected[0]) < 1e-4
    assert annotations == expected[1]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(sorted(LABELS)), min_size=1, max_size=5),
    st.floats(0.1, 6),
    st.sampled_from([100, 125, 250, 257.8125, 360, 1000]),
    st.integers(0, 2**32),
)
def test_any_script_gives_sorted_annotations_within_their_blocks(
    rhythms: list[str], seconds: float, fs_hz: float, seed: int
) -> None:
    scenario = script(*rhythms, seconds=seconds, fs_hz=fs_hz, seed=seed)
    blocks = list(simulate(scenario))
    counts, annotations = whole(blocks)
    assert len(counts) == round(scenario.script_s * fs_hz)
    assert annotations[0] == Annotation(0, "+", LABELS[rhythms[0]])
    assert [a.sample for a in annotations] == sorted(a.sample for a in annotations)
    start = 0
    for block in blocks:
        assert len(block.counts) > 0
        assert all(start <= a.sample < start + len(block.counts) for a in block.annotations)
        start += len(block.counts)
    beats = [a.sample for a in annotations if a.symbol in BEATS]
    assert np.all(np.diff(beats) >= 0.2 * fs_hz)


def test_a_looped_scenario_never_ends_and_is_made_only_as_far_as_it_is_read() -> None:
    scenario = load("vf")
    counts, annotations = whole(list(islice(simulate(scenario), 60)))
    rounds = len(counts) / 250 / scenario.script_s
    assert rounds >= 2
    assert [a.aux for a in annotations].count("(VF") == round(rounds)


@pytest.mark.parametrize("name", shipped())
def test_every_beat_lies_at_the_peak_of_its_qrs(name: str) -> None:
    scenario = load(name)
    quiet = scenario.model_copy(
        update={
            "noise": scenario.noise.model_copy(
                update=dict.fromkeys(("wander_mv", "muscle_mv", "mains_mv", "motion_per_minute"), 0)
            ),
            "segments": tuple(
                s.model_copy(update={"noise": type(s.noise)()}) for s in scenario.segments
            ),
        }
    )
    counts, annotations = whole(list(simulate(quiet, duration_s=min(scenario.script_s, 180))))
    reach = 8  # 32 ms
    beats = [a for a in annotations if a.symbol in BEATS and reach < a.sample < len(counts) - reach]
    assert len(beats) > 50
    off = [
        np.argmax(np.abs(counts[a.sample - reach : a.sample + reach + 1])) - reach for a in beats
    ]
    settling = {
        a.sample
        for a in beats
        if any(0 < a.sample - e.sample < 250 for e in annotations if e.aux == "(~")
    }
    assert max(abs(o) for a, o in zip(beats, off, strict=True) if a.sample not in settling) <= 2


@pytest.mark.parametrize(
    "name", ["normal", "bradycardia", "tachycardia", "afib", "pvcs", "svt", "noisy"]
)
def test_an_independent_detector_finds_the_beats_where_they_are_annotated(name: str) -> None:
    scenario = load(name)
    counts, annotations = whole(list(simulate(scenario, duration_s=60)))
    found = processing.xqrs_detect(counts / 200, fs=250, verbose=False)
    beats = np.array([a.sample for a in annotations if a.symbol in BEATS])[3:-1]
    missed = [b for b in beats if np.abs(found - b).min() > 0.05 * 250]
    assert len(missed) <= 0.04 * len(beats)  # XQRS misses the second beat of some couplets
    assert abs(
        len(found[(found > beats[0] - 20) & (found < beats[-1] + 20)]) - len(beats)
    ) <= 0.04 * len(beats)


def test_wfdb_record_holds_the_same_samples_and_annotations(tmp_path: Path) -> None:
    scenario = load("vf")
    path = write_wfdb(scenario, tmp_path / "deep", "patient1", 100)
    counts, annotations = whole(list(simulate(scenario, duration_s=100)))
    record = wfdb.rdrecord(str(path), physical=False)
    np.testing.assert_array_equal(record.d_signal[:, 0], counts)
    assert (record.fs, record.adc_gain, record.units, record.sig_name) == (
        250,
        [200],
        ["mV"],
        ["II"],
    )
    read = wfdb.rdann(str(path), "atr")
    got = [
        Annotation(int(s), y, a.rstrip("\0"))
        for s, y, a in zip(read.sample, read.symbol, read.aux_note, strict=True)
    ]
    assert got == annotations
    assert [a.aux for a in got if a.symbol == "+"] == ["(N", "(VT", "(VFL", "(VF", "(ASYS", "(N"]


def test_a_record_without_beats_can_be_written(tmp_path: Path) -> None:
    path = write_wfdb(script("asystole"), tmp_path, "still")
    assert wfdb.rdann(str(path), "atr").aux_note == ["(ASYS"]


def test_a_record_name_that_wfdb_does_not_allow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="ward 1/x"):
        write_wfdb(script("sinus"), tmp_path, "ward 1/x")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "use",
    [
        lambda s, d: simulate(s, duration_s=d),
        lambda s, d: SimulatedSource(s, duration_s=d).blocks(),
    ],
)
def test_more_than_an_unlooped_script_is_refused(use: Any) -> None:
    with pytest.raises(BadInputError, match="loop"):
        use(script("sinus", seconds=5), 6)


def test_source_starts_anywhere_with_the_same_samples() -> None:
    source = SimulatedSource(script("sinus", "lead_off", "sinus"))
    assert (source.name, source.fs_hz, source.counts_per_mv, source.lead, source.duration_s) == (
        "test",
        250,
        200,
        "II",
        24,
    )
    counts, annotations = whole(list(source.blocks()))
    for start_s in (0.0, 3.3, 8.0, 23.996):
        later, notes = whole(list(source.blocks(start_s)))
        first = round(start_s * 250)
        np.testing.assert_array_equal(later, counts[first:])
        assert notes == [a for a in annotations if a.sample >= first]
    assert SimulatedSource(load("normal")).duration_s is None


def test_lead_off_is_flat_flagged_and_nothing_else_is() -> None:
    blocks = list(simulate(script("sinus", "lead_off", "asystole")))
    flags = np.concatenate([np.full(len(b.counts), b.lead_off) for b in blocks])
    counts = np.concatenate([b.counts for b in blocks])
    np.testing.assert_array_equal(np.flatnonzero(flags), np.arange(2000, 4000))
    assert not counts[flags].any()
    quiet = counts[4600:].reshape(-1, 175)
    assert np.all(np.ptp(quiet, axis=1) >= 3)  # even an asystole is never a flat line


def test_half_an_hour_takes_less_than_two_seconds() -> None:
    start = process_time()
    samples = sum(len(block.counts) for block in simulate(load("ward-postop"), duration_s=1800))
    assert samples == 450_000
    assert process_time() - start < 2
