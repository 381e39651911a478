"""WFDB signal files (signal(5) of the WFDB applications guide): the samples of one signal of a file, in every format.

Also FLAC files (formats 508, 516 and 524), by the soundfile package, and MATLAB 4 files (format 16 with an offset of 24 bytes).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]  # shape (n,)

DIFFERENCES = "8"  # each sample is the difference to the one before: can only be read from its beginning, knows no invalid sample
FLAC = {"508": 8, "516": 16, "524": 24}  # bits of a sample
_PLAIN = {
    "8": "i1",
    "16": "<i2",
    "61": ">i2",
    "32": "<i4",
    "80": "u1",
    "160": "<u2",
}  # as numpy reads them
_ZERO = {"80": 128, "160": 32768}  # of the two unsigned ones
_PACKED = {
    "24": (1, 3),
    "212": (2, 3),
    "310": (3, 4),
    "311": (3, 4),
}  # so many samples in so many bytes
BITS = {
    "80": 8,
    "310": 10,
    "311": 10,
    "212": 12,
    "16": 16,
    "61": 16,
    "160": 16,
    "24": 24,
    "32": 32,
    "8": 32,
    **FLAC,
}


class SignalFile(NamedTuple):
    """Where one signal lies in a file."""

    path: Path
    fmt: str  # a key of BITS
    offset: int  # bytes before the first sample; in FLAC samples
    per_frame: tuple[int, ...]  # samples of each signal of the file
    which: int  # of them is ours
    first_value: int = 0  # for DIFFERENCES

    @property
    def frame(self) -> int:
        """Samples of all signals in one frame."""
        return sum(self.per_frame)


def count_frames(file: SignalFile) -> int:
    """Whole frames in the file. Raises OSError."""
    if file.fmt in FLAC:
        with _flac(file) as sound:
            return int((sound.frames - file.offset) // file.per_frame[file.which])
    samples, size = _PACKED.get(file.fmt, (1, np.dtype(_PLAIN.get(file.fmt, "i1")).itemsize))
    data = max(file.path.stat().st_size - file.offset, 0)
    left = data % size
    return (data // size * samples + left * samples // size) // file.frame


def read_frames(file: SignalFile, first: int, end: int) -> Counts:
    """Our samples of frames first..end, which the file holds. Raises OSError, or ValueError if it holds fewer."""
    if file.fmt in FLAC:
        return _read_flac(file, first, end)
    begin = 0 if file.fmt == DIFFERENCES else first
    frames = _read(file, begin * file.frame, end * file.frame).reshape(-1, file.frame)
    low = sum(file.per_frame[: file.which])
    ours = frames[:, low : low + file.per_frame[file.which]].reshape(-1)
    if file.fmt == DIFFERENCES:
        ours = file.first_value + ours.cumsum()[(first - begin) * file.per_frame[file.which] :]
    return ours


def _read(file: SignalFile, first: int, end: int) -> Counts:
    """Samples first..end of all signals, as they lie."""
    if file.fmt not in _PACKED:
        kind = np.dtype(_PLAIN[file.fmt])
        raw = np.fromfile(
            file.path, kind, count=end - first, offset=file.offset + first * kind.itemsize
        )
        _check(raw, end - first, file)
        return raw.astype(np.int64) - _ZERO.get(file.fmt, 0)
    samples, size = _PACKED[file.fmt]
    group, groups = first // samples, -(-end // samples)
    data = np.fromfile(
        file.path, "u1", count=(groups - group) * size, offset=file.offset + group * size
    )
    whole = np.zeros((groups - group) * size, dtype=np.int64)
    whole[: len(data)] = data  # the last group may be cut short
    unpacked = _unpack(whole.reshape(-1, size), file.fmt)
    _check(
        data, -(-(end - group * samples) * size // samples) if end % samples else len(whole), file
    )
    return unpacked.reshape(-1)[first - group * samples : end - group * samples]


def _unpack(groups: Counts, fmt: str) -> Counts:
    """(groups, bytes) to (groups, samples), signed."""
    b = groups.T
    found: tuple[Counts, ...]
    if fmt == "24":
        found, bits = (b[0] | b[1] << 8 | b[2] << 16,), 24
    elif fmt == "212":
        found, bits = (b[0] | (b[1] & 0x0F) << 8, b[2] | (b[1] & 0xF0) << 4), 12
    elif fmt == "310":
        one, two = b[0] | b[1] << 8, b[2] | b[3] << 8
        found, bits = (one >> 1 & 0x3FF, two >> 1 & 0x3FF, one >> 11 | two >> 11 << 5), 10
    else:
        word = b[0] | b[1] << 8 | b[2] << 16 | b[3] << 24
        found, bits = (word & 0x3FF, word >> 10 & 0x3FF, word >> 20 & 0x3FF), 10
    unsigned = np.stack(found, axis=1)
    return np.where(unsigned >> (bits - 1) & 1, unsigned - (1 << bits), unsigned)


def _read_flac(file: SignalFile, first: int, end: int) -> Counts:
    ours = file.per_frame[file.which]
    if any(n != ours for n in file.per_frame):
        raise ValueError("a FLAC file whose signals have different rates")
    with _flac(file) as sound:
        bits = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}.get(sound.subtype, 99)
        if bits > BITS[file.fmt] or sound.channels != len(file.per_frame):
            raise ValueError(
                f"the FLAC file has {sound.channels} signals of {sound.subtype}, not {len(file.per_frame)} of format {file.fmt}"
            )
        sound.seek(file.offset + first * ours)
        values = sound.read((end - first) * ours, dtype="int32", always_2d=True)[
            :, file.which
        ]  # in the high bits
    _check(values, (end - first) * ours, file)
    counts: Counts = values.astype(np.int64) >> (32 - bits)
    return counts


def _flac(file: SignalFile):  # type: ignore[no-untyped-def]  # noqa: ANN202 - soundfile has no types
    import soundfile  # loads a library: only if it is needed

    try:
        return soundfile.SoundFile(str(file.path))
    except soundfile.LibsndfileError as error:
        raise OSError(f"{file.path.name}: {error}") from error


def _check(found: NDArray[np.generic], wanted: int, file: SignalFile) -> None:
    if len(found) < wanted:
        raise ValueError(f"{file.path.name} ended {wanted - len(found)} short")
