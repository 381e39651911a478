"""Beats and rhythm of a running stream against the annotations, from `beats_to` on.

Beats are paired by the offline rules (beats.py), so a part of the stream can only be settled at a
sample that no pair of beats straddles.
"""

from __future__ import annotations

from stream_processor.scoring.beats import score_beats
from stream_processor.scoring.live_reference import reference_of, rhythm_of
from stream_processor.scoring.live_state import LiveStreamState, first_index
from stream_processor.scoring.reference import AAMI, LETHAL, Record

# Seconds of the stream: how far one topic may be behind another, and how long a pause of beats or
# annotations is waited for.
PATIENCE_S = 600.0
_SINUS = frozenset({"N", "SBR", "STACH", "SARR"})
_UNKNOWN = frozenset({"", "~", "NOISE"})


def beat_matrix(state: LiveStreamState, known: Record, end: int) -> dict[str, int]:
    """Count beats up to `end` by (reference, ours), as BeatScore.matrix; empty before the first beat
    annotation."""
    if not state.has_beats:
        return {}
    ours = Record(state.fs_hz, end, tuple(state.beats[: first_index(state.beats, end)]))
    to_judge = tuple(b for b in known.beats if b.sample >= state.beats_to)
    return score_beats(Record(state.fs_hz, end, to_judge, known.rhythm), ours, 0.0).matrix


def rhythm_agreement(state: LiveStreamState, end: int) -> tuple[int, int]:
    """Count the samples up to `end` at which both sides know a rhythm, and those at which they agree."""
    both, same = 0, 0
    for theirs in rhythm_of(state, end):
        for start, (stop, label) in state.spans.items():
            n = min(theirs.end, stop, end) - max(theirs.start, start, state.beats_to)
            if n > 0 and label not in _UNKNOWN and theirs.label not in _UNKNOWN:
                both += n
                same += n if _rhythm_group(label) == _rhythm_group(theirs.label) else 0
    return both, same


def sum_final_beats(state: LiveStreamState, end: int) -> None:
    """Add beats and rhythm to the sums, up to where no later message can change them.

    Without beat annotations nothing is settled before PATIENCE_S.
    """
    # topics are in order, so nothing earlier can follow
    complete = min(end, state.beats_at, state.notes_at)
    cut = _safe_cut(state, max(complete, end - round(PATIENCE_S * state.fs_hz)))
    if cut <= state.beats_to or not (
        state.has_beats or end - state.beats_to > PATIENCE_S * state.fs_hz
    ):
        return
    state.matrix = add_counts(state.matrix, beat_matrix(state, reference_of(state, cut), cut))
    rhythm_n, agreed_n = rhythm_agreement(state, cut)
    state.rhythm_n += rhythm_n
    state.agreed_n += agreed_n
    state.forget_beats(cut)


def _safe_cut(state: LiveStreamState, end: int) -> int:
    """Return the last sample that no pair of beats can straddle, whatever comes after `end`."""
    after, cut = end, end - state.window
    theirs = (
        s.sample for s in state.symbols[: first_index(state.symbols, end)] if s.symbol in AAMI
    )
    for at in sorted(
        {*theirs, *(b.sample for b in state.beats[: first_index(state.beats, end)])}, reverse=True
    ):
        if at >= cut:
            after = at
        elif after - at >= state.window:
            break
        else:
            cut = after = at
    return cut


def add_counts(a: dict[str, int], b: dict[str, int]) -> dict[str, int]:
    """Add two tables of counts."""
    return {key: a.get(key, 0) + b.get(key, 0) for key in a.keys() | b.keys()}


def _rhythm_group(label: str) -> str:
    """Return the group of rhythms that a label is compared in."""
    if label in _SINUS:
        return "sinus"
    return "lethal" if label in LETHAL else "AF" if label == "AFIB" else "other"
