"""WFDB records in the states in which people have them: the header is read leniently, the signal exactly."""

from __future__ import annotations

import numpy as np
import pytest
import wfdb

from ingest.errors import BadInputError
from ingest.sources.wfdb_record import WfdbSource
from tests.made_files import FS, MV, assert_reads, mv_of, write_record

N = len(MV)


@pytest.mark.parametrize(
    ("unit", "encoding"), [("uV", "ascii"), ("µV", "utf-8"), ("μV", "utf-8"), ("µV", "latin-1")]
)
def test_a_micro_sign_in_any_encoding_is_no_volt(tmp_path, unit, encoding):
    signal = f"1/{unit} 16 0 0 0 0 II"
    assert_reads(
        WfdbSource(write_record(tmp_path, "r", MV * 1000, signal=signal, encoding=encoding))
    )


@pytest.mark.parametrize(
    ("name", "record"),
    [
        ("nolen", "nolen 1 250"),
        ("zero", "zero 1 250 0"),
        ("norate", "norate 1"),
        ("ext", "ext.mat 1 250 {n}"),
        ("slash", "folder/slash 1 250 {n}"),
        ("renamed", "other 1 250 {n}"),
        ("a b", "a b 1 250 {n}"),
        ("v1.2", "v1.2 1 250 {n}"),
        ("date1", "date1 1 250 {n} 05-May-2020 09:49:17"),
        ("date2", "date2 1 250 {n} 10:00:00 01/01/199"),
        ("year", "year 1 250 {n} 2006"),
        ("counter", "counter 1 250/1000(5) {n}"),
        ("crlf", "# a comment\r\n\r\ncrlf 1 250 {n}\r\n\r"),
    ],
)
def test_odd_record_lines_change_nothing(tmp_path, name, record):
    assert_reads(
        WfdbSource(write_record(tmp_path, name, MV * 200, record=record.format(n=N))), atol=0.006
    )


def test_no_gain_is_two_hundred_and_no_name_a_number(tmp_path):
    source = WfdbSource(write_record(tmp_path, "r", MV * 200, signal=""))
    assert source.lead == "signal 0"
    assert_reads(source, atol=0.006)


def test_a_signal_file_that_the_header_names_with_somebody_elses_folder(tmp_path):
    assert_reads(
        WfdbSource(write_record(tmp_path, "r", MV * 200, file="/data/them/r.dat")), atol=0.006
    )


def test_a_channel_in_odd_units_beside_the_ecg(tmp_path):
    both = np.column_stack([MV * 200, MV]).ravel()
    flow = "r.dat 16 5948.85369237(1)/l/min 15 0 0 0 0 Flow"
    signal = f"200/mV 12 0 0 0 0 ECG\n{flow}"
    source = WfdbSource(write_record(tmp_path, "r", both, record=f"r 2 250 {N}", signal=signal))
    assert source.lead == "ECG"
    assert_reads(source, atol=0.006)


def test_a_file_shorter_than_its_header_says_is_told_or_refused(tmp_path):
    path = write_record(tmp_path, "r", MV * 200, record=f"r 1 250 {N + 1000}")
    told: list[str] = []
    assert_reads(WfdbSource(path, notice=told.append), atol=0.006)
    assert len(told) == 1
    assert str(N) in told[0]
    assert str(N + 1000) in told[0]
    with pytest.raises(BadInputError, match=rf"{N + 1000} samples, r\.dat holds {N}"):
        WfdbSource(path)


@pytest.mark.parametrize("damage", [b"", b"\x00", b"no annotations at all"])
def test_annotations_that_cannot_be_read_are_told_or_refused(tmp_path, damage):
    path = write_record(tmp_path, "r", MV * 200)
    (tmp_path / "r.atr").write_bytes(damage)
    told: list[str] = []
    blocks = list(WfdbSource(path, notice=told.append).blocks())
    assert sum(len(b.counts) for b in blocks) == N
    if told:
        with pytest.raises(BadInputError, match=r"r\.atr"):
            list(WfdbSource(path).blocks())


def test_the_gain_of_one_segment_is_not_used_for_another(tmp_path):
    layout = f"multi/3 1 250 {N + 500}\nlay 0\nseg1 500\nseg2 {N}\n"
    (tmp_path / "multi.hea").write_text(layout)
    (tmp_path / "lay.hea").write_text("lay 1 250 0\n~ 0 200/mV 12 0 0 0 0 II\n")
    write_record(tmp_path, "seg1", np.zeros(500), signal="1/mV 12 0 0 0 0 II")
    write_record(tmp_path, "seg2", MV * 1000, signal="1000/mV 12 0 0 0 0 II")
    assert_reads(WfdbSource(tmp_path / "multi"), np.concatenate([np.zeros(500), MV]))


def test_a_segment_that_was_not_copied_is_a_gap_and_told(tmp_path):
    (tmp_path / "multi.hea").write_text(f"multi/2 1 250 {N + 500}\nlost 500\nseg {N}\n")
    write_record(tmp_path, "seg", MV * 200)
    told: list[str] = []
    source = WfdbSource(tmp_path / "multi", notice=told.append)
    assert source.duration_s == N / FS + 2
    assert "lost" in told[0]
    np.testing.assert_allclose(mv_of(source)[500:], MV, atol=0.006)
    with pytest.raises(BadInputError, match=r"lost\.hea"):
        WfdbSource(tmp_path / "multi")


def test_a_lead_that_was_never_recorded_is_not_the_one_that_is_read(tmp_path):
    (tmp_path / "multi.hea").write_text(f"multi/3 2 250 {N}\nlay 0\nseg {N}\n~ 0\n")
    lines = "".join(f"~ 0 200/mV 12 0 0 0 0 {lead}\n" for lead in ("I", "II"))
    (tmp_path / "lay.hea").write_text(f"lay 2 250 0\n{lines}")
    write_record(tmp_path, "seg", MV * 200)
    assert WfdbSource(tmp_path / "multi").lead == "II"
    with pytest.raises(BadInputError, match="I was never recorded"):
        WfdbSource(tmp_path / "multi", "I")


def test_a_flat_lead_beside_a_live_one_is_not_the_one_that_is_read(tmp_path):
    both = np.column_stack([np.full(N, 7.0), MV * 200]).ravel()
    signal = "200/mV 12 0 0 0 0 I\nr.dat 16 200/mV 12 0 0 0 0 II"
    path = write_record(tmp_path, "r", both, record=f"r 2 250 {N}", signal=signal)
    assert WfdbSource(path).lead == "II"
    assert WfdbSource(path, "i").lead == "I"


def test_a_unit_that_a_person_says_counts_more_than_the_files(tmp_path):
    path = write_record(tmp_path, "r", MV * 1000, signal="1/mV 12 0 0 0 0 II")
    with pytest.raises(BadInputError, match="--unit"):
        WfdbSource(path)
    assert_reads(WfdbSource(path, unit="uV"))
    assert_reads(WfdbSource(path, unit="1000/mV"))


class TestAgainstThePackage:
    """Every format as the wfdb package writes it, read again by both."""

    FORMATS = ("80", "212", "16", "24", "32", "508", "516", "524")

    @pytest.mark.parametrize("fmt", FORMATS)
    @pytest.mark.parametrize("n", [3000, 3001, 3002])
    def test_two_signals(self, tmp_path, fmt, n):
        bits = {"80": 8, "212": 12, "508": 8}.get(fmt, 16)
        rng = np.random.default_rng(n)
        counts = rng.integers(-(2 ** (bits - 2)), 2 ** (bits - 2), (n, 2))
        wfdb.wrsamp(
            "r",
            fs=FS,
            units=["mV"] * 2,
            sig_name=["I", "II"],
            d_signal=counts,
            fmt=[fmt] * 2,
            adc_gain=[2.0 ** (bits - 2)] * 2,
            baseline=[0, 0],
            write_dir=str(tmp_path),
        )
        theirs = wfdb.rdrecord(str(tmp_path / "r"), physical=False).d_signal
        for i in range(2):
            source = WfdbSource(tmp_path / "r", i)
            got = np.rint(mv_of(source) * 2.0 ** (bits - 2))
            step = 2.0 ** (bits - 2) / source.counts_per_mv  # 1 for what int16 holds as it is
            np.testing.assert_array_equal(theirs[:, i], counts[:, i])
            np.testing.assert_allclose(got, counts[:, i], atol=0 if step == 1 else step / 2 + 1)
            rest = np.concatenate([b.counts for b in source.blocks(5.004)])
            np.testing.assert_array_equal(rest / source.counts_per_mv, mv_of(source)[1251:])

    @pytest.mark.parametrize("fmt", ["61", "160", "310", "311", "8"])
    def test_formats_that_the_package_does_not_write(self, tmp_path, fmt):
        """Packed here as signal(5) draws them."""
        n = 3000
        limit = {"8": 30, "310": 400, "311": 400}.get(fmt, 30_000)
        counts = np.round(np.sin(np.arange(n) / 15) * limit).astype(np.int64)
        unsigned = counts[: n // 3 * 3].reshape(-1, 3) & 0x3FF
        a, b, c = unsigned.T
        data = {
            "8": np.diff(counts, prepend=0).astype("i1"),
            "61": counts.astype(">i2"),
            "160": (counts + 32768).astype("<u2"),
            "310": np.column_stack([a << 1 | (c & 31) << 11, b << 1 | c >> 5 << 11]).astype("<u2"),
            "311": (a | b << 10 | c << 20).astype("<u4"),
        }[fmt]
        (tmp_path / "r.dat").write_bytes(data.tobytes())
        (tmp_path / "r.hea").write_text(f"r 1 250 {n}\nr.dat {fmt} {limit}/mV 16 0 0 0 0 II\n")
        source = WfdbSource(tmp_path / "r")
        assert source.duration_s == n / FS
        np.testing.assert_array_equal(np.rint(mv_of(source) * limit), counts)

    def test_skew_and_several_samples_per_frame_and_an_offset(self, tmp_path):
        n = 2000  # frames of one sample of RESP and two of ECG, which is stored three frames late
        ecg = np.arange(2 * n) % 1000
        late = np.concatenate([np.zeros(6, dtype=int), ecg])[: 2 * n]
        frames = np.column_stack([np.zeros(n, dtype=int), late.reshape(-1, 2)])
        (tmp_path / "r.dat").write_bytes(b"head" + frames.astype("<i2").tobytes())
        resp = "r.dat 16+4 1000/mV 16 0 0 0 0 RESP"
        (tmp_path / "r.hea").write_text(
            f"r 2 125 {n}\n{resp}\nr.dat 16x2:3+4 1000/mV 16 0 0 0 0 ECG\n"
        )
        source = WfdbSource(tmp_path / "r")
        assert source.fs_hz == FS
        np.testing.assert_array_equal(np.rint(mv_of(source) * 1000)[:-6], ecg[:-6])


@pytest.mark.parametrize(
    ("header", "said"),
    [
        ("", "is empty"),
        ("r 2 250 10\nr.dat 16 200/mV 12 0 0 0 0 II\n", "promises 2 signals; it has 1"),
        ("r one 250 10\n", "line 1: 'r one 250 10' is no record line"),
        ("r 1 fast 10\nr.dat 16\n", "line 1"),
        ("r 1 250 10\nr.dat\n", "line 2: 'r.dat' is no signal line"),
        ("r 1 250 10\nr.dat 16 much/mV\n", "line 2"),
        ("r 1 250 10\nr.dat 77 200/mV 12 0 0 0 0 II\n", "format 77"),
        ("r 1 250 10\nx.dat 16 200/mV 12 0 0 0 0 II\n", "x.dat, which is not there"),
        ("r 0 250 10\n", "has no signals"),
        ("r/2 1 250 10\ns 10\n", "promises 2 segments"),
        ("r/1 1 250 10\ns ten\n", "is no segment line"),
        ("r/1 1 250 10\ns 10\n", "s.hea"),
        ("r 1 1e999 10\nr.dat 16 200/mV 12 0 0 0 0 II\n", "sampling frequency is inf"),
        ("r 1 250 10\nr.dat 16 1e-9/mV 12 0 0 0 0 II\n", "gain is 1e-09"),
    ],
)
def test_errors_name_the_line_and_what_it_should_be(tmp_path, header, said):
    write_record(tmp_path, "r", MV * 200)
    (tmp_path / "r.hea").write_text(header)
    with pytest.raises(BadInputError) as caught:
        WfdbSource(tmp_path / "r")
    assert said in caught.value.problem
    assert caught.value.remedy
