"""From what a user types to a source: what is there is found, and what cannot be read is named with its remedy."""

from __future__ import annotations

import os

import pytest

from ingest.errors import BadInputError, UnreachableError
from ingest.sources.open import open_source
from tests.made_files import MV, assert_reads, edf_row, write_edf, write_record, write_table

LINES = [f"{i / 250:.3f},{v}" for i, v in enumerate(MV)]


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("wfdb.io.download.PN_CONTENT_URL", "http://127.0.0.1:1/")


def refused(spec, tmp_path, **options) -> BadInputError:
    with pytest.raises(BadInputError) as caught:
        open_source(str(spec), data=tmp_path / "data", **options)
    assert caught.value.remedy
    return caught.value


@pytest.mark.parametrize("named", ["r", "r.hea", "r.dat", "r.atr"])
def test_a_record_by_any_of_its_files(tmp_path, named):
    write_record(tmp_path, "r", MV * 200)
    assert_reads(open_source(str(tmp_path / named), data=tmp_path), atol=0.006)


def test_a_dot_in_a_records_name_is_no_ending(tmp_path):
    write_record(tmp_path, "v1.2", MV * 200)
    assert_reads(open_source(str(tmp_path / "v1.2"), data=tmp_path), atol=0.006)


@pytest.mark.parametrize("name", ["x.csv", "x.CSV", "x.log", "x", "x.ecg"])
def test_text_by_its_content_whatever_its_name(tmp_path, name):
    write_table(tmp_path / name, "time,ecg", LINES)
    assert_reads(open_source(str(tmp_path / name), data=tmp_path))


@pytest.mark.parametrize("name", ["x.edf", "x.EDF", "x.rec", "x", "x.txt"])
def test_edf_by_its_content_whatever_its_name(tmp_path, name):
    write_edf(tmp_path / name, [edf_row()])
    assert_reads(open_source(str(tmp_path / name), data=tmp_path))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("h.ecg", b"ISHNE1.0" + bytes(600), "an ISHNE Holter file"),
        ("d.dcm", bytes(128) + b"DICM", "a DICOM file"),
        ("m.mat", b"MATLAB 5.0 MAT-file", "a MATLAB 5 file"),
        ("e.xml", b"<?xml version='1.0'?>", "an XML file"),
        ("s.xlsx", b"PK\x03\x04", "a ZIP archive or Excel sheet"),
        ("x.edf", b"<?xml version='1.0'?>", "an XML file"),
        ("x.csv", b"PK\x03\x04" + bytes(100), "a ZIP archive or Excel sheet"),
        ("x.bin", bytes(range(256)) * 8, "in no format that is read"),
        ("x.csv", b"", "is empty"),
        ("lonely.dat", bytes(100), "its header lonely.hea is not beside it"),
        ("broken.hea", b"", "is empty"),
    ],
)
def test_a_file_that_is_there_is_never_called_missing(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    error = refused(tmp_path / name, tmp_path)
    assert said in error.problem
    assert "no such" not in error.problem


def test_a_folder_is_told_what_is_in_it(tmp_path):
    write_record(tmp_path, "r1", MV)
    error = refused(tmp_path, tmp_path)
    assert "is a folder" in error.problem
    assert "r1" in error.remedy


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write_table(tmp_path / "x.csv", "", LINES)
    path.chmod(0)
    assert "cannot be read" in refused(path, tmp_path).problem


class TestTypos:
    @pytest.mark.parametrize("typed", ["walk.csf", "wakl.csv", "recrod"])
    def test_of_a_path_are_told_without_asking_anybody(self, tmp_path, typed):
        write_table(tmp_path / "walk.csv", "", LINES)
        write_record(tmp_path, "record", MV)
        error = refused(tmp_path / typed, tmp_path)
        assert "no such" in error.problem
        assert "Did you mean" in error.remedy

    def test_of_a_folder_of_ones_own_are_not_taken_for_a_database(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "holters").mkdir()
        write_record(tmp_path / "holters", "night1", MV)
        assert "night1" in refused("holters/nigth1", tmp_path).remedy
        assert "no folder" in refused("./nothing/here", tmp_path).problem

    def test_of_a_physionet_name_are_told_from_being_offline(self, tmp_path, offline):
        folder = tmp_path / "data/mitdb"
        folder.mkdir(parents=True)
        write_record(folder, "208", MV)
        with pytest.raises(UnreachableError) as caught:
            open_source("mitdb/2088", data=tmp_path / "data")
        assert "cannot be reached" in caught.value.problem
        assert "Did you mean mitdb/208?" in caught.value.remedy
        with pytest.raises(UnreachableError, match=r"Did you mean mitdb/100\?"):
            open_source("mitbd/100", data=tmp_path / "data")
        with pytest.raises(UnreachableError) as caught:
            open_source("mitdb/100", data=tmp_path / "other")
        assert "Did you mean" not in caught.value.remedy


def test_a_rate_is_for_files_that_do_not_tell(tmp_path):
    write_record(tmp_path, "r", MV * 200)
    assert (
        "its header says 250 Hz, --fs says 360"
        in refused(tmp_path / "r", tmp_path, fs_hz=360.0).problem
    )
    assert open_source(str(tmp_path / "r"), data=tmp_path, fs_hz=250.0).fs_hz == 250


@pytest.mark.parametrize("unit", ["mmHg", "furlong", "0/mV", "-3/mV"])
def test_a_unit_that_is_no_voltage(tmp_path, unit):
    path = write_table(tmp_path / "x.csv", "time,ecg", LINES)
    assert "no voltage" in refused(path, tmp_path, unit=unit).problem


def test_names_of_channels_are_made_fit_for_a_stream(tmp_path):
    path = write_table(tmp_path / "x.csv", "time,ecg" + "g" * 300, LINES)
    assert len(open_source(str(path), data=tmp_path).lead) == 128
    path = write_edf(tmp_path / "x.edf", [edf_row(label="E\x07CG")])
    assert open_source(str(path), data=tmp_path).lead == "E CG"
