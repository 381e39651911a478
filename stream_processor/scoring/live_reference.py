"""The annotations of a running stream as a reference record, by the offline rules (reference.py)."""

from __future__ import annotations

from stream_processor.scoring.live_state import LiveStreamState, first_index
from stream_processor.scoring.reference import Episode, Record, Symbol, reference

# No rhythm is known before the first annotation of one, and many records have none.
_BEGIN = Symbol(0, "+", "(")


def reference_of(state: LiveStreamState, end: int) -> Record:
    """Return beats and rhythm of the annotations up to a sample, as far as they are remembered."""
    symbols = state.symbols[: first_index(state.symbols, end)]
    return reference([_BEGIN, *symbols], state.fs_hz, end)


def rhythm_of(state: LiveStreamState, end: int) -> tuple[Episode, ...]:
    """Return the annotated rhythms up to a sample; sections between [ and ] are none."""
    changes = [s for s in state.symbols[: first_index(state.symbols, end)] if s.symbol == "+"]
    return reference([_BEGIN, *changes], state.fs_hz, end).rhythm
