"""Joins the spans that the rhythm stage decides into episodes of one rhythm."""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ingest.messages import RhythmLabel
from models.signal.stage import Rows, StructStage

LOST = "samples lost"


class Span(NamedTuple):
    """A stretch of one rhythm, in samples at 125 Hz. Neighbours may have the same label."""

    row: int
    start: int
    end: int
    label: RhythmLabel
    probability: float
    reason: str = ""  # why the rhythm is not known; "" if it is


class _Episode(msgspec.Struct):
    start: int = 0
    label: str = ""
    reason: str = ""
    weight: float = 0.0  # probability times samples


def lost(row: int, start: int, end: int) -> list[Span]:
    """Return the rhythm of lost samples: unreadable."""
    return [Span(row, start, end, "~", 1.0, LOST)] if start < end else []


class EpisodeJoiner(StructStage[_Episode]):
    """Stage: Spans in, Episodes out: each span as the end, so far, of the episode it belongs to."""

    def __init__(self) -> None:
        super().__init__(_Episode)

    def push(self, batch: list[Span]) -> list[Span]:
        """Return, for each span, the episode so far that it belongs to."""
        return [self._join(span) for span in batch]

    def flush(self, rows: Rows) -> list[Span]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def _join(self, span: Span) -> Span:
        state, length = self._state[span.row], span.end - span.start
        if (state.label, state.reason) != (span.label, span.reason):
            state.label, state.reason = span.label, span.reason
            state.start, state.weight = span.start, 0.0
        state.weight += span.probability * length
        mean = state.weight / (span.end - state.start)
        return span._replace(start=state.start, probability=mean)
