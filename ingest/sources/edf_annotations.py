"""Annotations of EDF+ and BDF+ files, and the times of their data records: time-stamped annotation lists (TALs)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ingest.bounds import MAX_AUX
from ingest.errors import BadInputError
from ingest.sources.edf_header import ANNOTATIONS, EdfHeader, text


class EdfAnnotation(NamedTuple):
    """One annotation."""

    onset_s: float  # since the start time in the file's header
    text: str


def read_notes(path: Path, header: EdfHeader) -> tuple[list[float], list[EdfAnnotation]]:
    """(onset in seconds of each data record, annotations). Both empty if the file has no annotations signal.

    Raises BadInputError if a discontinuous file does not say when its records begin.
    """
    signals = [s for s in header.signals if s.label in ANNOTATIONS and s.samples]
    onsets: list[float] = []
    notes: list[EdfAnnotation] = []
    if not signals:
        return onsets, notes
    records = np.memmap(path, "u1", "r", header.begin, (header.records, header.record_bytes))
    for record in records:
        first = True
        for signal in signals:
            data = record[signal.at : signal.at + signal.samples * header.sample_bytes].tobytes()
            for onset_s, texts in _lists(data):
                if first:  # the record's own onset; it has no text
                    onsets.append(onset_s)
                    first = False
                notes += [EdfAnnotation(onset_s, text) for text in texts if text]
        if first and header.discontinuous:
            problem = f"{path}: it is discontinuous (EDF+D), and data record {len(onsets) + 1} does not say when it begins"
            raise BadInputError(problem, "Export the recording again as a continuous file (EDF+C).")
    return onsets if len(onsets) == header.records else [], notes


def _lists(data: bytes) -> Iterator[tuple[float, list[str]]]:
    """(onset in seconds, texts) of each list: +onset[\\x15duration]\\x14text\\x14...\\x14\\x00."""
    for tal in data.split(b"\x00"):
        head, _, rest = tal.partition(b"\x14")
        try:
            onset_s = float(head.split(b"\x15")[0])
        except ValueError:
            continue  # padding, or nothing that can be read
        if np.isfinite(onset_s):
            yield onset_s, [text(part)[:MAX_AUX] for part in rest.split(b"\x14")]
