"""Explains an answer of the model for the review: the model is run again on the stored signal
around it, with parts hidden."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from dashboards.monitor.live.views import ms
from dashboards.monitor.store.waveforms import Counts, blocks
from ingest.messages import sample_offset_ns
from ingest.packing import MISSING
from stream_processor.sinks.base import Sink

if TYPE_CHECKING:
    from stream_processor.pipeline.explaining import Question, Reasons

S = 10**9
QUESTIONS: tuple[Question, ...] = ("beat", "rhythm", "lethal")


class _Stretch(NamedTuple):
    """Signal without a gap."""

    start_ns: int
    fs_hz: float
    counts_per_mv: float
    counts: Counts

    @property
    def end_ns(self) -> int:
        return self.start_ns + sample_offset_ns(self.counts.size, self.fs_hz)


def explanation(sink: Sink, patient: str, at_ns: int, question: Question) -> bytes | None:
    """Return {label, probability, t0, step_ms, weights} as JSON: how much lower the probability of
    the model's answer is without each part of the signal; None if it says nothing there or no
    signal is stored."""
    # the networks: a reader loads them when the first one asks, the monitor itself never
    from stream_processor.pipeline.explaining import AFTER_S, BEFORE_S

    start_ns, end_ns = at_ns - BEFORE_S * S, at_ns + AFTER_S * S
    for part in _stretches(sink, patient, start_ns, end_ns):
        if not part.start_ns <= at_ns < part.end_ns:
            continue
        found = _reasons(part, at_ns, question)
        return None if found is None else _as_json(part, found)
    return None


def _reasons(part: _Stretch, at_ns: int, question: Question) -> Reasons | None:
    from models.serving.runtime import load
    from models.signal.conditioning import FS_HZ, condition
    from stream_processor.pipeline.explaining import reasons

    signal = condition(part.counts, part.fs_hz, part.counts_per_mv)
    return reasons(load(), signal, round((at_ns - part.start_ns) * FS_HZ / S), question)


def _as_json(part: _Stretch, found: Reasons) -> bytes:
    from models.signal.conditioning import FS_HZ

    return msgspec.json.encode(
        {
            "label": found.label,
            "probability": round(found.probability, 4),
            "t0": ms(part.start_ns + found.first * S // FS_HZ),
            "step_ms": 1000 * found.step / FS_HZ,
            "weights": [round(w, 4) for w in found.weights.tolist()],
        }
    )


def _stretches(sink: Sink, patient: str, start_ns: int, end_ns: int) -> list[_Stretch]:
    """The stored signal, cut where samples are missing or the device changes."""
    found: list[_Stretch] = []
    for block in blocks(sink, patient, start_ns, end_ns):
        there = block.samples != MISSING
        edges = np.flatnonzero(np.diff(there.astype(np.int8), prepend=0, append=0))
        for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            begin_ns = block.start_ns + sample_offset_ns(first, block.fs_hz)
            part = _Stretch(begin_ns, block.fs_hz, block.counts_per_mv, block.samples[first:last])
            before = found[-1] if found else None
            if before is not None and _goes_on(before, part):
                joined = np.concatenate([before.counts, part.counts])
                found[-1] = before._replace(counts=joined)
            else:
                found.append(part)
    return found


def _goes_on(before: _Stretch, part: _Stretch) -> bool:
    same = before[1:3] == part[1:3]
    return same and abs(part.start_ns - before.end_ns) < 0.5 * S / part.fs_hz
