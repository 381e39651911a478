"""EDF and EDF+ files, a minute at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyedflib
from wfdb.io.annotation import ann_label_table

from ingest.errors import BadInputError
from ingest.sources.base import Annotation, Block
from ingest.sources.blocks import INT16, Values, blocks_of, check_fs, fit_int16, mv_per_unit, spans
from ingest.sources.channels import choose

_SYMBOLS = frozenset(ann_label_table["symbol"]) - {" "}
_COMMENT = '"'  # WFDB's symbol for a note


class EdfSource:
    """One signal of an EDF file. Annotations of EDF+ whose text is a WFDB symbol (N, V, ...) become
    that, others a note.

    EDF has no value for "invalid". Counts are the file's own less its offset, clipped to int16. The
    file is open only while a part is read, since pyedflib opens a file once. Raises BadInputError
    where the file cannot be used.
    """

    device_id = "edf"

    def __init__(self, path: Path, channel: str | int | None = None) -> None:
        self._path = path
        self.name = path.stem
        with self._open() as edf:
            names, units = (
                [str(n) for n in edf.getSignalLabels()],
                [edf.getPhysicalDimension(i) for i in range(edf.signals_in_file)],
            )
            self._channel = choose(names, units, channel, record=path.name)
            self.lead = names[self._channel] or str(self._channel)
            self.fs_hz = check_fs(float(edf.getSampleFrequency(self._channel)), path.name)
            self._n = int(edf.getNSamples()[self._channel])
            unit_mv = mv_per_unit(units[self._channel], name=path.name, channel=self.lead)
            physical = (
                edf.getPhysicalMinimum(self._channel) * unit_mv,
                edf.getPhysicalMaximum(self._channel) * unit_mv,
            )
            digital = (edf.getDigitalMinimum(self._channel), edf.getDigitalMaximum(self._channel))
            notes = list(zip(*edf.readAnnotations(), strict=True))
        gain = (digital[1] - digital[0]) / (physical[1] - physical[0])
        self._offset = digital[0] - physical[0] * gain
        factor = fit_int16(abs(gain), INT16.min - self._offset, INT16.max - self._offset)
        self.counts_per_mv = abs(gain) * factor
        self._factor = math.copysign(factor, gain)
        self._annotations = tuple(
            sorted(
                _annotation(round(float(onset) * self.fs_hz), str(text)) for onset, _, text in notes
            )
        )

    @property
    def duration_s(self) -> float:
        """Length of the file in seconds."""
        return self._n / self.fs_hz

    def blocks(self, start_s: float = 0.0) -> Iterator[Block]:
        """See Source. Raises BadInputError where a part of the file cannot be read."""
        start = round(start_s * self.fs_hz)
        parts = (self._read(a, b) for a, b in spans(self._n, start, self.fs_hz))
        return blocks_of(parts, start, self.fs_hz, self._annotations)

    def _read(self, first: int, end: int) -> Values:
        with self._open() as edf:
            digital = edf.readSignal(self._channel, first, end - first, digital=True)
        counts: Values = (np.asarray(digital, dtype=np.float64) - self._offset) * self._factor
        return counts

    def _open(self) -> Any:
        try:
            return pyedflib.EdfReader(str(self._path))
        except OSError as error:
            remedy = "Give a complete EDF or EDF+C file; convert a discontinuous (EDF+D) or BDF one to EDF+C first."
            raise BadInputError(f"{self._path}: cannot be read ({error})", remedy) from error


def _annotation(sample: int, text: str) -> Annotation:
    return Annotation(sample, text) if text in _SYMBOLS else Annotation(sample, _COMMENT, text)
