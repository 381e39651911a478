"""RR intervals and beat classes (AAMI N, S, V, F, Q): each beat in the context of those before it,
through the beat network."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ingest.messages import BeatLabel
from models.beats import votes
from models.beats.decoding import THRESHOLD
from models.beats.morphology import QRS_PART, SHAPE, Doubles
from models.beats.templates import BeatContext, MatchedBeats
from models.serving.runtime import Model
from models.signal.stage import Rows
from stream_processor.pipeline.stages.seconds import (
    AnalysedSecond,
    Beats,
    Complex,
    LabelledBeat,
    is_lead_off,
)

CLASSES: tuple[BeatLabel, ...] = ("N", "S", "V", "F", "Q")
VENTRICULAR, UNSURE = CLASSES.index("V"), CLASSES.index("Q")


class _Turn(NamedTuple):
    """A beat whose turn it is: at most one of each row at a time."""

    second: int  # index in the batch
    row: int
    found: Complex


class BeatLabeller(BeatContext):
    """Stage: Seconds in, Beats out. Causal: a beat's class uses its shape, the patient's usual
    beats and the intervals before it, and what earlier beats of its form were taken for."""

    def __init__(self, model: Model) -> None:
        super().__init__(**votes.FIELDS)
        self._model = model

    def use(self, model: Model) -> None:
        """Classify by another model from now on, whose beat network is the same."""
        self._model = model

    def flush(self, rows: Rows) -> list[Beats]:
        """Nothing is held back."""
        return []

    def push(self, batch: list[AnalysedSecond]) -> list[Beats]:
        """One Beats per Second."""
        turns: list[_Turn] = []
        intervals: list[float] = []
        seen: list[tuple[Rows, MatchedBeats]] = []
        sizes: list[float] = []
        for these in self._in_turn(batch):
            rows = np.array([turn.row for turn in these], dtype=np.intp)
            at = np.array([turn.found.at for turn in these])
            shapes = np.frombuffer(
                b"".join(turn.found.shape for turn in these), np.float32
            ).reshape(-1, SHAPE)
            intervals += self.intervals(rows, at).tolist()
            seen.append((rows, self.take(rows, at, shapes)))
            sizes += np.ptp(shapes[:, QRS_PART], axis=1).tolist()
            turns += these
        labelled: list[list[LabelledBeat]] = [[] for _ in batch]
        if turns:
            forms = [int(slot) for _, beat in seen for slot in beat.slot]
            for turn, rr, form, mv, p, label in zip(
                turns, intervals, forms, sizes, *self._model.decide(self._voted(seen)), strict=True
            ):
                beat = _labelled(turn.found, None if np.isnan(rr) else rr, p.tolist(), label)
                labelled[turn.second].append(beat._replace(form=form, size_mv=mv))
        return [Beats(second, tuple(beats)) for second, beats in zip(batch, labelled, strict=True)]

    def _voted(self, seen: Sequence[tuple[Rows, MatchedBeats]]) -> Doubles:
        """Logits of all these beats: through the network at once, then vote upon vote in their
        order."""
        logits = self._model.classify_beats(np.concatenate([beat.features for _, beat in seen]))
        parts = np.split(logits, np.cumsum([len(rows) for rows, _ in seen])[:-1])
        cast = (
            votes.vote(self._rows, rows, beat.slot, beat.like, part)
            for (rows, beat), part in zip(seen, parts, strict=True)
        )
        return np.concatenate(list(cast))

    def _in_turn(self, batch: Sequence[AnalysedSecond]) -> Iterator[list[_Turn]]:
        """All beats of the batch, each row's in order, one of each row at a time; an interval
        across a lost electrode says nothing."""
        waiting: dict[int, list[tuple[int, AnalysedSecond]]] = {}
        for i, second in enumerate(batch):
            waiting.setdefault(second.row, []).append((i, second))
        queues = [self._row_turns(seconds) for seconds in waiting.values()]
        while these := [turn for queue in queues if (turn := next(queue, None))]:
            yield these

    def _row_turns(self, seconds: Sequence[tuple[int, AnalysedSecond]]) -> Iterator[_Turn]:
        for i, second in seconds:
            if is_lead_off(second):
                self.restart(second.row, second.until)
            for found in second.complexes:
                yield _Turn(i, second.row, found)


def _labelled(
    found: Complex, rr_s: float | None, probability: list[float], label: int
) -> LabelledBeat:
    """A weak peak counts for the rate, but its shape is mostly noise: it has no class, and starts
    no run."""
    weak = found.confidence < THRESHOLD
    label = UNSURE if weak else label
    return LabelledBeat(
        found.at,
        rr_s,
        CLASSES[label],
        found.confidence,
        probability[label],
        0.0 if weak else probability[VENTRICULAR],
    )
