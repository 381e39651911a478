"""ecgwatch evaluate, as a user runs it: simulated records in a folder; real ones where they are at
hand."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from wfdb.processing import compare_annotations

from ecgwatch.annotate import annotate
from ecgwatch.evaluating.judge import Judgement, judge
from ecgwatch.evaluating.task import EvaluationTask, SourceExcerpt, patient, tasks, ward_of
from ecgwatch.writing.files import write_events
from ingest.errors import BadInputError
from ingest.simulator.generate import write_wfdb
from ingest.simulator.scenario import load
from ingest.sources.wfdb_record import WfdbSource
from models.training.data.records import data_folder
from tests.command_line import ecgwatch

DATA = data_folder()


def needs(database: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(
        not (DATA / database).is_dir(), reason=f"no {database} in {DATA} (set ECG_DATA)"
    )


def run(*arguments: str | Path, code: int = 0) -> str:
    return ecgwatch("evaluate", *arguments, code=code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A calm patient (120 s) and one with an asystole (100 s), with the simulator's own
    annotations."""
    records = tmp_path_factory.mktemp("ward")
    write_wfdb(load("normal"), records, "normal", 120)
    write_wfdb(load("asystole"), records, "asystole", 100)
    return records


@pytest.fixture(scope="module")
def told(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict[str, Any], str]:
    """What the terminal, report.json and report.html say of the folder."""
    out = tmp_path_factory.mktemp("report")
    said = run(folder, "--from", "0", "--out", out)
    return said, json.loads((out / "report.json").read_text()), (out / "report.html").read_text()


@pytest.mark.slow
def test_several_at_a_time_give_the_same_report(
    folder: Path, told: tuple[str, dict[str, Any], str], tmp_path: Path
) -> None:
    run(folder, "--from", "0", "--out", tmp_path, "--jobs", "2")
    assert json.loads((tmp_path / "report.json").read_text())["tables"] == told[1]["tables"]


def table(report: dict[str, Any], title: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = next(
        t["rows"] for t in report["tables"] if t["title"].startswith(title)
    )
    return rows


def test_simulated_patients_are_judged(told: tuple[str, dict[str, Any], str]) -> None:
    said, report, _ = told
    (qrs,) = [row for row in table(report, "Beats") if row["beats"] == "QRS"]
    assert qrs["Se"] > 99
    assert qrs["+P"] > 99
    (asystole,) = [row for row in table(report, "Alarms") if row["alarm"] == "asystole"]
    assert (asystole["due"], asystole["found"], asystole["false"]) == (1, 1, 0)
    (delay,) = [
        row for row in table(report, "From onset") if row["high-priority condition"] == "asystole"
    ]
    assert 4 < delay["max"] < 10
    assert "2 records" in said
    assert "2 records" in report["heading"]


def test_the_report_says_who_judged(told: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = told
    assert [
        (r["record"], r["network"], r["trained_on_the_patient"]) for r in report["records"]
    ] == [("asystole", "shipped", False), ("normal", "shipped", False)]


def test_json_has_everything_that_adds_up(told: tuple[str, dict[str, Any], str]) -> None:
    _, report, _ = told
    (qrs,) = [row for row in table(report, "Beats") if row["beats"] == "QRS"]
    records = [r["beats"] for r in report["records"]]
    assert sum(r["qrs"]["tp"] + r["qrs"]["fn"] for r in records) == qrs["reference"]
    assert sum(len(r["missed_s"]) for r in records) == qrs["missed"]
    assert sum(sum(r["matrix"].values()) for r in records) == qrs["reference"] + qrs["false"]


def test_the_page_needs_nothing_else(told: tuple[str, dict[str, Any], str]) -> None:
    page = told[2]
    assert "<svg" in page
    assert not any(word in page for word in ("<script", "<link", "src=", "@import", "url("))


def test_one_record_by_name(folder: Path) -> None:
    said = run(folder, "--records", "normal", "--from", "0")
    assert "1 records" in said
    assert "asystole 1" not in said


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["/nowhere/at/all"], "no WFDB records with annotations"),
        (["FOLDER", "--annotator", "abc"], "no WFDB records with annotations"),
        (["FOLDER", "--records", "elsewhere"], "no annotated record 'elsewhere'"),
        (["FOLDER", "--from", "0", "--out", "FILE/below"], "cannot write to"),
    ],
)
def test_errors_name_the_input(
    folder: Path, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    (tmp_path / "file").touch()
    places = {"FOLDER": str(folder), "FILE/below": str(tmp_path / "file" / "below")}
    said = run(*(places.get(a, a) for a in arguments), code=1)
    assert problem in said
    assert "Traceback" not in said


def test_beats_alone_are_a_reference_too(folder: Path, tmp_path: Path) -> None:
    for ending in ("hea", "dat"):
        (tmp_path / f"normal.{ending}").write_bytes((folder / f"normal.{ending}").read_bytes())
    all_of_it = wfdb.rdann(str(folder / "normal"), "atr")
    beats = [i for i, symbol in enumerate(all_of_it.symbol) if symbol != "+"]
    wfdb.wrann(
        "normal",
        "atr",
        all_of_it.sample[beats],
        symbol=[all_of_it.symbol[i] for i in beats],
        write_dir=str(tmp_path),
    )
    said = run(tmp_path, "--from", "0", "--out", tmp_path / "out")
    assert "No rhythm is annotated: AF cannot be judged." in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["records"][0]["beats"]["qrs"]["tp"] == len(beats)
    assert report["records"][0]["af"] is None


def test_damaged_annotations_name_the_file(folder: Path, tmp_path: Path) -> None:
    for ending in ("hea", "dat"):
        (tmp_path / f"normal.{ending}").write_bytes((folder / f"normal.{ending}").read_bytes())
    (tmp_path / "normal.ref").write_bytes(b"\x01")
    (task,) = tasks(tmp_path, [], "ref", 0.0, folds=True)
    with pytest.raises(BadInputError, match=r"normal\.ref"):
        judge(task)


def test_a_record_that_cannot_be_read_does_not_stop_the_others(
    folder: Path, tmp_path: Path
) -> None:
    for path in folder.glob("normal.*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "broken.hea").write_text("broken 1 250 1000\nbroken.dat 16 200 12 0 0 0 0 I\n")
    (tmp_path / "broken.atr").write_bytes((folder / "normal.atr").read_bytes())
    said = run(tmp_path, "--from", "0", code=1)
    assert "error: broken: " in said
    assert "1 records" in said
    assert "QRS" in said


def test_a_source_that_ends_early(folder: Path) -> None:
    source = WfdbSource(folder / "normal")
    cut = SourceExcerpt(source, 0.0, 61.3)
    whole = np.concatenate([b.counts for b in source.blocks()])
    assert np.array_equal(
        np.concatenate([b.counts for b in cut.blocks()]), whole[: round(61.3 * source.fs_hz)]
    )
    assert np.array_equal(
        np.concatenate([b.counts for b in cut.blocks(60.0)]),
        whole[round(60 * source.fs_hz) : round(61.3 * source.fs_hz)],
    )
    assert cut.duration_s == 61.3


def test_patients_of_other_names() -> None:
    """NSTDB's records are of MITDB's patients, and 202 is 201."""
    assert [patient(*n) for n in (("nstdb", "118e_6"), ("mitdb", "202"), ("vfdb", "418"))] == [
        "mitdb/118",
        "mitdb/201",
        "vfdb/418",
    ]


def only(database: str, record: str, *, folds: bool = True) -> EvaluationTask:
    (task,) = tasks(DATA / database, [record], "atr", 300.0, folds=folds)
    return task


@pytest.fixture(scope="module")
def judged() -> Callable[[str], Judgement]:
    """Judges a record of MITDB, once for all tests."""
    return cache(lambda record: judge(only("mitdb", record)))


@needs("mitdb")
@pytest.mark.parametrize(
    "record", ["208", *(pytest.param(r, marks=pytest.mark.slow) for r in ("203", "207"))]
)
def test_wfdb_counts_the_same_beats_in_the_written_file(
    record: str, judged: Callable[[str], Judgement], tmp_path: Path
) -> None:
    """compare_annotations on NAME.ecw, from minute 5 on and outside flutter, gives the QRS counts
    of the report."""
    task, ours = only("mitdb", record), judged(record)
    assert ours.beats is not None
    found = annotate(WfdbSource(task.path), ward_of(task.fold))
    write_events(tmp_path, found.name, found.fs_hz, found.beats, found.rhythm)
    sides = []
    reference = wfdb.rdann(str(task.path), "atr")
    flutter = list(
        zip(
            *(reference.sample[[s == bracket for s in reference.symbol]] for bracket in "[]"),
            strict=True,
        )
    )
    for read, beats in (
        (reference, set("NLRBejnAaJSVErF/fQ?")),
        (wfdb.rdann(str(tmp_path / found.name), "ecw"), set("NSVFQ")),
    ):
        at = read.sample[[s in beats for s in read.symbol]]
        outside = np.array([not any(a <= x < z for a, z in flutter) for x in at])
        sides.append(at[(at >= 300 * found.fs_hz) & outside])
    theirs = compare_annotations(*sides, int(0.150 * found.fs_hz))
    assert (theirs.tp, theirs.fn, theirs.fp) == (
        ours.beats.beats.qrs.tp,
        ours.beats.beats.qrs.fn,
        ours.beats.beats.qrs.fp,
    )


@needs("mitdb")
def test_a_patient_is_judged_by_the_fold_that_left_him_out() -> None:
    folds = json.loads(
        (Path(__file__).parents[3] / "models/artifacts/ecgcl/folds/folds.json").read_text()
    )
    task = only("mitdb", "208")
    assert (task.fold, task.seen) == (str(folds["mitdb/208"]), False)
    shipped = only("mitdb", "208", folds=False)
    assert (shipped.fold, shipped.seen) == (None, True)


@needs("cinc2017")
def test_a_labelled_record_is_judged_by_the_network_that_never_saw_it() -> None:
    unseen = set(
        json.loads(
            (Path(__file__).parents[3] / "models/artifacts/ecgcl/folds/cinc2017.json").read_text()
        )
    )
    by_folds = tasks(DATA / "cinc2017", [], "", 0.0, folds=True)
    assert {t.name for t in by_folds} == unseen
    assert {(t.fold, t.seen) for t in by_folds} == {("cinc2017", False)}
    every = tasks(DATA / "cinc2017", [], "", 0.0, folds=False)
    assert {(t.fold, t.seen) for t in every} == {(None, True)}
    learned = next(t.name for t in every if t.name not in unseen)
    (asked,) = tasks(DATA / "cinc2017", [learned], "", 0.0, folds=True)
    assert (asked.fold, asked.seen) == (None, True), "the held-out network has seen it too"


@needs("mitdb")
def test_a_real_record_end_to_end(judged: Callable[[str], Judgement]) -> None:
    """Floors: 208 has VEB in thousands, and no rhythm that is lethal; two of its bigeminal
    stretches pass for VT with doubtful beats."""
    found = judged("208")
    assert found.beats is not None
    assert found.alarms is not None
    assert (found.beats.beats.qrs.f1 or 0) > 99.5
    assert (found.beats.beats.veb.se or 0) > 92
    assert (found.beats.beats.veb.ppv or 0) > 98
    assert (found.beats.rate.mean_bpm or math.inf) < 1
    assert not found.alarms.lethal
    assert sum(x.true is False for x in found.alarms.judged if x.alarm.priority == "high") <= 2


@needs("cinc2015")
def test_a_question_of_the_challenge_uses_nothing_after_5_minutes() -> None:
    task = only("cinc2015", "a109l")
    found = judge(task)
    assert task.question is not None
    assert found.duration_s == 300.0
    assert all(a.raised_s <= 300.0 for a in found.reported)
    assert found.answer is not None
    assert found.answer.ours is task.question.true
