"""Headers of EDF, EDF+, BDF and BDF+ files.

EDF: Kemp B, Värri A, Rosa AC, Nielsen KD, Gade J: A simple format for exchange of digitized polygraphic recordings. Electroenceph Clin
Neurophysiol 1992;82:391-393, DOI 10.1016/0013-4694(92)90009-7. EDF+: Kemp B, Olivan J: Clin Neurophysiol 2003;114:1755-1761,
DOI 10.1016/S1388-2457(03)00123-8. BDF is BioSemi's EDF with 24-bit samples.

Read leniently in everything that no sample depends on: patient, dates, times, characters beyond ASCII.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ingest.errors import BadInputError

BLOCK = 256  # bytes of the header before the signals, and for each signal
EDF_MAGIC, BDF_MAGIC = b"0       ", b"\xffBIOSEMI"
ANNOTATIONS = ("EDF Annotations", "BDF Annotations")
_LEADING_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_WIDTHS = (
    16,
    80,
    8,
    8,
    8,
    8,
    8,
    80,
    8,
    32,
)  # label, transducer, unit, physical min, max, digital min, max, filter, samples, reserved


class EdfSignal(NamedTuple):
    """One signal: `samples` values in each data record."""

    label: str
    unit: str
    physical: tuple[float, float]  # what the two of `digital` mean
    digital: tuple[int, int]
    samples: int
    at: int  # byte of a data record at which it begins


class EdfHeader(NamedTuple):
    """Positions and scales of a file's signals, from its header."""

    records: int  # whole data records in the file
    promised: int  # as its header says; -1: the recorder did not get that far
    seconds: float  # of a data record
    sample_bytes: int  # 2 or 3
    discontinuous: bool
    signals: tuple[EdfSignal, ...]

    @property
    def begin(self) -> int:
        """Byte at which the data records begin."""
        return BLOCK * (len(self.signals) + 1)

    @property
    def record_bytes(self) -> int:
        """Bytes of a data record."""
        return sum(s.samples for s in self.signals) * self.sample_bytes


def read_header(path: Path) -> EdfHeader:
    """The header of the file. Raises BadInputError naming the field that cannot be read."""
    try:
        with path.open("rb") as file:
            data = file.read(BLOCK)
            if data[:8] not in (EDF_MAGIC, BDF_MAGIC):
                problem = f"{path}: cannot be read: it begins with {data[:8]!r}, not as an EDF or BDF file does"
                raise BadInputError(
                    problem, "Copy or download it again; give other formats their own ending."
                )
            n = int(_number(path, "number of signals", data[252:256]))
            if not 0 < n <= 4096:
                raise _bad(path, "number of signals", data[252:256])
            data += file.read(BLOCK * n)
        size = path.stat().st_size
    except OSError as error:
        raise BadInputError(
            f"{path}: cannot be read ({error.strerror})", "Check the path and its permissions."
        ) from error
    if len(data) < BLOCK * (n + 1):
        raise BadInputError(
            f"{path}: it ends within its header",
            "Copy or download the file again, it is incomplete.",
        )
    return _header(path, data, n, size)


def _header(path: Path, data: bytes, n: int, size: int) -> EdfHeader:
    sample_bytes = 3 if data[:8] == BDF_MAGIC else 2
    promised = int(_number(path, "number of data records", data[236:244]))
    seconds = _number(path, "duration of a data record", data[244:252])
    signals = tuple(_signals(path, data, n, sample_bytes))
    record = sum(s.samples for s in signals) * sample_bytes
    held = max(size - BLOCK * (n + 1), 0) // record if record else 0
    records = min(promised, held) if promised > 0 else held
    return EdfHeader(
        records, promised, seconds, sample_bytes, data[192:197] in (b"EDF+D", b"BDF+D"), signals
    )


def _signals(path: Path, data: bytes, n: int, sample_bytes: int) -> Iterator[EdfSignal]:
    columns, at = [], BLOCK
    for width in _WIDTHS:
        columns.append([data[at + i * width : at + (i + 1) * width] for i in range(n)])
        at += n * width
    labels, _, units, lows, highs, digital_lows, digital_highs, _, samples, _ = columns
    begin = 0
    for i in range(n):
        label = text(labels[i])
        count = int(_number(path, f"samples per record of {label!r}", samples[i]))
        if count < 0:
            raise _bad(path, f"samples per record of {label!r}", samples[i])
        yield EdfSignal(
            label=label,
            unit=text(units[i]),
            physical=(
                _number(path, f"physical minimum of {label!r}", lows[i]),
                _number(path, f"physical maximum of {label!r}", highs[i]),
            ),
            digital=(
                int(_number(path, f"digital minimum of {label!r}", digital_lows[i])),
                int(_number(path, f"digital maximum of {label!r}", digital_highs[i])),
            ),
            samples=count,
            at=begin,
        )
        begin += count * sample_bytes


def text(field: bytes) -> str:
    """A header field as text; what is no UTF-8 is Latin-1, which old recorders write micro signs and degrees in."""
    field = field.split(b"\x00")[0]
    try:
        return field.decode("utf-8").strip()
    except UnicodeDecodeError:
        return field.decode("latin-1").strip()


def _number(path: Path, name: str, field: bytes) -> float:
    """A number, with a decimal point or comma, whatever stands behind it."""
    found = _LEADING_NUMBER.match(text(field).replace(",", "."))
    if found is None:
        raise _bad(path, name, field)
    return float(found[0])


def _bad(path: Path, name: str, field: bytes) -> BadInputError:
    problem = f"{path}: the {name} in its header is {text(field)!r}"
    return BadInputError(problem, "Export the recording again, or correct the header.")
