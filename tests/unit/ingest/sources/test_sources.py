"""Sources: a signal written to a file comes back, in blocks, whatever the format."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pyedflib
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.errors import BadInputError
from ingest.sources.base import Annotation
from ingest.sources.blocks import blocks_of, spans
from ingest.sources.channels import choose
from ingest.sources.open import open_source
from ingest.sources.scale import power_of_two_gain

FS = 250
RDSAMP_HEADER = "'Elapsed time'\t'MLII'\n'seconds'\t'mV'\n"
RNG = np.random.default_rng(7)
ECG_MV = np.round(np.cumsum(RNG.normal(0, 0.02, 70 * FS)) % 2 - 1, 3)  # 70 s: more than one part


def signal(source, start_s=0.0):
    blocks = list(source.blocks(start_s))
    assert all(len(b.counts) and b.counts.dtype == np.int16 for b in blocks)
    return np.concatenate([b.counts for b in blocks]) if blocks else np.zeros(0, np.int16)


def lead_off_s(source):
    """The spans, in seconds, that are lead-off."""
    at, found = 0, []
    for block in source.blocks():
        end = at + len(block.counts)
        if block.lead_off:
            found.append((at / source.fs_hz, end / source.fs_hz))
        at = end
    return found


def write_wfdb(
    folder: Path,
    name="r1",
    *,
    lead="ECG",
    unit="mV",
    gain=1000.0,
    baseline=0,
    fmt="16",
    fs=FS,
    **signal,
):
    """`signal` is p_signal or d_signal, as wrsamp takes it."""
    one = {
        "units": [unit],
        "sig_name": [lead],
        "fmt": [fmt],
        "adc_gain": [gain],
        "baseline": [baseline],
    }
    wfdb.wrsamp(name, fs=fs, write_dir=str(folder), **one, **signal)
    return str(folder / name)


def opened(spec, tmp_path, **options):
    return open_source(str(spec), data=tmp_path / "data", **options)


class TestWfdb:
    @pytest.mark.parametrize(
        ("fmt", "gain", "baseline"),
        [("16", 1000.0, 0), ("212", 200.0, 1024), ("16", 500.0, -300), ("24", 1000.0, 0)],
    )
    def test_counts_and_gain_give_the_signal_back(self, tmp_path, fmt, gain, baseline):
        spec = write_wfdb(tmp_path, p_signal=ECG_MV[:, None], gain=gain, baseline=baseline, fmt=fmt)
        source = opened(spec, tmp_path)
        assert (source.name, source.fs_hz, source.lead, source.counts_per_mv) == (
            "r1",
            FS,
            "ECG",
            gain,
        )
        assert source.duration_s == 70
        np.testing.assert_allclose(signal(source) / source.counts_per_mv, ECG_MV, atol=0.51 / gain)
        assert lead_off_s(source) == []

    @pytest.mark.parametrize("unit", ["uV", "V", "mV", "NU"])
    def test_the_unit_of_the_header_counts(self, tmp_path, unit):
        factor = {"uV": 1e-3, "V": 1e3}.get(unit, 1.0)
        spec = write_wfdb(
            tmp_path, p_signal=ECG_MV[:, None] / factor, unit=unit, gain=1000.0 * factor
        )
        assert opened(spec, tmp_path).counts_per_mv == pytest.approx(1000)

    @settings(max_examples=25, deadline=None)
    @given(start=st.floats(0, 69.9))
    def test_reading_from_anywhere_gives_the_rest_of_the_same_signal(self, tmp_path_factory, start):
        folder = tmp_path_factory.getbasetemp()
        spec = folder / "whole"
        if not (folder / "whole.hea").exists():
            write_wfdb(folder, "whole", p_signal=ECG_MV[:, None])
        source = opened(spec, folder)
        np.testing.assert_array_equal(signal(source, start), signal(source)[round(start * FS) :])

    def test_annotations_come_with_the_blocks_that_hold_them(self, tmp_path):
        spec = write_wfdb(tmp_path, p_signal=ECG_MV[:, None])
        samples = np.array([0, 10, 249, 250, 15_000, 17_499])
        wfdb.wrann(
            "r1",
            "atr",
            samples,
            list("+NVNNN"),
            aux_note=["(AFIB", "", "", "", "", ""],
            write_dir=str(tmp_path),
            fs=FS,
        )
        at, found = 0, []
        for block in opened(spec, tmp_path).blocks():
            assert all(at <= a.sample < at + len(block.counts) for a in block.annotations)
            found += block.annotations
            at += len(block.counts)
        assert found[0] == Annotation(0, "+", "(AFIB")
        assert [a.sample for a in found] == samples.tolist()
        assert [a.sample for b in opened(spec, tmp_path).blocks(1.0) for a in b.annotations] == [
            250,
            15_000,
            17_499,
        ]

    def test_invalid_samples_hold_the_last_value_and_seconds_of_them_are_lead_off(self, tmp_path):
        counts = np.arange(10 * FS, dtype=np.int64)[:, None] % 100
        counts[3] = counts[4 * FS : 6 * FS] = -(2**15)  # one sample, two seconds
        source = opened(write_wfdb(tmp_path, d_signal=counts), tmp_path)
        got = signal(source)
        assert got[2] == got[3] == 2
        assert set(got[4 * FS : 6 * FS]) == {(4 * FS - 1) % 100}
        assert got[6 * FS] == (6 * FS) % 100
        assert lead_off_s(source) == [(4, 6)]

    def test_a_wide_format_is_scaled_only_where_sixteen_bits_cannot_hold_sixteen_millivolts(
        self, tmp_path
    ):
        fine = (ECG_MV * 100_000).astype(np.int64)[:, None]
        source = opened(write_wfdb(tmp_path, d_signal=fine, gain=100_000.0, fmt="24"), tmp_path)
        assert source.counts_per_mv == 100_000 / 64
        np.testing.assert_allclose(signal(source) / source.counts_per_mv, ECG_MV, atol=1e-3)

    @pytest.mark.parametrize(
        ("fmt", "offset_mv"), [("16", 200.0), ("24", 75.5), ("24", -40.0), ("32", -300.0)]
    )
    def test_an_electrode_offset_is_subtracted_where_int16_cannot_hold_it(
        self, tmp_path, fmt, offset_mv
    ):
        gain, baseline = (200.0, -20_000) if fmt == "16" else (8000.0, 0)
        counts = np.rint((ECG_MV + offset_mv) * gain + baseline).astype(np.int64)[:, None]
        source = opened(
            write_wfdb(tmp_path, d_signal=counts, gain=gain, baseline=baseline, fmt=fmt), tmp_path
        )
        got = signal(source) / source.counts_per_mv
        np.testing.assert_allclose(got - np.median(got), ECG_MV - np.median(ECG_MV), atol=0.011)
        assert lead_off_s(source) == []

    def test_what_no_offset_can_bring_within_reach_is_clipped_and_told_and_is_lead_off(
        self, tmp_path
    ):
        mv = ECG_MV.copy()
        mv[40 * FS : 40 * FS + 100] = 900.0  # of 70 s: too little to choose the scale by
        path = tmp_path / "x.csv"
        path.write_text("ecg [mV]\n" + "".join(f"{v}\n" for v in mv))
        told: list[str] = []
        source = opened(path, tmp_path, fs_hz=FS, notice=told.append)
        assert signal(source)[40 * FS] == 32_767
        assert told == ["x.csv: 100 samples were out of range and clipped, the first at 40.0 s"]
        mv[40 * FS : 42 * FS] = 900.0
        path.write_text("ecg [mV]\n" + "".join(f"{v}\n" for v in mv))
        assert lead_off_s(opened(path, tmp_path, fs_hz=FS)) == [(40, 42)]

    def test_a_signal_with_several_samples_per_frame_keeps_its_rate(self, tmp_path):
        ecg, resp = (ECG_MV * 1000).astype(np.int64), np.zeros(70 * FS // 10, dtype=np.int64)
        wfdb.wrsamp(
            "multi", fs=FS / 10, units=["mV", "mV"], sig_name=["RESP", "ECG"], e_d_signal=[resp, ecg], samps_per_frame=[1, 10],
            fmt=["16", "16"], adc_gain=[1000.0, 1000.0], baseline=[0, 0], write_dir=str(tmp_path),
        )  # fmt: skip
        source = opened(tmp_path / "multi", tmp_path)
        assert (source.fs_hz, source.lead) == (FS, "ECG")
        np.testing.assert_array_equal(signal(source), ecg)
        np.testing.assert_array_equal(signal(source, 1.012), ecg[253:])

    @pytest.mark.parametrize("layout", ["fixed", "variable"])
    def test_segments_follow_each_other_and_a_gap_is_lead_off(self, tmp_path, layout):
        write_wfdb(tmp_path, "a", p_signal=ECG_MV[: 20 * FS, None])
        write_wfdb(tmp_path, "b", p_signal=ECG_MV[20 * FS :, None])
        lines = [
            f"seg/{3 if layout == 'fixed' else 4} 1 {FS} {75 * FS}",
            f"a {20 * FS}",
            f"~ {5 * FS}",
            f"b {50 * FS}",
        ]
        if layout == "variable":
            (tmp_path / "seg_layout.hea").write_text(
                f"seg_layout 1 {FS} 0\n~ 0 1000(0)/mV 16 0 0 0 0 ECG\n"
            )
            lines.insert(1, "seg_layout 0")
        (tmp_path / "seg.hea").write_text("\n".join(lines) + "\n")
        source = opened(tmp_path / "seg", tmp_path)
        got = signal(source) / source.counts_per_mv
        assert lead_off_s(source) == [(20, 25)]
        np.testing.assert_allclose(np.delete(got, np.s_[20 * FS : 25 * FS]), ECG_MV, atol=0.001)

    def test_it_is_read_a_part_at_a_time(self, tmp_path):
        spec = write_wfdb(tmp_path, p_signal=ECG_MV[:, None])
        blocks = opened(spec, tmp_path).blocks()
        next(blocks)
        (tmp_path / "r1.dat").unlink()
        with pytest.raises(BadInputError, match="r1"):
            next(blocks)


class TestChannel:
    @pytest.mark.parametrize(
        ("names", "units", "wanted", "index"),
        [
            (["MLII", "V1"], ["mV", "mV"], None, 0),
            (["RESP", "ECG lead II"], ["NU", "mV"], None, 1),
            (["pleth", "x"], ["NU", "ecg"], None, 1),
            (["MLII", "V1"], ["mV", "mV"], "v1", 1),
            (["MLII", "V1"], ["mV", "mV"], "1", 1),
            (["I", "1"], ["mV", "mV"], "1", 1),
            (["MLII", "V1"], ["mV", "mV"], 1, 1),
        ],
    )
    def test_choice(self, names, units, wanted, index):
        assert choose(names, units, wanted, record="r") == index

    def test_an_unknown_channel_is_told_the_known_ones(self):
        with pytest.raises(
            BadInputError, match=r"r: has no channel 'V9'\nIts channels are: 0 MLII, 1 V1"
        ):
            choose(["MLII", "V1"], ["mV", "mV"], "V9", record="r")


class TestCsv:
    @pytest.mark.parametrize(
        ("header", "delimiter", "factor"),
        [
            ("", ",", 1.0),
            ("time,ecg\n", ",", 1.0),
            ("t;ecg_uV\n", ";", 1000.0),
            (RDSAMP_HEADER, "\t", 1.0),
            ("# by hand\n", " ", 1.0),
        ],
    )
    def test_time_and_value(self, tmp_path, header, delimiter, factor):
        path = tmp_path / "walk.csv"
        path.write_text(
            header
            + "".join(f"{i / FS:.3f}{delimiter}{v * factor:.3f}\n" for i, v in enumerate(ECG_MV))
        )
        source = opened(path, tmp_path)
        assert (source.name, source.fs_hz) == ("walk", FS)
        assert source.duration_s == pytest.approx(70)
        np.testing.assert_allclose(signal(source) / source.counts_per_mv, ECG_MV, atol=0.001)
        np.testing.assert_array_equal(signal(source, 61.5), signal(source)[round(61.5 * FS) :])

    @pytest.mark.parametrize(("unit", "per_s"), [("ms", 1e3), ("us", 1e6), ("ns", 1e9)])
    def test_times_in_other_units(self, tmp_path, unit, per_s):
        path = tmp_path / "x.csv"
        path.write_text(
            f"time [{unit}],ecg\n"
            + "".join(f"{round(i / FS * per_s)},{v}\n" for i, v in enumerate(ECG_MV))
        )
        assert opened(path, tmp_path).fs_hz == FS

    def test_values_alone_need_a_rate(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text("".join(f"{v}\n" for v in ECG_MV))
        with pytest.raises(BadInputError, match="--fs HZ"):
            opened(path, tmp_path)
        source = opened(path, tmp_path, fs_hz=FS)
        assert source.duration_s == 70
        np.testing.assert_allclose(signal(source) / 1000, ECG_MV, atol=0.001)

    def test_a_step_in_time_is_a_gap_and_an_empty_value_is_invalid(self, tmp_path):
        rows = [(i / FS, v) for i, v in enumerate(ECG_MV) if not 10 <= i / FS < 13]
        path = tmp_path / "x.csv"
        path.write_text("".join(f"{t:.3f},{'' if t == 2.0 else v}\n" for t, v in rows))
        source = opened(path, tmp_path)
        got = signal(source)
        assert len(got) == len(ECG_MV)
        assert got[500] == got[499]
        assert lead_off_s(source) == [(10, 13)]
        np.testing.assert_allclose(got[13 * FS :] / 1000, ECG_MV[13 * FS :], atol=0.001)

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("ecg\nnone\n", "no line of numbers"),
            (
                "".join(f"{i / FS},{v}\n" for i, v in enumerate(ECG_MV[:100]))
                + "0.5,oops\n0.6,1\n",
                "line 101",
            ),
            ("".join(f"{i / FS},{v * 1000}\n" for i, v in enumerate(ECG_MV)), "--unit"),
            ("".join(f"{i / 50},{v}\n" for i, v in enumerate(ECG_MV)), "50 Hz"),
            ("".join(f"{i / FS},{v}\n" for i, v in enumerate(ECG_MV)) + "0,0\n", "Sort the lines"),
            ("".join(f"{i / FS},0.1\n" for i in range(2500)) + "9e9,0\n", "more than a day"),
        ],
    )
    def test_errors_name_file_and_remedy(self, tmp_path, text, said):
        path = tmp_path / "bad.csv"
        path.write_text(text)
        with pytest.raises(BadInputError, match=rf"(?s)bad.*{said}"):
            signal(opened(path, tmp_path))


class TestEdf:
    def write(self, path, notes=(), unit="mV", ranges=(-5, 5)):
        edf = pyedflib.EdfWriter(str(path), 2, file_type=pyedflib.FILETYPE_EDFPLUS)
        common = {
            "dimension": unit,
            "physical_min": ranges[0],
            "physical_max": ranges[1],
            "digital_min": -32768,
            "digital_max": 32767,
        }
        edf.setSignalHeaders(
            [
                {"label": "Resp", "sample_frequency": FS, **common},
                {"label": "ECG II", "sample_frequency": FS, **common},
            ]
        )
        edf.writeSamples([np.zeros(len(ECG_MV)), ECG_MV * (1000 if unit == "uV" else 1)])
        for onset, text in notes:
            edf.writeAnnotation(onset, -1, text)
        edf.close()

    @pytest.mark.parametrize(
        ("unit", "ranges"),
        [("mV", (-5, 5)), ("uV", (-5000, 5000)), ("mV", (-2, 6)), ("mV", (5, -5))],
    )
    def test_round_trip(self, tmp_path, unit, ranges):
        self.write(tmp_path / "e.edf", unit=unit, ranges=ranges)
        source = opened(tmp_path / "e.edf", tmp_path)
        assert (source.name, source.fs_hz, source.lead, source.duration_s) == (
            "e",
            FS,
            "ECG II",
            70,
        )
        np.testing.assert_allclose(signal(source) / source.counts_per_mv, ECG_MV, atol=0.001)
        np.testing.assert_array_equal(signal(source, 30.004), signal(source)[7501:])

    def test_annotations(self, tmp_path):
        self.write(tmp_path / "e.edf", notes=[(2.0, "V"), (4.5, "patient coughs")])
        found = [a for b in opened(tmp_path / "e.edf", tmp_path).blocks() for a in b.annotations]
        assert found == [Annotation(500, "V"), Annotation(1125, '"', "patient coughs")]

    def test_not_an_edf(self, tmp_path):
        (tmp_path / "e.edf").write_text("no")
        with pytest.raises(BadInputError, match=r"e\.edf.*cannot be read"):
            opened(tmp_path / "e.edf", tmp_path)


class TestErrors:
    def test_no_such_record(self, tmp_path):
        with pytest.raises(BadInputError, match=r"(?s)No-such: no such record.*PhysioNet name"):
            opened("No-such", tmp_path)

    @pytest.mark.parametrize("suffix", ["csv", "edf"])
    def test_no_such_file(self, tmp_path, suffix):
        with pytest.raises(BadInputError, match="no such file"):
            opened(tmp_path / f"none.{suffix}", tmp_path)

    @pytest.mark.parametrize("fs", [50, 2000])
    def test_a_rate_out_of_range(self, tmp_path, fs):
        with pytest.raises(
            BadInputError,
            match=rf"r1: the sampling frequency is {fs} Hz\nRecords of 100 to 1000 Hz",
        ):
            opened(write_wfdb(tmp_path, p_signal=ECG_MV[:, None], fs=fs), tmp_path)

    def test_a_channel_that_is_no_voltage(self, tmp_path):
        spec = write_wfdb(tmp_path, p_signal=ECG_MV[:, None], lead="ABP", unit="mmHg")
        with pytest.raises(BadInputError, match="mmHg"):
            opened(spec, tmp_path)

    def test_a_damaged_record(self, tmp_path):
        (tmp_path / "broken.hea").write_text("what is this")
        with pytest.raises(BadInputError, match=r"broken.*is no record line"):
            opened(tmp_path / "broken", tmp_path)


def test_a_record_of_the_data_folder_by_name(tmp_path):
    (tmp_path / "data/mydb").mkdir(parents=True)
    write_wfdb(tmp_path / "data/mydb", "x1", p_signal=ECG_MV[:, None])
    assert opened("mydb/x1", tmp_path).duration_s == 70


@given(reach=st.floats(0, 1e12))
def test_resolution_is_halved_no_more_than_it_must(reach):
    factor = power_of_two_gain(reach)
    assert reach * factor <= 2**15
    assert factor == 1 or reach * factor > 2**14


@settings(deadline=None)
@given(data=st.data(), n=st.integers(0, 400))
def test_blocks_do_not_depend_on_the_parts(data, n):
    """Invalid samples and lead-off are decided by the record, not by how it is read."""
    fs = 10.0
    values = np.array(
        data.draw(
            st.lists(st.sampled_from([1.0, 2.0, 3.0, np.nan, np.nan]), min_size=n, max_size=n)
        )
    )
    whole = list(blocks_of(iter([values]), 0, fs))
    cuts = sorted(data.draw(st.sets(st.integers(0, n // 10))))
    edges = [0, *(10 * c for c in cuts if 0 < 10 * c < n), n]
    parts = [values[a:b] for a, b in pairwise(edges)]
    split = list(blocks_of(iter(parts), 0, fs))
    for get in (lambda b: b.counts, lambda b: np.full(len(b.counts), b.lead_off)):
        np.testing.assert_array_equal(
            np.concatenate([np.zeros(0), *map(get, whole)]),
            np.concatenate([np.zeros(0), *map(get, split)]),
        )
    assert list(spans(n, 0, fs))[-1][1] == n if n else True
