"""`ecgwatch export`: stored events as the files of annotate, and as tables."""

from __future__ import annotations

import csv
from pathlib import Path

import msgspec
import pyarrow.parquet
import pytest
import wfdb

from ecgwatch.commands.records.export import ExportFormat, export
from ecgwatch.times import parse_time, show_time
from ecgwatch.writing.exporting import export_records, file_name
from ingest.errors import BadInputError, UnreachableError
from ingest.messages import Alarm, Beat, Rhythm, Vitals, sample_offset_ns
from stream_processor.sinks.sqlite import SqliteSink

FS_HZ = 360.0
T0 = 1_767_225_600_000_000_007  # 2026-01-01T00:00:00.000000007Z
PLACE = {"device_id": "replay", "lead": "MLII"}


def time_ns(sample: int, start: int = T0) -> int:
    return start + sample_offset_ns(sample, FS_HZ)


def beat(
    sample: int, label: str = "N", patient: str = "208", start: int = T0, lead: str = "MLII"
) -> Beat:
    return Beat(
        patient_id=patient,
        device_id="replay",
        lead=lead,
        fs_hz=FS_HZ,
        time_ns=time_ns(sample, start),
        sample=sample,
        rr_ms=None,
        label=label,
        confidence=0.75,
        label_probability=0.5,
    )


def rhythm(first: int, end: int, label: str, patient: str = "208", start: int = T0) -> Rhythm:
    return Rhythm(
        patient_id=patient,
        **PLACE,
        fs_hz=FS_HZ,
        start_ns=time_ns(first, start),
        end_ns=time_ns(end, start),
        start_sample=first,
        end_sample=end,
        label=label,
        probability=0.9,
    )


def alarm(onset: int, raised: int, kind: str = "pause", patient: str = "208") -> Alarm:
    return Alarm(
        patient_id=patient,
        **PLACE,
        fs_hz=FS_HZ,
        id=f"{patient}:{kind}:{time_ns(onset)}",
        kind=kind,
        priority="medium",
        step="onset",
        onset_ns=time_ns(onset),
        raised_ns=time_ns(raised),
        changed_ns=time_ns(raised),
        onset_sample=onset,
        raised_sample=raised,
        value=2.5,
        limit=2.0,
    )


def vitals(second: int, patient: str = "208") -> Vitals:
    return Vitals(
        patient_id=patient,
        **PLACE,
        time_ns=T0 + second * 10**9,
        hr_bpm=None,
        sdnn_ms=1.0,
        rmssd_ms=2.0,
        quality=1.0,
    )


RECORD = [
    rhythm(0, 3600, "N"),
    beat(77),
    beat(370, "V"),
    rhythm(3600, 9001, "AFIB"),
    beat(5000),
    alarm(370, 1200),
    vitals(1),
]


@pytest.fixture
def place(tmp_path: Path) -> str:
    sink = SqliteSink(tmp_path / "events.db")
    for event in [*RECORD, beat(10, patient="other")]:
        sink.add(event)
    sink.flush()
    sink.close()
    return f"sqlite:{tmp_path / 'events.db'}"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def annotations(path: Path) -> list[tuple[int, str, str]]:
    found = wfdb.rdann(str(path.with_suffix("")), "ecw")
    return list(zip(found.sample.tolist(), found.symbol, found.aux_note, strict=True))


def test_writes_the_files_of_annotate(place, tmp_path, capsys):
    out = tmp_path / "out"
    export(out=out, patient=["208"], sink=place)
    assert annotations(out / "208.ecw") == [
        (0, "+", "(N"),
        (77, "N", ""),
        (370, "V", ""),
        (3600, "+", "(AFIB"),
        (5000, "N", ""),
    ]
    assert [
        (row["onset_s"], row["raised_s"], row["end_s"]) for row in table(out / "alarms.csv")
    ] == [("1.027778", "3.333333", "")]
    assert [(row["start_s"], row["end_s"], row["label"]) for row in table(out / "rhythm.csv")] == [
        ("0", "10", "N"),
        ("10", "25.002778", "AFIB"),
    ]
    assert table(out / "record.csv") == [
        {
            "record": "208",
            "fs_hz": "360",
            "duration_s": "25.002778",
            "channel": "MLII",
            "beats": "3",
            "label": "A",
            "probability": "0.9",
            "error": "",
            "source": "",
        }
    ]
    assert (
        "208.ecw: from 2026-01-01T00:00:00.000Z, 3 beats, 2 rhythm episodes, 1 alarms"
        in capsys.readouterr().out
    )


def test_without_patients_everyone_is_exported(place, tmp_path):
    export(out=tmp_path / "out", sink=place)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "208.ecw",
        "alarms.csv",
        "journal.csv",
        "other.ecw",
        "record.csv",
        "rhythm.csv",
    ]


def test_a_period_counts_from_the_start_of_the_stream_all_the_same(place, tmp_path):
    export(
        out=tmp_path,
        patient=["208"],
        from_time="2026-01-01T00:00:11",
        to_time="2026-01-01T01:00:20+01:00",
        sink=place,
    )
    assert annotations(tmp_path / "208.ecw") == [(3600, "+", "(AFIB"), (5000, "N", "")]
    assert table(tmp_path / "alarms.csv") == []


def test_streams_of_one_patient_are_files_of_their_own(tmp_path):
    sink = SqliteSink(tmp_path / "events.db")
    later = T0 + 60 * 10**9 + 12_345
    for event in [
        beat(500, start=later),
        rhythm(0, 900, "N", start=later),
        beat(77),
        beat(500, "V", lead="V1", start=later),
    ]:
        sink.add(event)
    sink.flush()
    done = list(export_records(sink, ["208"], tmp_path))
    sink.close()
    assert [(d.path.name, d.beats, d.start_ns) for d in done] == [
        ("208.ecw", 1, T0),
        ("208-2.ecw", 1, later),
        ("208-3.ecw", 1, later),
    ]
    assert annotations(tmp_path / "208-3.ecw") == [(500, "V", "")]
    assert [row["channel"] for row in table(tmp_path / "record.csv")] == ["MLII", "MLII", "V1"]


@pytest.mark.parametrize("form", [ExportFormat.CSV, ExportFormat.PARQUET])
def test_tables_hold_every_field_of_every_event(place, tmp_path, form):
    export(out=tmp_path, patient=["208", "other"], form=form, sink=place)
    fields = [name for name in Beat.__struct_fields__ if name != "schema"]
    beats = [e for e in [*RECORD, beat(10, patient="other")] if isinstance(e, Beat)]
    if form is ExportFormat.PARQUET:
        found = pyarrow.parquet.read_table(tmp_path / "events_beat.parquet")
        assert found.column_names == fields
        assert [Beat(**row) for row in found.to_pylist()] == beats
        return
    assert [
        msgspec.convert({k: v or None for k, v in row.items()}, Beat, strict=False)
        for row in table(tmp_path / "events_beat.csv")
    ] == beats
    assert [row["hr_bpm"] for row in table(tmp_path / "events_vitals.csv")] == [""]
    assert [row["kind"] for row in table(tmp_path / "events_alarm.csv")] == ["pause"]


def test_an_unknown_patient_is_an_error_that_names_the_known(place, tmp_path):
    with pytest.raises(BadInputError, match=r"no events of '209' in sqlite:.*\n.*208, other"):
        export(out=tmp_path, patient=["208", "209"], sink=place)


def test_an_empty_store_is_an_error(tmp_path):
    SqliteSink(tmp_path / "empty.db").close()
    with pytest.raises(BadInputError, match="It is empty"):
        export(out=tmp_path, sink=f"sqlite:{tmp_path / 'empty.db'}")


def test_a_store_that_is_not_there_is_an_error_and_not_made(tmp_path):
    with pytest.raises(BadInputError, match=r"none\.db is not there"):
        export(out=tmp_path, sink=f"sqlite:{tmp_path / 'none.db'}")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_an_error(place, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot write into"):
        export(out=tmp_path / "file", sink=place)


def test_a_database_that_does_not_answer_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setenv("ECGWATCH_INFLUX_TOKEN", "t")
    with pytest.raises(UnreachableError, match="does not answer"):
        export(out=tmp_path, sink="influxdb:http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("record", "name"),
    [
        ("208", "208"),
        ("../etc/passwd", "%2E.%2Fetc%2Fpasswd"),
        ("a b-2", "a b-2"),
        ("%2F", "%252F"),
        ("Zoë", "Zo%C3%AB"),
    ],
)
def test_no_name_of_a_record_leaves_the_folder(record, name):
    assert file_name(record) == name


def test_times():
    assert (
        parse_time("--from", "2026-01-01")
        == parse_time("--from", "2026-01-01T02:00:00+02:00")
        == T0 - 7
    )
    assert show_time(T0) == "2026-01-01T00:00:00.000Z"
    for text in ("yesterday", "1969-01-01"):
        with pytest.raises(BadInputError, match=f"--to {text}"):
            parse_time("--to", text)
