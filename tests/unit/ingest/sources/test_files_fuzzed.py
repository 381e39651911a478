"""Files written at random come back; files damaged at random are read or refused with a remedy, never with a traceback."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import wfdb
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.bounds import stream_problems
from ingest.errors import EcgwatchError
from ingest.sources.base import Source
from ingest.sources.csv.source import CsvSource
from ingest.sources.edf_file import EdfSource
from ingest.sources.open import open_source
from tests.made_files import (
    MV,
    assert_reads,
    ecg_mv,
    edf_row,
    mv_of,
    write_edf,
    write_record,
    write_table,
)

some = settings(max_examples=30, deadline=None)
SECOND_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
MV_UNITS = {"mV": 1.0, "uV": 1e3, "µV": 1e3, "V": 1e-3}


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[str], np.ndarray, float, str]:
    """(header, lines, signal in mV, rate, encoding) of a text file in one of many layouts."""
    fs = draw(st.sampled_from([100, 128, 130, 250, 256, 360, 500, 512, 1000]))
    mv = ecg_mv(fs, 4)
    delimiter = draw(st.sampled_from([",", ";", "\t", " "]))
    comma = delimiter != "," and draw(st.booleans())
    unit, per_mv = draw(st.sampled_from(sorted(MV_UNITS.items())))
    time_unit, per_s = draw(st.sampled_from(sorted(SECOND_UNITS.items())))
    clock = delimiter != " " and draw(st.booleans())
    counted = draw(st.booleans())
    quoted = delimiter == "," and draw(st.booleans())
    begin = draw(st.sampled_from([0, 1, 1_700_000_000]))

    def row(i: int, v: float) -> str:
        at = i / fs
        time = f"10:00:{at:09.6f}" if clock else f"{(begin + at) * per_s:.{3 if per_s > 1 else 5}f}"
        fields = [str(i)] * counted + [time, f"{v * per_mv:.7f}", str(i % 7)]
        if comma:
            fields = [field.replace(".", ",") for field in fields]
        return delimiter.join(f'"{field}"' if quoted else field for field in fields)

    names = ["sample"] * counted + [f"time[{time_unit}]", f"ECG[{unit}]", "status"]
    header = draw(st.sampled_from([[], ["# by a recorder"], ["Recorder,X1", ""]]))
    return (
        [*header, delimiter.join(names)],
        [row(*r) for r in enumerate(mv)],
        mv,
        fs,
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])),
    )


@some
@given(table=tables(), end=st.sampled_from(["\n", "\r\n"]))
def test_any_layout_of_a_text_file_comes_back(tmp_path_factory, table, end):
    header, lines, mv, fs, encoding = table
    path = tmp_path_factory.getbasetemp() / "layout.txt"
    source = CsvSource(write_table(path, end.join(header), lines, end=end, encoding=encoding))
    assert source.lead.startswith("ECG")
    assert_reads(source, mv, fs)


@some
@given(
    samples=st.integers(50, 700),
    seconds=st.sampled_from([0.25, 0.5, 1, 2, 3.5]),
    width=st.sampled_from([2, 3]),
    before=st.integers(0, 2),
    holes=st.lists(st.sampled_from([0, 0, 0, 1, 2.5]), min_size=3, max_size=8),
    offset_mv=st.sampled_from([0.0, 30.0]),
)
def test_any_layout_of_an_edf_file_comes_back(
    tmp_path_factory, samples, seconds, width, before, holes, offset_mv
):
    fs = samples / seconds
    if not 100 <= fs <= 1000:
        return
    n = len(holes)
    mv = ecg_mv(fs, n * seconds)[: n * samples]
    full = 2 ** (8 * width - 1)
    ecg = edf_row(
        mv + offset_mv, samples=samples, physical=(-60_000, 60_000), digital=(-full, full - 1)
    )
    breath = ecg._replace(label="Resp", samples=7, numbers=np.zeros(7 * n, np.int64))
    onsets = np.cumsum([0, *(seconds + hole for hole in holes[1:])])
    kind = "EDF+D" if width == 2 else "BDF+D"
    rows = [breath] * before + [ecg]
    path = tmp_path_factory.getbasetemp() / "layout.edf"
    source = EdfSource(
        write_edf(path, rows, seconds=seconds, reserved=kind, onsets=onsets, width=width)
    )
    got = mv_of(source)
    assert len(got) == pytest.approx(onsets[-1] * fs + samples, abs=1)
    for part, onset in zip(mv.reshape(n, samples), onsets, strict=True):
        near = [
            a for a in (round(onset * fs) + i for i in (-1, 0, 1)) if 0 <= a <= len(got) - samples
        ]
        off = [np.abs(np.diff(got[a : a + samples]) - np.diff(part)).max() for a in near]
        assert min(off) < 0.008


def written(folder: Path) -> dict[str, tuple[str, int]]:
    """Files of every kind: what to damage, what to open then, and within how many of its first bytes."""
    mv = MV[:2000]
    write_record(folder, "r", mv * 200)
    wfdb.wrann("r", "atr", np.array([100, 300]), ["N", "V"], write_dir=str(folder))
    (folder / "m.hea").write_text("m/3 1 250 2500\nlay 0\nr 2000\n~ 500\n")
    (folder / "lay.hea").write_text("lay 1 250 0\n~ 0 200/mV 12 0 0 0 0 II\n")
    onsets = [0, 1, 2, 3, 4, 7, 8, 9]
    write_edf(
        folder / "e.edf",
        [edf_row(mv)],
        reserved="EDF+D",
        onsets=onsets,
        notes={2: "+2.5\x14V\x14\x00"},
    )
    write_edf(folder / "b.bdf", [edf_row(mv)], width=3)
    write_table(
        folder / "c.csv", "time [s],ecg [mV]", [f"{i / 250:.3f},{v}" for i, v in enumerate(mv)]
    )
    clock = [
        f"2026-01-01T10:00:{i / 250:06.3f}Z;{v:.3f};{i}".replace(".", ",") for i, v in enumerate(mv)
    ]
    write_table(folder / "k.txt", "stamp;EKG;b", clock)
    apple = "Name,T\nSample Rate,250 hertz\n\nLead,Lead I\nUnit,µV\n\n"
    write_table(folder / "a.csv", apple, [f"{v * 1000:.3f}" for v in mv])
    plux = '{"x": {"sensor": ["ECG"], "column": ["nSeq", "A1"], "sampling rate": 250, "device": "bitalino", "resolution": [4, 10]}}'
    counts = [f"{i % 16}\t{int(512 + v * 341)}" for i, v in enumerate(mv)]
    write_table(
        folder / "o.txt", f"# OpenSignals Text File Format\n# {plux}\n# EndOfHeader", counts
    )
    return {
        "r.hea": ("r", 80), "r.atr": ("r", 20), "m.hea": ("m", 60), "lay.hea": ("m", 60), "e.edf": ("e.edf", 1100),
        "b.bdf": ("b.bdf", 520), "c.csv": ("c.csv", 30_000), "k.txt": ("k.txt", 300), "a.csv": ("a.csv", 150), "o.txt": ("o.txt", 250),
    }  # fmt: skip


WORDS = [
    b"0", b"-1", b"9" * 20, b"1e308", b"nan", b"inf", b"\x00", b"\xff", b" ", b"\n", b",", b";", b"\t", b":", b"/", b"~", b'"', b"'",
    b"#", b"1e-9", b"+", b"\r", b".", b"EDF+D", b"99999999", b"NULL", b"II", b"mV", b"V",
]  # fmt: skip


def damaged(data: bytes, within: int, chance: random.Random) -> bytes:
    """The file with one to five bytes, words or stretches changed."""
    made = bytearray(data)
    for _ in range(chance.randint(1, 5)):
        at, word = chance.randrange(min(within, len(made)) + 1), chance.choice(WORDS)
        kind = chance.randrange(5)
        if kind == 0:
            made[at : at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            made[at:at] = word
        elif kind == 2:
            made[at : at + len(word)] = word
        elif kind == 3:
            del made[at : at + chance.randint(1, 30)]
        elif chance.random() < 0.2:
            del made[at:]
        else:
            made[at:at] = made[max(0, at - 20) : at]
    return bytes(made)


def check_usable(source: Source) -> None:
    """What is read can be streamed."""
    total = 0
    for block in source.blocks():
        assert block.counts.dtype == np.int16
        total += len(block.counts)
        if total > 2_000_000:  # a gap of a day
            break
    assert total
    assert not stream_problems(
        patient_id="p", device_id=source.device_id, lead=source.lead, fs_hz=source.fs_hz, counts_per_mv=source.counts_per_mv, start_ns=0
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(2))
def test_damaged_files_are_read_or_refused_with_a_remedy(tmp_path, seed):
    chance = random.Random(seed)
    files = written(tmp_path)
    whole = {name: (tmp_path / name).read_bytes() for name in files}
    for spec, _ in files.values():
        check_usable(open_source(str(tmp_path / spec), data=tmp_path))
    read, refused = 0, list[EcgwatchError]()
    for _ in range(75):
        name = chance.choice(sorted(files))
        spec, within = files[name]
        (tmp_path / name).write_bytes(damaged(whole[name], within, chance))
        try:
            check_usable(open_source(str(tmp_path / spec), data=tmp_path, notice=lambda text: None))
            read += 1
        except EcgwatchError as error:
            refused.append(error)
        finally:
            (tmp_path / name).write_bytes(whole[name])
    assert 0 < read < 75
    assert all(error.problem and error.remedy for error in refused)
