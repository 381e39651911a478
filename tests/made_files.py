"""Files as recorders, exports and power cuts leave them, for tests: one made-up ECG in many forms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ingest.sources.base import Source

FS = 250
Signal = NDArray[np.float64]


def ecg_mv(fs: float = FS, seconds: float = 20.0, bpm: float = 75.0, seed: int = 1) -> Signal:
    """An ECG with R waves of 1 mV, in steps of 1 uV, shape (n,): Gaussians for P, Q, R, S and T."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(fs * seconds)) / fs
    signal = 0.005 * rng.standard_normal(len(t))
    for r in np.arange(0.5, seconds - 0.3, 60 / bpm):
        for at, mv, width in (
            (-0.17, 0.12, 0.025),
            (-0.03, -0.1, 0.01),
            (0, 1.0, 0.011),
            (0.03, -0.22, 0.01),
            (0.26, 0.3, 0.05),
        ):
            signal += mv * np.exp(-0.5 * ((t - r - at) / width) ** 2)
    return np.round(signal, 3)


MV = ecg_mv()


def mv_of(source: Source) -> Signal:
    """What is read, in mV, shape (n,)."""
    return np.concatenate([b.counts for b in source.blocks()]) / source.counts_per_mv


def assert_reads(source: Source, mv: Signal = MV, fs: float = FS, atol: float = 0.002) -> None:
    """The source gives the ECG: as many samples, the same waves, whatever the offset."""
    assert source.fs_hz == fs
    got = mv_of(source)
    assert len(got) == len(mv)
    np.testing.assert_allclose(got - np.median(got), mv - np.median(mv), atol=atol)


def write_record(
    folder: Path,
    name: str,
    counts: Signal,
    *,
    record: str = "",
    signal: str = "200/mV 12 0 0 0 0 II",
    encoding: str = "utf-8",
    file: str = "",
) -> Path:
    """A record of one signal in format 16: `record` is the record line, `signal` what follows the format. Returns its path."""
    (folder / f"{name}.dat").write_bytes(np.rint(counts).astype("<i2").tobytes())
    lines = f"{record or f'{name} 1 {FS} {len(counts)}'}\n{file or name + '.dat'} 16 {signal}\n"
    (folder / f"{name}.hea").write_bytes(lines.encode(encoding))
    return folder / name


class EdfRow(NamedTuple):
    """One signal of `write_edf`: `numbers` are digital."""

    label: str
    unit: bytes
    physical: tuple[float, float]
    digital: tuple[int, int]
    samples: int  # of a data record
    numbers: NDArray[np.int64]


def edf_row(
    mv: Signal = MV,
    label: str = "ECG",
    unit: bytes = b"uV",
    samples: int = FS,
    physical: tuple[float, float] = (-5000, 5000),
    digital: tuple[int, int] = (-32768, 32767),
) -> EdfRow:
    """A signal given in mV, written in uV."""
    (low, high), (a, b) = physical, digital
    numbers = np.rint((mv * 1000 - low) / (high - low) * (b - a) + a).astype(np.int64)
    return EdfRow(label, unit, physical, digital, samples, np.clip(numbers, min(a, b), max(a, b)))


def write_edf(
    path: Path,
    rows: Sequence[EdfRow],
    *,
    seconds: float = 1,
    start: tuple[str, str] = ("01.01.20", "10.00.00"),
    reserved: str = "",
    onsets: Iterable[float] | None = None,
    notes: dict[int, str] | None = None,
    records: int | None = None,
    width: int = 2,
) -> Path:
    """An EDF file by hand, so that any field can be wrong; width 3 is BDF. `onsets` of the data records make it an EDF+ file,
    `notes` are annotation lists by data record. `records` is what the header says."""

    def field(value: object, size: int) -> bytes:
        return (value if isinstance(value, bytes) else str(value).encode()).ljust(size)[:size]

    held = min(len(r.numbers) // r.samples for r in rows)
    labels = [r.label for r in rows] + ["EDF Annotations"] * (onsets is not None)
    columns: list[tuple[int, list[object]]] = [
        (16, list(labels)),
        (80, [""] * len(labels)),
        (8, [*(r.unit for r in rows), ""]),
        *((8, [*(r.physical[i] for r in rows), (-1, 1)[i]]) for i in (0, 1)),
        *((8, [*(r.digital[i] for r in rows), (-32768, 32767)[i]]) for i in (0, 1)),
        (80, [""] * len(labels)),
        (8, [*(r.samples for r in rows), 30]),
        (32, [""] * len(labels)),
    ]
    head = b"0       " if width == 2 else b"\xffBIOSEMI"
    head += field("X X X X", 80) + field("Startdate X X X X", 80)
    head += field(start[0], 8) + field(start[1], 8) + field(256 * (len(labels) + 1), 8)
    head += field(reserved, 44) + field(held if records is None else records, 8)
    head += field(seconds, 8) + field(len(labels), 4)
    head += b"".join(
        field(value, size) for size, values in columns for value in values[: len(labels)]
    )
    times = list(onsets) if onsets is not None else []
    body = b""
    for i in range(held):
        for row in rows:
            part = row.numbers[i * row.samples : (i + 1) * row.samples].astype("<i4")
            body += part.view("u1").reshape(-1, 4)[:, :width].tobytes()
        if times:
            lists = f"+{times[i]}\x14\x14\x00" + (notes or {}).get(i, "")
            body += lists.encode().ljust(30 * width, b"\x00")
    path.write_bytes(head + body)
    return path


def write_table(
    path: Path, head: str, rows: Iterable[str], *, end: str = "\n", encoding: str = "utf-8"
) -> Path:
    """A text file of header lines and rows."""
    text = "".join(line + end for line in ([head] if head else []) + list(rows))
    path.write_bytes(text.encode(encoding))
    return path
