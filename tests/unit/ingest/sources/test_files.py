"""The files of `annotate` and `export`, read back with wfdb and csv."""

from __future__ import annotations

import csv
import tempfile
from pathlib import Path

import pytest
import wfdb
from hypothesis import given
from hypothesis import strategies as st

from ecgwatch.writing.files import (
    AlarmEpisodeRow,
    JournalRow,
    RecordRow,
    RhythmRow,
    alarm_rows,
    rhythm_rows,
    write_csvs,
    write_ecw,
    write_events,
    write_journal,
)
from ingest.messages import Alarm, Beat, Rhythm

PLACE = {"patient_id": "p", "device_id": "d", "lead": "II", "fs_hz": 250.0}


def rhythm(start: int, end: int, label: str, probability: float = 1.0) -> Rhythm:
    return Rhythm(
        **PLACE,
        start_ns=start,
        end_ns=end,
        start_sample=start,
        end_sample=end,
        label=label,
        probability=probability,
    )


def alarm(**changes) -> Alarm:
    fields = {
        "id": "p:pause:4",
        "kind": "pause",
        "priority": "medium",
        "step": "onset",
        "onset_ns": 1,
        "raised_ns": 2,
        "changed_ns": 2,
    }
    return Alarm(
        **(
            PLACE
            | fields
            | {"onset_sample": 1, "raised_sample": 500, "value": 2.5, "limit": 2.0}
            | changes
        )
    )


def read(folder: Path, name: str = "r"):
    found = wfdb.rdann(str(folder / name), "ecw")
    return list(zip(found.sample.tolist(), found.symbol, found.aux_note, strict=True)), found.fs


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_wfdb_reads_what_we_write(tmp_path):
    write_ecw(
        tmp_path, "r", 360.0, [(77, "N"), (370, "V"), (1500, "S")], [(0, "(N"), (370, "(AFIB")]
    )
    expected = [(0, "+", "(N"), (77, "N", ""), (370, "+", "(AFIB"), (370, "V", ""), (1500, "S", "")]
    assert read(tmp_path) == (expected, 360)


@pytest.mark.parametrize("fs_hz", [128, 250, 360, 257.5, 999.123456])
def test_the_sampling_frequency_comes_back(tmp_path, fs_hz):
    write_ecw(tmp_path, "r", fs_hz, [], [(0, "(~")])
    assert read(tmp_path) == ([(0, "+", "(~")], fs_hz)


@pytest.mark.parametrize("gap", [1022, 1023, 1024, 65535, 65536, 86400 * 1000])
def test_long_gaps_up_to_a_day_at_1000_hz(tmp_path, gap):
    write_ecw(tmp_path, "r", 1000, [(5, "N"), (5 + gap, "V")], [])
    assert read(tmp_path)[0] == [(5, "N", ""), (5 + gap, "V", "")]


def test_a_file_without_anything_is_valid(tmp_path):
    write_ecw(tmp_path, "r", 250, [], [])
    assert read(tmp_path)[0] == []


@given(
    beats=st.lists(st.tuples(st.integers(0, 2**31 - 1), st.sampled_from("NSVFQ"))),
    changes=st.lists(
        st.tuples(st.integers(0, 2**31 - 1), st.sampled_from(["(N", "(AFIB", "(~", "(VFL"]))
    ),
)
def test_any_annotations_come_back_sorted(beats, changes):
    with tempfile.TemporaryDirectory() as folder:
        write_ecw(Path(folder), "r", 250, beats, changes)
        found, _ = read(Path(folder))
    assert [s for s, *_ in found] == sorted(s for s, *_ in found)
    assert sorted(found) == sorted(
        [(s, label, "") for s, label in beats] + [(s, "+", aux) for s, aux in changes]
    )


def test_events_give_one_annotation_for_each_change_of_rhythm(tmp_path):
    beat = Beat(
        **PLACE, time_ns=0, sample=300, rr_ms=None, label="V", confidence=1.0, label_probability=1.0
    )
    write_events(
        tmp_path,
        "r",
        250,
        [beat],
        [rhythm(250, 500, "N"), rhythm(0, 250, "N"), rhythm(500, 750, "~")],
    )
    assert read(tmp_path)[0] == [(0, "+", "(N"), (300, "V", ""), (500, "+", "(~")]


def test_rhythm_rows_join_neighbours_of_one_label():
    rows = rhythm_rows(
        "r",
        [
            rhythm(250, 500, "B", 0.5),
            rhythm(0, 250, "N"),
            rhythm(500, 1500, "B", 1.0),
            rhythm(1500, 1750, "AFIB"),
        ],
    )
    assert rows == [
        RhythmRow("r", 0, 1, "N", 1),
        RhythmRow("r", 1, 6, "B", 0.9),
        RhythmRow("r", 6, 7, "AFIB", 1),
    ]


def test_alarm_rows_count_in_seconds_of_the_record():
    late = alarm(
        id="p:pause:9", onset_sample=500, raised_sample=750, end_sample=1000, announced=False
    )
    assert alarm_rows("r", [late, alarm()]) == [
        AlarmEpisodeRow("r", "p:pause:4", "pause", "medium", True, 0.004, 2.0, None, 2.5, 2.0),
        AlarmEpisodeRow("r", "p:pause:9", "pause", "medium", False, 2.0, 3.0, 4.0, 2.5, 2.0),
    ]


def test_csv_files_are_there_also_without_rows(tmp_path):
    write_csvs(tmp_path / "new", [], [], [], [])
    assert (
        tmp_path / "new/alarms.csv"
    ).read_text() == "record,id,kind,priority,announced,onset_s,raised_s,end_s,value,limit\n"
    assert (tmp_path / "new/rhythm.csv").read_text() == "record,start_s,end_s,label,probability\n"
    assert (
        tmp_path / "new/record.csv"
    ).read_text() == "record,fs_hz,duration_s,channel,beats,label,probability,error,source\n"


@pytest.mark.parametrize("text", ["=1+1", "+49 30 1234", "-", "@SUM(A1)", "\tx"])
def test_no_wearers_text_is_a_formula_in_the_journal(tmp_path, text):
    """A second export, of other words, replaces the rows of the same record all the same."""
    for said in ("dizzy", text):
        row = JournalRow("-7", "2026-01-01T10:00:00Z", -0.5, "symptom", text, said, "N")
        write_journal(tmp_path, ["-7"], [row])
    with (tmp_path / "journal.csv").open(newline="") as file:
        (written,) = csv.DictReader(file)
    assert written["record"] == "'-7"
    assert written["by"] == written["text"] == f"'{text}"
    assert written["time_s"] == "-0.5"


def test_csv_rows_replace_those_of_the_same_records_and_no_others(tmp_path):
    write_csvs(
        tmp_path,
        ["a", "b"],
        alarm_rows("a", [alarm()]) + alarm_rows("b", [alarm()]),
        [],
        [RecordRow("a"), RecordRow("b", beats=3)],
    )
    write_csvs(
        tmp_path,
        ["a"],
        [],
        [RhythmRow("a", 0, 1 / 3, "N", 1.0)],
        [RecordRow("a", error="no signal, at all")],
    )
    assert [row["record"] for row in table(tmp_path / "alarms.csv")] == ["b"]
    assert [
        (row["record"], row["beats"], row["error"]) for row in table(tmp_path / "record.csv")
    ] == [("b", "3", ""), ("a", "", "no signal, at all")]
    assert table(tmp_path / "rhythm.csv") == [
        {"record": "a", "start_s": "0", "end_s": "0.333333", "label": "N", "probability": "1"}
    ]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["alarms.csv", "record.csv", "rhythm.csv"]


def test_csv_cells(tmp_path):
    write_csvs(
        tmp_path,
        ["r"],
        alarm_rows("r", [alarm(end_sample=None, value=None, announced=False)]),
        [],
        [],
    )
    row = table(tmp_path / "alarms.csv")[0]
    assert (
        row["announced"],
        row["onset_s"],
        row["raised_s"],
        row["end_s"],
        row["value"],
        row["limit"],
    ) == ("false", "0.004", "2", "", "", "2")
