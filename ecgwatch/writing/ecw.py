"""Writes WFDB annotation files (MIT format) that WFDB's own tools read.

wfdb's `wrann` refuses a file without annotations; this writer does not. The format is that of
annot(5) in the WFDB Applications Guide: 16-bit little-endian words, 6 bits of code and 10 bits of
time since the annotation before.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from pathlib import Path

from ecgwatch.writing.atomic import replace_file

CODES = {"N": 1, "V": 5, "F": 6, "S": 9, "Q": 13, "+": 28}  # of WFDB's ecgcodes.h
_NOTE, _SKIP, _AUX = 22, 59, 63
_MOST = 1023  # largest step in 10 bits; a larger one is preceded by a SKIP with 32 bits


def write_ecw(
    folder: Path,
    name: str,
    fs_hz: float,
    beats: Iterable[tuple[int, str]],
    rhythm_changes: Iterable[tuple[int, str]],
) -> Path:
    """Write folder/NAME.ecw, whole or not at all, and return its path.

    `beats` are (sample, one of N S V F Q), `rhythm_changes` (sample, aux note such as "(AFIB"),
    counted at the record's own sampling frequency `fs_hz`; they need not be sorted. A rhythm change
    stands before a beat at the same sample. `wfdb.rdann` reads the file.
    """
    found = [(sample, 1, label, "") for sample, label in beats] + [
        (sample, 0, "+", aux) for sample, aux in rhythm_changes
    ]
    # This note is WFDB's way to state the sampling frequency; its readers remove it.
    data = [_word(_NOTE, 0), _aux(f"## time resolution: {fs_hz:.10g}")]
    at = 0
    for sample, _, label, aux in sorted(found):
        step = sample - at
        if step > _MOST:
            high, low = divmod(step, 1 << 16)
            data.append(_word(_SKIP, 0) + struct.pack("<HH", high, low))
            step = 0
        data.append(_word(CODES[label], step))
        if aux:
            data.append(_aux(aux))
        at = sample
    data.append(_word(0, 0))
    path = folder / f"{name}.ecw"
    replace_file(path, b"".join(data))
    return path


def _word(code: int, low: int) -> bytes:
    return struct.pack("<H", code << 10 | low)


def _aux(text: str) -> bytes:
    data = text.encode()
    return _word(_AUX, len(data)) + data + bytes(len(data) % 2)
