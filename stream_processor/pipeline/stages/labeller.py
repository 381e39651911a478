"""RR intervals and beat classes (AAMI N, S, V, F, Q): each beat in the context of those before it,
through the beat network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from ingest.messages import BeatLabel
from models.beats import votes
from models.beats.decoding import THRESHOLD
from models.beats.morphology import QRS_PART, SHAPE, Doubles, Floats
from models.beats.templates import SCALARS, BeatContext, Intervals, MatchedBeats
from models.serving.runtime import Model
from models.signal.conditioning import FS_HZ
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
# A conducted beat: least correlation of its QRS with the dominant template's, largest width, and
# largest difference in height (log), as features (models/beats/templates.py, LIKENESS)
_SCALAR = {name: i - len(SCALARS) for i, name in enumerate(SCALARS)}
LIKE_QRS, NARROW, SAME_HEIGHT = 4 * (0.9 - 0.75), 4 * (2.05 - 3), 2 * 0.15


class _Turn(NamedTuple):
    """A beat to label now: at most one of each row at a time."""

    second: int  # index in the batch
    row: int
    found: Complex
    rr_s: float  # NaN if unknown


class BeatLabeller(BeatContext):
    """Stage: AnalysedSeconds in, Beats out. Causal: a beat's class follows from its shape, the
    patient's templates, the intervals before it, and the classes of earlier beats of its
    morphology."""

    def __init__(self, model: Model) -> None:
        super().__init__(**votes.FIELDS)
        self._model = model

    def use(self, model: Model) -> None:
        """Use another model from now on, whose beat network is the same."""
        self._model = model

    def flush(self, rows: Rows) -> list[Beats]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def push(self, batch: list[AnalysedSecond]) -> list[Beats]:
        """Return one Beats for each AnalysedSecond."""
        rounds, newest = self._in_turn(batch)
        seen: list[tuple[Rows, MatchedBeats]] = []
        sizes: list[float] = []
        for rows, these, intervals in self._with_intervals(rounds):
            at = np.array([turn.found.at for turn in these])
            shapes = np.frombuffer(
                b"".join(turn.found.shape for turn in these), np.float32
            ).reshape(-1, SHAPE)
            seen.append((rows, self.take(rows, at, shapes, intervals)))
            sizes += np.ptp(shapes[:, QRS_PART], axis=1).tolist()
        self._rows.last[list(newest)] = list(newest.values())
        labelled: list[list[LabelledBeat]] = [[] for _ in batch]
        if seen:
            turns = [turn for these in rounds for turn in these]
            templates = [int(slot) for _, beat in seen for slot in beat.slot]
            conducted = [value for _, beat in seen for value in _conducted(beat.features)]
            decided = self._model.decide(self._voted(seen))
            for turn, template, mv, from_above, p, label in zip(
                turns, templates, sizes, conducted, *decided, strict=True
            ):
                rr_s = None if math.isnan(turn.rr_s) else turn.rr_s
                beat = _labelled(turn.found, rr_s, p.tolist(), label)
                beat = beat._replace(template=template, size_mv=mv, conducted=from_above)
                labelled[turn.second].append(beat)
        return [Beats(second, tuple(beats)) for second, beats in zip(batch, labelled, strict=True)]

    def _voted(self, seen: Sequence[tuple[Rows, MatchedBeats]]) -> Doubles:
        """Return the logits of all these beats: the network runs on all at once, then the
        morphology votes follow in the order of the beats."""
        logits = self._model.classify_beats(np.concatenate([beat.features for _, beat in seen]))
        parts = np.split(logits, np.cumsum([len(rows) for rows, _ in seen])[:-1])
        cast = (
            votes.vote(self._rows, rows, beat.slot, beat.like, part)
            for (rows, beat), part in zip(seen, parts, strict=True)
        )
        return np.concatenate(list(cast))

    def _in_turn(
        self, batch: Sequence[AnalysedSecond]
    ) -> tuple[list[list[_Turn]], dict[int, float]]:
        """All beats of the batch, each row's in order, one of each row at a time; and the newest R
        peak of each row then. An interval across a lead-off is unknown."""
        rows = list(dict.fromkeys(second.row for second in batch))
        newest = dict(zip(rows, self._rows.last[rows].tolist(), strict=True))
        queues: dict[int, list[_Turn]] = {row: [] for row in rows}
        for i, second in enumerate(batch):
            row = second.row
            if is_lead_off(second):
                newest[row] = math.nan
            for found in second.complexes:
                queues[row].append(_Turn(i, row, found, (found.at - newest[row]) / FS_HZ))
                newest[row] = found.at
        most = max(map(len, queues.values()), default=0)
        rounds = [[q[k] for q in queues.values() if len(q) > k] for k in range(most)]
        return rounds, newest

    def _with_intervals(
        self, rounds: Sequence[list[_Turn]]
    ) -> Iterator[tuple[Rows, list[_Turn], Intervals]]:
        """Each round with its rows and the intervals of its beats."""
        if not rounds:
            return
        turns = [
            (
                np.array([turn.row for turn in these], dtype=np.intp),
                np.array([turn.rr_s for turn in these]),
            )
            for these in rounds
        ]
        for (rows, _), these, intervals in zip(
            turns, rounds, self.intervals_ahead(turns), strict=True
        ):
            yield rows, these, intervals


def _conducted(features: Floats) -> list[bool]:
    """Return of each beat whether its QRS is narrow and like the dominant template's."""
    like = features[:, _SCALAR["like_qrs"]] >= LIKE_QRS
    narrow = features[:, _SCALAR["width"]] <= NARROW
    same = np.abs(features[:, _SCALAR["height"]]) <= SAME_HEIGHT
    return [bool(x) for x in like & narrow & same]


def _labelled(
    found: Complex, rr_s: float | None, probability: list[float], label: int
) -> LabelledBeat:
    """Return the beat with its class. A weak peak counts for the rate, but gets no class and starts
    no run, because its shape is mostly noise."""
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
