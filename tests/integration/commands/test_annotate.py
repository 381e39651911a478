"""ecgwatch annotate, as a user runs it."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.annotate import annotate, new_ward
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from ingest.sources.open import open_source
from tests.command_line import ecgwatch
from tests.made_files import MV, edf_row, write_edf, write_record, write_table

HEADERS = {
    "alarms.csv": "record,id,kind,priority,announced,onset_s,raised_s,end_s,value,limit",
    "rhythm.csv": "record,start_s,end_s,label,probability",
    "record.csv": "record,fs_hz,duration_s,channel,beats,label,probability,error,source",
}


def run(*arguments: str | Path, code: int = 0) -> str:
    return ecgwatch("annotate", *arguments, code=code)


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
    said = run(*(records / n for n in names), "--out", tmp_path, code=1)
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


@pytest.mark.slow
def test_several_at_a_time_give_the_same_files(records: Path, tmp_path: Path) -> None:
    names = [records / "normal", records / "short"]
    run(*names, "--out", tmp_path / "one")
    run(*names, "--out", tmp_path / "two", "--jobs", "2")
    written = {path.name: path.read_bytes() for path in (tmp_path / "one").iterdir()}
    assert written == {path.name: path.read_bytes() for path in (tmp_path / "two").iterdir()}


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


def test_files_that_people_have_give_their_beats_and_no_alarm(tmp_path: Path) -> None:
    """One ECG of 25 beats as recorders and exports leave it; those that say too little are told what to say."""
    numbered = list(enumerate(MV))
    lines = [f"{i / 250:.3f},{v}" for i, v in numbered]
    write_record(tmp_path, "micro", MV * 1000, signal="1/µV 16 0 0 0 0 II", encoding="latin-1")
    write_record(tmp_path, "short", MV * 200, record=f"short 1 250 {len(MV) + 9}")
    write_edf(tmp_path / "dates.edf", [edf_row()], start=("00.00.00", "10.00.75"))
    offset = [f"{i / 250:.3f},{75_561 + v * 1000:.1f}" for i, v in numbered]
    write_table(tmp_path / "offset.csv", "time_s,ecg_uV", offset)
    semicolon = [line.replace(",", ";").replace(".", ",") for line in lines]
    write_table(tmp_path / "comma.csv", "time [s];ecg [mV]", semicolon, encoding="utf-16")
    clock = [f"2026-01-01T23:59:{50 + i / 250:06.3f},-3.5,{v}" for i, v in numbered if i < 2500]
    clock += [f"2026-01-02T00:00:{i / 250 - 10:06.3f},-3.5,{v}" for i, v in numbered[2500:]]
    write_table(tmp_path / "clock.csv", "timestamp,EEG [mV],EKG [mV]", clock)
    write_table(tmp_path / "footer.csv", "time,ecg", [*lines, "End of recording"])
    write_table(
        tmp_path / "volts.csv", "time,ecg", [f"{i / 250:.3f},{v / 1000:.6f}" for i, v in numbered]
    )
    write_table(tmp_path / "count.csv", "sample,ecg", [f"{i},{v}" for i, v in numbered])
    read = ["micro", "short", "dates.edf", "offset.csv", "comma.csv", "clock.csv", "footer.csv"]
    out = tmp_path / "out"

    def annotated(*arguments: str | Path) -> str:
        """In this process: the networks are loaded once."""
        shown = CliRunner().invoke(app, ["annotate", *map(str, arguments), "--out", str(out)])
        return shown.output

    said = annotated(*(tmp_path / name for name in [*read, "volts.csv", "count.csv"]))
    table = {row["record"]: row for row in rows(out, "record.csv")}
    for name in read:
        row = table[Path(name).stem]
        assert (row["error"], float(row["duration_s"])) == ("", 20.0), name
        assert abs(int(row["beats"]) - 25) <= 1, name
    assert rows(out, "alarms.csv") == []
    assert "warning: short: its header promises 5009 samples, short.dat holds 5000" in said
    assert "warning: footer.csv, line 5002" in said
    for name, remedy in (("volts.csv", "--unit mV, uV or V"), ("count.csv", "--fs HZ")):
        assert remedy in said
        assert remedy in table[name]["error"]
    annotated(tmp_path / "volts.csv", "--unit", "V")
    annotated(tmp_path / "count.csv", "--fs", "250")
    table = {row["record"]: row for row in rows(out, "record.csv")}
    assert [abs(int(table[name]["beats"]) - 25) <= 1 for name in ("volts", "count")] == [True, True]


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
