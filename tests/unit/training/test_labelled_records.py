"""A folder of labelled records: what is read of it, and what is said where it cannot be used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from ecgwatch.__main__ import app
from ecgwatch.modelling import extra
from ingest.errors import BadInputError
from models.training.data.labelled import LEAST_RECORDS, load, read_labels
from tests.made_records import labelled


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return labelled(tmp_path_factory.mktemp("records") / "folder")


def test_records_are_conditioned_as_the_stream_is(folder: Path) -> None:
    said: list[str] = []
    recordings, classes = load(folder, 9, said.append)
    assert classes == ["fibrillation", "normal"]
    assert np.bincount(recordings.labels).tolist() == [LEAST_RECORDS, LEAST_RECORDS]
    assert {len(recordings.signal(i)) for i in range(len(recordings))} == {12 * 125}
    assert said == []


def test_what_cannot_be_read_is_left_out_and_said(tmp_path: Path) -> None:
    folder = labelled(tmp_path / "f", LEAST_RECORDS + 2)
    (folder / "f0.dat").write_bytes(b"")
    (folder / "f1.hea").unlink()
    (folder / "n0.hea").write_text("nonsense\n")
    said: list[str] = []
    recordings, _ = load(folder, 9, said.append)
    assert [line.split(" is left out: ")[0] for line in said] == ["f0", "f1", "n0"]
    assert len(recordings) == 2 * LEAST_RECORDS + 1
    with pytest.raises(BadInputError, match="class 'fibrillation' has 0 usable records"):
        load(folder, 13, said.append)
    assert "it has 12.0 s, the task needs 13 s" in said[-1]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "does not name the columns"),
        ("a,b\n1,2\n", "does not name the columns"),
        ("record,label\nx,\n", "line 2: a record or a label is missing"),
        ("record,label\nx\n", "line 2: a record or a label is missing"),
        ("record,label\nx,a\nx,b\n", "line 3: x has two labels"),
        ("record,label\nx," + "y" * 33, "line 2: the label"),
    ],
)
def test_labels_that_are_none(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(BadInputError, match=problem):
        read_labels(tmp_path / "labels.csv")


def test_labels_as_spreadsheets_write_them(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_bytes(
        "\ufeffrecord, label, who\r\nx, Größe, Ann\r\nx, Größe, Bo\r\n".encode()
    )
    assert read_labels(tmp_path / "labels.csv") == {"x": "Größe"}


def test_one_class_or_none_is_no_task(tmp_path: Path) -> None:
    for text, problem in (
        ("record,label\n", "no record"),
        ("record,label\nx,a\n", "one class only, 'a'"),
    ):
        (tmp_path / "labels.csv").write_text(text)
        with pytest.raises(BadInputError, match=problem):
            load(tmp_path, 9, lambda _: None)
    with pytest.raises(BadInputError, match=r"nowhere.labels\.csv"):
        load(tmp_path / "nowhere", 9, lambda _: None)


@pytest.mark.skipif(extra.is_installed(), reason="what is said where torch is not installed")
def test_without_torch_the_command_says_what_to_install(folder: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(
        app, ["models", "add-task", "flutter", str(folder), "--out", str(tmp_path / "out")]
    )
    assert isinstance(result.exception, BadInputError)
    assert "train" in result.exception.remedy
    assert not (tmp_path / "out").exists()
