"""Text files in the states in which people have them: encodings, signs, headers, exports of recorders, power cuts."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from ingest.errors import BadInputError
from ingest.sources.csv.source import CsvSource
from tests.made_files import FS, MV, assert_reads, ecg_mv, write_table

TIMES = np.arange(len(MV)) / FS


def rows(form: str, mv: np.ndarray = MV, fs: float = FS) -> list[str]:
    """A line for each sample: `form` has {i} its number, {t} its time in seconds, {v} its value in mV."""
    return [form.format(i=i, t=i / fs, v=v) for i, v in enumerate(mv)]


def comma(lines: list[str]) -> list[str]:
    return [line.replace(".", ",") for line in lines]


class TestSigns:
    """Delimiters, decimal signs, quotes, encodings."""

    @pytest.mark.parametrize(
        ("head", "lines"),
        [
            ("time [s];ecg [mV]", comma(rows("{t:.3f};{v:.3f}"))),
            ("time [s]\tecg [mV]", comma(rows("{t:.3f}\t{v:.3f}"))),
            ("time [s]\tecg [mV]", comma(rows("{t:.3f}\t{v:.3f}\t"))),
            ("", comma(rows("{t:.3f} {v:.3f}"))),
            ("time,ecg", rows("{t:.3f},{v:.3f}")),
            ("time, ecg", rows("{t:.3f}, {v:.3f}")),
            ("time;ecg", rows("{t:.3f};{v:.3f}")),
            ("time,ecg,", rows("{t:.3f},{v:.3f},")),
            ('"time [s]","ecg [mV]"', rows('"{t:.3f}","{v:.3f}"')),
            ("'Elapsed time','MLII'\n'seconds','mV'", rows("{t:.3f},{v:.3f}")),
            ("% t x", rows("{t:.3f} {v:.3e}")),
            ("", rows("{t:.6e} {v:+.4f}")),
        ],
    )
    def test_time_and_value(self, tmp_path, head, lines):
        assert_reads(CsvSource(write_table(tmp_path / "x.csv", head, lines)))

    @pytest.mark.parametrize(
        "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]
    )
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_encodings_and_line_ends(self, tmp_path, encoding, end):
        path = tmp_path / "x.csv"
        write_table(
            path, "time [s],ecg [µV]", rows("{t:.3f},{v}", MV * 1000), end=end, encoding=encoding
        )
        source = CsvSource(path)
        assert source.lead == "ecg [µV]"
        assert_reads(source)

    def test_one_column_of_decimal_commas(self, tmp_path):
        path = write_table(tmp_path / "x.csv", "ecg [mV]", comma(rows("{v:.4f}")))
        with pytest.raises(BadInputError, match="sampling frequency is unknown"):
            CsvSource(path)
        assert_reads(CsvSource(path, fs_hz=FS))

    def test_two_columns_of_whole_numbers_are_two_columns(self, tmp_path):
        lines = [f"{round(i * 4)},{round(v * 1000)}" for i, v in enumerate(MV)]
        assert_reads(CsvSource(write_table(tmp_path / "x.csv", "time [ms],ecg [uV]", lines)))
        assert_reads(CsvSource(write_table(tmp_path / "y.csv", "", lines), unit="uV"))


class TestCounts:
    """A column that counts samples is no time, and no signal either."""

    @pytest.mark.parametrize(
        ("head", "form"),
        [
            ("sample,MLII", "{i},{v}"),
            (",ECG", "{i},{v}"),
            ("time,ECG", "{i},{v}"),
            ("", "{i},{v}"),
            ("index;ecg", "{i};{v}"),
            ("sample interval,ecg", "{i},{v}"),
        ],
    )
    def test_it_is_refused_without_a_rate_and_read_with_one(self, tmp_path, head, form):
        path = write_table(tmp_path / "x.csv", head, rows(form))
        with pytest.raises(BadInputError, match=r"(?s)sampling frequency is unknown.*--fs"):
            CsvSource(path)
        assert_reads(CsvSource(path, fs_hz=FS))

    def test_a_count_that_begins_again(self, tmp_path):
        lines = [f"{i % 256},{v}" for i, v in enumerate(MV)]
        assert_reads(CsvSource(write_table(tmp_path / "x.csv", "packet,value", lines), fs_hz=FS))

    def test_counts_of_milliseconds_are_times_if_they_say_so(self, tmp_path):
        mv = ecg_mv(1000, 5)
        path = write_table(tmp_path / "x.csv", "time [ms],ecg [mV]", rows("{i},{v}", mv))
        assert_reads(CsvSource(path), mv, 1000)

    def test_a_rate_that_contradicts_the_times(self, tmp_path):
        path = write_table(tmp_path / "x.csv", "time,ecg", rows("{t:.3f},{v}"))
        with pytest.raises(BadInputError, match="its times say 250 Hz, --fs says 360"):
            CsvSource(path, fs_hz=360)


class TestUnits:
    @pytest.mark.parametrize(
        ("factor", "said"), [(1e-3, "0.001"), (1e3, "cannot be mV"), (1e6, "cannot be mV")]
    )
    def test_what_cannot_be_millivolts_is_asked_about(self, tmp_path, factor, said):
        path = write_table(tmp_path / "x.csv", "time,ecg", rows("{t:.3f},{v:.7f}", MV * factor))
        with pytest.raises(BadInputError, match=rf"(?s)x\.csv.*{said}.*unit.*--unit mV, uV or V"):
            CsvSource(path)
        unit = {1e-3: "V", 1e3: "uV", 1e6: "nV"}[factor]
        assert_reads(CsvSource(path, unit=unit))

    def test_converter_counts_by_their_gain(self, tmp_path):
        path = write_table(tmp_path / "x.csv", "time,ecg", rows("{t:.3f},{v:.0f}", MV * 200 + 1024))
        with pytest.raises(BadInputError, match="200/mV"):
            CsvSource(path)
        assert_reads(CsvSource(path, unit="200/mV"), atol=0.006)

    @pytest.mark.parametrize("offset_mv", [75.561, -40.0, 187.5])
    def test_an_electrode_offset(self, tmp_path, offset_mv):
        values = (MV + offset_mv) * 1000
        path = write_table(tmp_path / "x.csv", "time_s,ecg_uV", rows("{t:.3f},{v:.2f}", values))
        assert_reads(CsvSource(path))

    def test_a_constant_is_not_asked_about(self, tmp_path):
        path = write_table(tmp_path / "x.csv", "time,ecg", rows("{t:.3f},0.7"))
        assert_reads(CsvSource(path), np.full(len(MV), 0.7))


class TestChannel:
    def test_ekg_stands_behind_eeg(self, tmp_path):
        lines = rows("{t:.3f},3.2,{v}", MV * 1000)
        path = write_table(tmp_path / "x.csv", "time [s],EEG C3 [uV],EKG [uV]", lines)
        assert CsvSource(path).lead == "EKG [uV]"
        assert_reads(CsvSource(path))

    def test_none_that_says_so_is_an_error_that_lists_them(self, tmp_path):
        lines = [f"{i / FS:.3f},{v},{v / 2}" for i, v in enumerate(MV)]
        path = write_table(tmp_path / "x.csv", "time,left,right", lines)
        with pytest.raises(BadInputError, match=r"0 left, 1 right"):
            CsvSource(path)
        assert_reads(CsvSource(path, channel="left"))
        assert_reads(CsvSource(path, channel="1"), MV / 2)
        with pytest.raises(BadInputError, match=r"no channel 'up'.*\n.*0 left, 1 right"):
            CsvSource(path, channel="up")


class TestExports:
    """What recorders write, by their own headers."""

    @pytest.mark.parametrize("sign", [".", ","])
    def test_apple_watch(self, tmp_path, sign):
        mv = ecg_mv(512, 10)
        head = [
            "Name,Test",
            'Date of Birth,"Jan 1, 1990"',
            "Recorded Date,2026-01-01 08:00:00 +0100",
            "Classification,Sinus Rhythm",
            "Software Version,1.90",
            'Device,"Watch6,7"',
            "Sample Rate,512 hertz" if sign == "." else "Abtastrate,512 Hertz",
            "",
            "",
            "Lead,Lead I" if sign == "." else "Ableitung,Ableitung I",
            "Unit,µV" if sign == "." else "Einheit,µV",
            "",
            "",
        ]
        lines = [f"{v * 1000:.3f}".replace(".", sign) for v in mv]
        source = CsvSource(write_table(tmp_path / "x.csv", "\n".join(head), lines))
        assert source.lead.endswith("I")
        assert_reads(source, mv, 512)

    @pytest.mark.parametrize(
        ("device", "bits", "per_mv"),
        [("bitalino_rev", 10, 1024 / 3), ("biosignalsplux", 16, 65536 / 3), ("", 16, 6000)],
    )
    def test_opensignals(self, tmp_path, device, bits, per_mv):
        mv = ecg_mv(1000, 5)
        about = {
            "sensor": ["EDA", "ECG"],
            "column": ["nSeq", "DI", "CH1", "CH2"],
            "sampling rate": 1000,
            "resolution": [4, 1, bits, bits],
            "channels": [1, 2],
            "label": ["CH1", "CH2"],
            "device": device,
        }
        head = (
            "# OpenSignals Text File Format\n# " + json.dumps({"00:07": about}) + "\n# EndOfHeader"
        )
        counts = np.rint(2 ** (bits - 1) + mv * per_mv).astype(int)
        lines = [f"{i % 16}\t1\t{v // 2}\t{v}\t" for i, v in enumerate(counts)]
        path = write_table(tmp_path / "x.txt", head, lines)
        if not device:
            with pytest.raises(BadInputError, match=r"(?s)CH2.*OpenSignals.*--unit"):
                CsvSource(path)
        source = CsvSource(path, unit=None if device else "6000/mV")
        assert source.lead == "CH2"
        assert_reads(source, mv, 1000, atol=1 / per_mv + 0.002)

    @pytest.mark.parametrize("named", [False, True])
    def test_openbci(self, tmp_path, named):
        head = [
            "%OpenBCI Raw EXG Data",
            "%Number of channels = 2",
            "%Sample Rate = 250 Hz",
            "%Other Columns = EEG data in microvolts",
        ]
        if named:
            head.append("Sample Index, EXG Channel 0, EXG Channel 1, Timestamp (Formatted)")
        clock = "12:{m:02d}:{s:06.3f}"
        lines = [
            f"{i % 256}, {75561.05 + v * 1000:.2f}, -187500.02, "
            + clock.format(m=59 + i // FS // 60, s=i / FS % 60)
            for i, v in enumerate(MV)
        ]
        source = CsvSource(write_table(tmp_path / "x.txt", "\n".join(head), lines))
        assert source.lead == "EXG Channel 0"
        assert_reads(source)

    def test_polar_sensor_logger(self, tmp_path):
        """The phone's time is one per packet of 73, the sensor's one per sample; both say so."""
        mv = ecg_mv(130, 20)
        head = "Phone timestamp;sensor timestamp [ns];timestamp [ms];ecg [uV]"
        lines = [
            f"2026-01-01T10:00:{i // 73 * 73 / 130:06.3f};{599_616_000_000_000_000 + round(i / 130 * 1e9)};"
            f"{i * 1000 / 130:.5f};{v * 1000:.0f}"
            for i, v in enumerate(mv)
        ]
        assert_reads(CsvSource(write_table(tmp_path / "x.txt", head, lines)), mv, 130)

    @pytest.mark.parametrize(
        "head",
        [
            '"sep=\t"\nS_Timestamp_Unix_CAL\tS_ECG_LL-RA_24BIT_CAL\tS_ECG_LA-RA_24BIT_CAL\t\nms\tmV\tmV\t',
            "Shimmer\tShimmer\tShimmer\t\nTimestamp\tECG LL-RA\tECG LA-RA\t\nCAL\tCAL\tCAL\t\nmSecs\tmVolts\tmVolts\t",
        ],
    )
    def test_shimmer(self, tmp_path, head):
        mv = ecg_mv(256, 10)
        lines = [f"{1.7e12 + i * 1000 / 256:.3f}\t{v:.5f}\t{v / 2:.5f}\t" for i, v in enumerate(mv)]
        source = CsvSource(write_table(tmp_path / "x.csv", head, lines))
        assert "LL-RA" in source.lead
        assert_reads(source, mv, 256)

    def test_biosppy_names_its_columns_in_a_note(self, tmp_path):
        head = (
            "# Simple Text Format\n# Sampling Rate (Hz):= 250.00\n# Labels:= EDA\tECG\n# Units:= mV"
        )
        lines = [f"7.0\t{v}" for v in MV]
        source = CsvSource(write_table(tmp_path / "x.txt", head, lines))
        assert source.lead == "ECG"
        assert_reads(source)
        alone = write_table(
            tmp_path / "y.txt", head.replace("EDA\t", "").replace("ECG", "EEG"), ["1.0"]
        )
        with pytest.raises(BadInputError, match="0 EEG"):
            CsvSource(alone)

    @pytest.mark.parametrize(
        ("head", "fs"),
        [
            ("# Sampling Rate (Hz):= 1000.00", 1000),
            ("Interval=\t0.004 s\nChannelTitle=\tECG\nUnitName=\tmV", 250),
            ("recording.acq\n2 msec/sample\n1 channels", 500),
            ("fs=128", 128),
            ("Sampling frequency: 0.5 kHz", 500),
        ],
    )
    def test_headers_that_say_a_rate(self, tmp_path, head, fs):
        mv = ecg_mv(fs, 5)
        assert_reads(CsvSource(write_table(tmp_path / "x.txt", head, rows("{v}", mv))), mv, fs)


class TestPowerLoss:
    HEAD = "time [s],ecg [mV]"
    LINES = rows("{t:.3f},{v:.4f}")

    def damaged(self, tmp_path, damage: Callable[[list[str]], list[str]], tail: bytes = b""):
        path = write_table(tmp_path / "x.csv", self.HEAD, damage(list(self.LINES)))
        path.write_bytes(path.read_bytes().rstrip(b"\n") + tail)
        told: list[str] = []
        return CsvSource(path, notice=told.append), told

    @pytest.mark.parametrize(
        ("damage", "tail", "left", "told"),
        [
            (lambda lines: [*lines[:-1], lines[-1][:4]], b"", -1, "line 5001"),
            (lambda lines: lines, b"\n" + bytes(512), 0, ""),
            (
                lambda lines: [*lines[:3000], TestPowerLoss.HEAD, *lines[3000:]],
                b"\n",
                0,
                "line 3002: the header again",
            ),
            (lambda lines: [*lines, "End of recording", ""], b"\n\n", 0, "line 5002"),
        ],
    )
    def test_what_is_no_line_of_values_is_left_out_and_told(
        self, tmp_path, damage, tail, left, told
    ):
        source, notices = self.damaged(tmp_path, damage, tail)
        assert_reads(source, MV[:left] if left else MV)
        assert source.duration_s == pytest.approx((len(MV) + left) / FS)
        assert ("".join(notices) == "") if not told else (told in notices[0])

    def test_an_unreadable_line_with_values_behind_it_is_an_error(self, tmp_path):
        source, _ = self.damaged(tmp_path, lambda lines: [*lines[:3000], "#!?", *lines[3000:]])
        with pytest.raises(BadInputError, match="line 3002"):
            list(source.blocks())

    @pytest.mark.parametrize("word", ["NULL", "", "nan", "NA", "-inf", "None", '""'])
    def test_words_for_no_value(self, tmp_path, word):
        def damage(lines):
            return [
                line if i % 50 else line.split(",")[0] + "," + word for i, line in enumerate(lines)
            ]

        held = MV.copy()
        held[50::50] = held[49:-1:50]
        held[0] = 0
        source, _ = self.damaged(tmp_path, damage)
        assert_reads(source, held)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "no line of numbers"),
        (b"a,b\nc,d\n", "no line of numbers"),
        (b"\n\n\n", "no line of numbers"),
        (b"1\n2\n3\n", "sampling frequency is unknown"),
        (b"time,ecg\n0.0,1\n", "sampling frequency is unknown"),
    ],
)
def test_files_without_a_signal(tmp_path, text, said):
    path = tmp_path / "x.csv"
    path.write_bytes(text)
    with pytest.raises(BadInputError, match=rf"(?s)x\.csv.*{said}"):
        CsvSource(path)
