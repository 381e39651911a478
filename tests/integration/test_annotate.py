"""ecgwatch annotate, as a user runs it."""

from __future__ import annotations

import csv
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import wfdb

from ecgwatch.annotate import annotate, new_ward
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from ingest.sources.open import open_source

HEADERS = {
    "alarms.csv": "record,id,kind,priority,announced,onset_s,raised_s,end_s,value,limit",
    "rhythm.csv": "record,start_s,end_s,label,probability",
    "record.csv": "record,fs_hz,duration_s,channel,beats,label,probability,error",
}


def run(*arguments: str | Path, code: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ecgwatch", "annotate", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / table).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def records(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """normal (60 s), asystole (100 s, alarms), short (9 s), flat (30 s without a beat), broken (a
    header without samples)."""
    folder = tmp_path_factory.mktemp("records")
    write_wfdb(load("normal"), folder, "normal", 60)
    write_wfdb(load("asystole"), folder, "asystole", 100)
    write_wfdb(load("normal"), folder, "short", 9)
    noise = np.random.default_rng(1).normal(0, 0.004, (30 * 360, 1))
    wfdb.wrsamp(
        "flat",
        fs=360,
        units=["mV"],
        sig_name=["ECG"],
        p_signal=noise,
        fmt=["16"],
        adc_gain=[1000],
        baseline=[0],
        write_dir=str(folder),
    )
    (folder / "broken.hea").write_text("broken 1 250 1000\nbroken.dat 16 200 12 0 0 0 0 I\n")
    return folder


def test_files_of_several_records_and_one_that_cannot_be_read(
    records: Path, tmp_path: Path
) -> None:
    names = ["normal", "asystole", "short", "flat", "broken"]
    said = run(*(records / n for n in names), "--out", tmp_path, "--jobs", "2", code=1)
    assert "error: broken: " in said
    for table, header in HEADERS.items():
        assert (tmp_path / table).read_text().splitlines()[0] == header
    table = {row["record"]: row for row in rows(tmp_path, "record.csv")}
    assert list(table) == names
    assert table["broken"]["error"]
    assert not (tmp_path / "broken.ecw").exists()
    assert [table[n]["error"] for n in names[:4]] == [""] * 4
    assert (float(table["short"]["duration_s"]), table["flat"]["beats"]) == (9.0, "0")
    assert {r["kind"] for r in rows(tmp_path, "alarms.csv") if r["record"] == "asystole"} >= {
        "asystole",
        "pause",
    }
    for name in names[:4]:
        found = wfdb.rdann(str(tmp_path / name), "ecw")
        assert found.symbol[0] == "+"
        assert found.sample[0] == 0
        assert list(found.sample) == sorted(found.sample)
        assert sum(s in "NSVFQ" for s in found.symbol) == int(table[name]["beats"])
        spans = [
            (float(r["start_s"]), float(r["end_s"]))
            for r in rows(tmp_path, "rhythm.csv")
            if r["record"] == name
        ]
        assert (spans[0][0], spans[-1][1]) == (0.0, float(table[name]["duration_s"]))
        assert all(a[1] == b[0] for a, b in pairwise(spans))


def test_beats_lie_on_the_reference(records: Path, tmp_path: Path) -> None:
    run(records / "normal", "--out", tmp_path)
    ours = wfdb.rdann(str(tmp_path / "normal"), "ecw")
    reference = wfdb.rdann(str(records / "normal"), "atr")
    at = [
        np.array([s for s, y in zip(a.sample, a.symbol, strict=True) if y == "N"])
        for a in (reference, ours)
    ]
    assert len(at[0]) == len(at[1])
    assert np.abs(at[0] - at[1]).max() <= 3  # samples at 250 Hz: 12 ms


def test_a_second_run_replaces_the_rows_of_its_records_only(records: Path, tmp_path: Path) -> None:
    run(records / "normal", records / "asystole", "--out", tmp_path)
    before = (tmp_path / "alarms.csv").read_text()
    run(records / "asystole", "--out", tmp_path)
    assert (tmp_path / "alarms.csv").read_text() == before
    assert sorted(r["record"] for r in rows(tmp_path, "record.csv")) == ["asystole", "normal"]


def test_no_alarm_leaves_a_table_with_its_header(records: Path, tmp_path: Path) -> None:
    run(records / "normal", "--out", tmp_path)
    assert (tmp_path / "alarms.csv").read_text().splitlines() == [HEADERS["alarms.csv"]]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["nowhere/at-all"], "at-all"),
        (["{records}/normal", "--channel", "V9"], "V9"),
        (["{records}/normal", "--channel", "7"], "7"),
    ],
)
def test_errors_name_the_input_and_the_remedy(
    records: Path, tmp_path: Path, arguments: list[str], named: str
) -> None:
    said = run(*(a.format(records=records) for a in arguments), "--out", tmp_path, code=1)
    assert named in said
    assert rows(tmp_path, "record.csv")[0]["error"]
    assert "Traceback" not in said


def test_gain_and_rate_do_not_matter(records: Path, tmp_path: Path) -> None:
    """Within reason: the same patient digitised at another rate and gain has the same beats."""
    whole = annotate(open_source(str(records / "normal"), data=tmp_path), new_ward())
    for fs, gain in ((128.0, 1000.0), (500.0, 50.0), (1000.0, 400.0)):
        write_wfdb(
            load("normal").model_copy(update={"fs_hz": fs, "counts_per_mv": gain}),
            tmp_path,
            f"at{fs:.0f}",
            60,
        )
        other = annotate(open_source(str(tmp_path / f"at{fs:.0f}"), data=tmp_path), new_ward())
        assert abs(len(other.beats) - len(whole.beats)) <= 1
        assert {b.label for b in other.beats} == {"N"}
