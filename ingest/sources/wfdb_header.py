"""WFDB header files (header(5) of the WFDB applications guide): what a record's .hea says, in whatever state people leave it.

Read leniently in everything that no sample depends on: encoding, dates, times, the name in the record line, checksums. Nothing is guessed
about gains, formats and rates.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from ingest.errors import BadInputError

DEFAULT_FS_HZ = 250.0
DEFAULT_GAIN = 200.0  # what no gain, or a gain of 0, means
NOT_RECORDED = "~"
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_FORMAT = re.compile(
    r"^(?P<file>.+?)\s+(?P<fmt>\d+)(?:x(?P<per_frame>\d+))?(?::(?P<skew>\d+))?(?:\+(?P<offset>\d+))?(?:\s+(?P<rest>.*))?$"
)
_GAIN = re.compile(rf"^(?P<gain>{_NUMBER})(?:\((?P<baseline>[-+]?\d+)\))?(?:/(?P<unit>\S+))?$")
_RATE = re.compile(rf"^({_NUMBER})(?:/.*)?$")


class SignalLine(NamedTuple):
    """One signal of a single-segment record."""

    file: str  # NOT_RECORDED: there is none
    fmt: str
    per_frame: int = 1  # samples
    skew: int = 0  # frames by which the signal is stored late
    offset: int = 0  # bytes before the first sample (samples, in FLAC)
    gain: float = DEFAULT_GAIN  # counts per `unit`
    baseline: int = 0  # count of 0
    unit: str = "mV"
    first_value: int = 0  # what format 8 begins from
    name: str = ""


class Segment(NamedTuple):
    """One segment of a multi-segment record."""

    name: str  # NOT_RECORDED: a gap
    frames: int


class Header(NamedTuple):
    """A record: either it has signals or segments."""

    path: Path  # of the .hea file
    fs_hz: float  # frames per second
    frames: int | None  # None: the header does not say
    signals: tuple[SignalLine, ...] = ()
    segments: tuple[Segment, ...] = ()


def read_header(path: Path) -> Header:
    """The header in the file. Raises BadInputError naming the line that cannot be read."""
    try:
        text = _decoded(path.read_bytes())
    except (
        OSError,
        ValueError,
    ) as error:  # ValueError: a header that names a file with a zero byte
        raise BadInputError(
            f"{path}: cannot be read ({error})", "Check the path and its permissions."
        ) from error
    lines = [(i, line.strip()) for i, line in enumerate(text.splitlines(), 1)]
    lines = [(i, line) for i, line in lines if line and not line.startswith("#")]
    if not lines:
        raise BadInputError(
            f"{path}: is empty: it has no record line", "Copy or download the record again."
        )
    n_segments, n_signals, fs_hz, frames = _record_line(path, *lines[0])
    n = n_segments if n_segments is not None else n_signals
    if len(lines) - 1 < n:
        what = "segment" if n_segments is not None else "signal"
        problem = (
            f"{path}: its record line promises {n} {what}s; it has {len(lines) - 1} {what} lines"
        )
        raise BadInputError(problem, "Copy or download the header again, it is incomplete.")
    if n_segments is not None:
        return Header(
            path,
            fs_hz,
            frames,
            segments=tuple(_segment_line(path, *line) for line in lines[1 : n + 1]),
        )
    return Header(
        path,
        fs_hz,
        frames,
        signals=tuple(
            _signal_line(path, *line, index) for index, line in enumerate(lines[1 : n + 1])
        ),
    )


def _decoded(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # an old µ, and what else is in comments


def _record_line(path: Path, number: int, line: str) -> tuple[int | None, int, float, int | None]:
    """(segments, signals, frames per second, frames). The name may hold blanks and need not be the file's."""
    own = re.match(re.escape(path.stem) + r"(?=[\s/])", line)
    name, rest = (
        (own[0], line[own.end() :])
        if own
        else line.split(maxsplit=1)
        if len(line.split()) > 1
        else (line, "")
    )
    segments: int | None = None
    if not own and "/" in name and (tail := name.rpartition("/")[2]).isdecimal():
        segments = int(tail)
    if own and (found := re.match(r"/(\d+)(?=\s)", rest)):
        segments, rest = int(found[1]), rest[found.end() :]
    fields = rest.split()
    rate = _RATE.match(fields[1]) if len(fields) > 1 else None
    if not fields or not fields[0].isdecimal() or (len(fields) > 1 and rate is None):
        problem = f"{path}, line {number}: {line[:60]!r} is no record line"
        raise BadInputError(
            problem, "It should read: NAME SIGNALS FREQUENCY SAMPLES, for example 100 2 360 650000."
        )
    frames = int(fields[2]) if len(fields) > 2 and fields[2].isdecimal() else 0
    return segments, int(fields[0]), float(rate[1]) if rate else DEFAULT_FS_HZ, frames or None


def _signal_line(path: Path, number: int, line: str, index: int) -> SignalLine:
    found = _FORMAT.match(line)
    if found is None:
        raise _bad_signal(path, number, line)
    fields = (found["rest"] or "").split(maxsplit=6)
    gain = _GAIN.match(fields[0]) if fields else None
    if fields and gain is None:
        raise _bad_signal(path, number, line)
    zero, first_value = (_integer(fields, i) for i in (2, 3))
    return SignalLine(
        file=found["file"],
        fmt=found["fmt"],
        per_frame=int(found["per_frame"] or 1) or 1,
        skew=int(found["skew"] or 0),
        offset=int(found["offset"] or 0),
        gain=(float(gain["gain"]) if gain else 0.0) or DEFAULT_GAIN,
        baseline=int(gain["baseline"]) if gain and gain["baseline"] else zero,
        unit=(gain["unit"] if gain else None) or "mV",
        first_value=first_value,
        name=fields[6].strip() if len(fields) > 6 else f"signal {index}",
    )


def _segment_line(path: Path, number: int, line: str) -> Segment:
    name, _, frames = line.rpartition(" ") if " " in line else line.rpartition("\t")
    if not name or not frames.isdecimal():
        raise BadInputError(
            f"{path}, line {number}: {line[:60]!r} is no segment line",
            "It should read: NAME SAMPLES.",
        )
    return Segment(name.strip(), int(frames))


def _integer(fields: list[str], index: int) -> int:
    try:
        return int(fields[index]) if len(fields) > index else 0
    except ValueError:
        return 0


def _bad_signal(path: Path, number: int, line: str) -> BadInputError:
    problem = f"{path}, line {number}: {line[:60]!r} is no signal line"
    return BadInputError(
        problem, "It should read: FILE FORMAT GAIN/UNIT BITS ZERO FIRST CHECKSUM BLOCK NAME."
    )
