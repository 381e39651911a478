"""EDF, EDF+ and BDF files in the states in which people have them."""

from __future__ import annotations

import numpy as np
import pyedflib
import pytest

from ingest.errors import BadInputError
from ingest.sources.base import Annotation
from ingest.sources.edf_file import EdfSource
from tests.made_files import FS, MV, EdfRow, assert_reads, ecg_mv, edf_row, mv_of, write_edf

SECONDS = len(MV) // FS


def lead_off_s(source: EdfSource) -> list[tuple[float, float]]:
    at, found = 0, []
    for block in source.blocks():
        if block.lead_off:
            found.append((at / source.fs_hz, (at + len(block.counts)) / source.fs_hz))
        at += len(block.counts)
    return found


@pytest.mark.parametrize("unit", [b"uV", b"\xb5V", "µV".encode(), "μV".encode()])
def test_a_micro_sign_in_any_encoding(tmp_path, unit):
    assert_reads(EdfSource(write_edf(tmp_path / "e.edf", [edf_row(unit=unit)])))


def test_characters_and_units_of_other_channels_do_not_matter(tmp_path):
    warm = EdfRow("Temp\xe9", b"\xb0C", (0, 50), (-32768, 32767), 1, np.zeros(SECONDS, np.int64))
    assert_reads(EdfSource(write_edf(tmp_path / "e.edf", [warm, edf_row()])))


@pytest.mark.parametrize(
    "start",
    [
        ("00.00.00", "00.00.00"),
        ("01.01.20", "10.00.75"),
        ("01.01.20", "10:00:00"),
        ("1.1.20", "X"),
        ("", ""),
    ],
)
def test_dates_and_times_do_not_matter(tmp_path, start):
    assert_reads(EdfSource(write_edf(tmp_path / "e.edf", [edf_row()], start=start)))


@pytest.mark.parametrize(
    ("fs", "samples", "seconds"), [(500, 1000, 2), (128, 64, 0.5), (1000 / 7.68, 100, 0.768)]
)
def test_data_records_of_any_duration(tmp_path, fs, samples, seconds):
    mv = ecg_mv(fs)
    mv = mv[: len(mv) // samples * samples]
    breath = EdfRow("RESP", b"mV", (-5, 5), (-9, 9), 50, np.zeros(50 * len(mv), np.int64))
    path = write_edf(tmp_path / "e.edf", [breath, edf_row(mv, samples=samples)], seconds=seconds)
    assert_reads(EdfSource(path), mv, fs)


@pytest.mark.parametrize(
    ("physical", "digital"),
    [
        ((5000, -5000), (-32768, 32767)),
        ((-5000, 5000), (32767, -32768)),
        ((70_000, 80_000), (0, 65_535 // 2)),
    ],
)
def test_ranges_upside_down_and_off_centre(tmp_path, physical, digital):
    mv = MV + (75.0 if physical[0] > 10_000 else 0.0)
    path = write_edf(tmp_path / "e.edf", [edf_row(mv, physical=physical, digital=digital)])
    assert_reads(EdfSource(path), mv)


@pytest.mark.parametrize("offset_mv", [0.0, 75.5, -180.0])
def test_bdf_has_24_bits_and_any_offset(tmp_path, offset_mv):
    wide = (-8_388_608, 8_388_607)
    row = edf_row(MV + offset_mv, physical=(-262_144, 262_143), digital=wide)
    assert_reads(EdfSource(write_edf(tmp_path / "e.bdf", [row], width=3)), MV)


def test_annotations_and_continuous_files(tmp_path):
    notes = {2: "+2.5\x14V\x14\x00+2.5\x150.2\x14cough\x14\x00"}
    source = EdfSource(
        write_edf(
            tmp_path / "e.edf", [edf_row()], reserved="EDF+C", onsets=range(SECONDS), notes=notes
        )
    )
    assert_reads(source)
    found = [a for block in source.blocks() for a in block.annotations]
    assert found == [Annotation(625, '"', "cough"), Annotation(625, "V")]


def test_annotations_count_from_the_first_data_record(tmp_path):
    onsets = [i + 0.25 for i in range(SECONDS)]
    source = EdfSource(
        write_edf(
            tmp_path / "e.edf",
            [edf_row()],
            reserved="EDF+C",
            onsets=onsets,
            notes={0: "+2.25\x14N\x14\x00"},
        )
    )
    assert [a.sample for block in source.blocks() for a in block.annotations] == [500]


@pytest.mark.parametrize("hole_s", [0, 10, 7.5, 3601])
def test_the_hole_of_a_discontinuous_file_is_as_long_as_it_was(tmp_path, hole_s):
    onsets = [i + (hole_s if i >= 10 else 0) for i in range(SECONDS)]
    path = write_edf(tmp_path / "e.edf", [edf_row()], reserved="EDF+D", onsets=onsets)
    source = EdfSource(path)
    assert source.duration_s == SECONDS + hole_s
    got = mv_of(source)
    hole = np.s_[2500 : 2500 + round(hole_s * FS)]
    np.testing.assert_allclose(np.delete(got, hole), MV, atol=0.002)
    assert np.ptp(got[hole]) == 0 if hole_s else True
    off = lead_off_s(source)
    assert (sum(b - a for a, b in off) == pytest.approx(hole_s, abs=0.6)) if hole_s else off == []


@pytest.mark.parametrize("records", [-1, 0])
def test_a_file_that_was_never_closed_is_read_as_far_as_it_goes(tmp_path, records):
    path = write_edf(tmp_path / "e.edf", [edf_row()], records=records)
    path.write_bytes(path.read_bytes()[:-3])  # the last data record is not whole
    assert_reads(EdfSource(path), MV[:-FS])


def test_a_file_shorter_than_its_header_says_is_told_or_refused(tmp_path):
    path = write_edf(tmp_path / "e.edf", [edf_row()], records=SECONDS + 5)
    told: list[str] = []
    assert_reads(EdfSource(path, notice=told.append))
    assert f"promises {SECONDS + 5}" in told[0]
    assert f"holds {SECONDS}" in told[0]
    with pytest.raises(BadInputError, match="promises"):
        EdfSource(path)


def test_the_ecg_is_found_behind_an_eeg_and_a_flat_one(tmp_path):
    eeg = edf_row(np.cumsum(np.random.default_rng(1).normal(0, 0.02, len(MV))), "EEG C3-A2")
    flat = edf_row(np.zeros(len(MV)), "ECG 1")
    source = EdfSource(write_edf(tmp_path / "e.edf", [eeg, flat, edf_row(label="EKG 2")]))
    assert source.lead == "EKG 2"
    assert_reads(source)
    alone = write_edf(tmp_path / "eeg.edf", [eeg, eeg._replace(label="EEG C4-A1")])
    with pytest.raises(BadInputError, match=r"0 EEG C3-A2 \[uV\], 1 EEG C4-A1 \[uV\]"):
        EdfSource(alone)


@pytest.mark.parametrize("kind", [pyedflib.FILETYPE_EDFPLUS, pyedflib.FILETYPE_BDFPLUS])
def test_files_of_another_writer(tmp_path, kind):
    path = tmp_path / "e.edf"
    edf = pyedflib.EdfWriter(str(path), 1, file_type=kind)
    bits = 15 if kind == pyedflib.FILETYPE_EDFPLUS else 23
    head = {
        "label": "ECG",
        "dimension": "mV",
        "sample_frequency": FS,
        "physical_min": -5,
        "physical_max": 5,
    }
    edf.setSignalHeaders([{**head, "digital_min": -(2**bits), "digital_max": 2**bits - 1}])
    edf.writeSamples([MV])
    edf.writeAnnotation(2.0, -1, "V")
    edf.close()
    source = EdfSource(path)
    assert_reads(source)
    assert [a for block in source.blocks() for a in block.annotations] == [Annotation(500, "V")]


@pytest.mark.parametrize(
    ("at", "field", "said"),
    [
        (0, b"EDFEDFED", "cannot be read"),
        (252, b"none", "number of signals in its header is 'none'"),
        (252, b"-1  ", "number of signals"),
        (252, b"9   ", "ends within its header"),
        (236, b"many    ", "number of data records"),
        (244, b"0       ", "duration of its data records is 0 s"),
        (244, b"nan     ", "duration of a data record"),
        (256 + 16 + 80 + 8, b"5000    ", "runs from 5000 to 5000"),
        (256 + 16 + 80 + 8 + 8 + 8 + 8 + 8 + 80, b"lots    ", "samples per record of 'ECG'"),
    ],
)
def test_errors_name_the_field(tmp_path, at, field, said):
    path = write_edf(tmp_path / "e.edf", [edf_row(MV[: 4 * FS])])
    data = bytearray(path.read_bytes())
    data[at : at + len(field)] = field
    path.write_bytes(data[: 256 * 2 + 100] if field == b"9   " else data)
    with pytest.raises(BadInputError) as caught:
        EdfSource(path)
    assert said in caught.value.problem
    assert caught.value.remedy
