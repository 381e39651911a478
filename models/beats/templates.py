"""Features that a beat is classified by: its morphology, the patient's templates, the intervals
before it. The ONE definition for training and serving.

Causal: nothing later than 0.44 s after the R peak is used. Independent of labels: no feature depends
on how earlier beats were classified, so that one wrong label cannot cause the next one, and the
features of a beat can be computed once, before the network runs (what the network decided about
earlier beats comes in afterwards: models/beats/votes.py).

A template is a running mean of beats of similar morphology; a patient has up to SLOTS of them. The
template of the greatest weight is the dominant one. It stands for the normal beat that de Chazal and
Reilly (2006, DOI 10.1109/TBME.2006.883802) take from annotated beats of the patient; we differ:
nobody has to annotate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.beats.intervals import LONG, RECENT, RHYTHM, rhythm_features
from models.beats.morphology import (
    P_PART,
    QRS_PART,
    SHAPE,
    SHIFTS,
    T_PART,
    Doubles,
    Floats,
    Match,
    amplitude,
    correlation,
    log_ratio,
    match_templates,
    qrs_polarity,
    qrs_width,
    shifted,
)
from models.signal.conditioning import FS_HZ
from models.signal.stage import ArrayStage, Field, Rows

SLOTS = 8  # templates per patient
JOIN = 0.8  # least similarity of a beat to the template that it joins
SLOT_OF = 24  # most beats that a template averages
FORGET = 1 - 1 / 256  # decay of the templates' weights with each beat
MOST_RR_S = 3.0  # a longer interval is a pause or a gap, no measure of prematurity
CLIP = 4.0  # largest absolute value of a feature

LIKENESS = (  # this morphology compared with the patient's templates
    "like",
    "like_still",
    "height",
    "like_p",
    "like_qrs",
    "like_t",
    "size_p",
    "size_t",
    "best",
    "own_share",
    "own_rr",
    "own_spread",
    "own_dominant",
    "dominant_share",
    "dominant_rr",
    "width",
    "dominant_width",
    "width_ratio",
    "residue",
    "usual_residue",
    "polarity",
)
PAST = tuple(f"{what}_{i}" for what in ("rr", "like", "like_p") for i in range(RECENT, 0, -1))
SCALARS = RHYTHM + LIKENESS + PAST
FEATURES = 3 * SHAPE + len(
    SCALARS
)  # the beat, the dominant template, the most similar one; then SCALARS


class MatchedBeats(NamedTuple):
    """Features of one beat of each of B rows, and the template that it joined."""

    features: Floats  # (B, FEATURES)
    slot: npt.NDArray[np.intp]  # (B,)
    # (B,) similarity to that template; below JOIN, the beat began a new template in that slot
    like: Doubles


class Intervals(NamedTuple):
    """The interval before each of B beats, and the features of those before it (models/beats/intervals.py)."""

    rr: Doubles  # (B,) s; NaN if unknown or longer than MOST_RR_S
    rhythm: Doubles  # (B, len(RHYTHM))
    prematurity: Doubles  # (B,)
    relative: Doubles  # (B, RECENT)


class BeatContext(ArrayStage):
    """Per row: the last intervals, the templates, and the similarity of the last beats to them.

    Rows as in models/signal/stage.py.
    """

    def __init__(self, **more: Field) -> None:
        super().__init__(
            last=Field(np.float64, fresh=np.nan),  # R peak of the beat before, samples
            # intervals, s, newest last; NaN where unknown
            rr=Field(np.float32, (LONG,), fresh=np.nan),
            # similarity of the last beats to the dominant template: whole beat, P wave
            past=Field(np.float32, (2, RECENT), fresh=1.0),
            usual=Field(np.float32, (SLOTS, SHAPE)),
            weight=Field(np.float32, (SLOTS,)),
            taken=Field(np.float32, (SLOTS,)),
            # mean and mean square of log(interval / long median) of a template's beats
            slot_rr=Field(np.float32, (SLOTS, 2)),
            residue=Field(
                np.float32
            ),  # running mean of 1 - similarity of beats to the template they joined
            **more,
        )

    def restart(self, row: int, sample: int) -> int:
        """Forget the last R peak, so that the next interval is unknown."""
        self._rows.last[row] = np.nan
        return sample

    def intervals(self, rows: Rows, at: Doubles) -> Doubles:
        """Return the RR interval before each beat (B,), s; NaN if unknown.

        Args:
            rows: (B,), each once.
            at: (B,) R peaks, in samples at 125 Hz.
        """
        return np.asarray((at - self._rows.last[rows]) / FS_HZ)

    def intervals_ahead(self, turns: Sequence[tuple[Rows, Doubles]]) -> list[Intervals]:
        """Compute the intervals of several beats of each row at once: they depend on no template.

        Args:
            turns: of the next beat of each row, of the one after that, and so on, the rows (B,) that have
                one, in the same order, and the interval before it (B,), s; NaN if unknown.

        Returns those of each turn.
        """
        known, past = [], []
        held = self._rows.rr[turns[0][0]]
        for i, (rows, rr) in enumerate(turns):
            if i:
                held = held[np.isin(turns[i - 1][0], rows)]
            known.append(np.where(rr <= MOST_RR_S, rr, np.nan))
            past.append(held)
            held = np.concatenate([held[:, 1:], known[-1][:, None].astype(np.float32)], axis=1)
        together = np.concatenate(known)
        columns = (together, *rhythm_features(together, np.concatenate(past)))
        ends = np.cumsum([len(rows) for rows, _ in turns])[:-1]
        return [
            Intervals(*part)
            for part in zip(*(np.split(column, ends) for column in columns), strict=True)
        ]

    def take(
        self, rows: Rows, at: Doubles, shape: Doubles | Floats, intervals: Intervals | None = None
    ) -> MatchedBeats:
        """Compute the features of the next beat of each row, and add the beat to the row's context.

        Args:
            rows: (B,), each once.
            at: (B,) R peaks, in samples at 125 Hz.
            shape: (B, SHAPE) mV around the R peak, see models.beats.morphology.around.
            intervals: of these beats, if they are computed already.
        """
        t = self._rows
        beat = shape.astype(np.float32)  # takes 10 to 33 % less time than double precision
        beat -= np.mean(beat, axis=1, keepdims=True)
        usual, weight = t.usual[rows], t.weight[rows]
        match = match_templates(beat, usual, weight)
        i = np.arange(len(rows))
        dominant, own = weight.argmax(axis=1), match.best.argmax(axis=1)
        fresh = weight[i, dominant] == 0
        first = np.where(fresh[:, None], beat, usual[i, dominant])
        second = np.where(fresh[:, None], beat, usual[i, own])
        height = np.maximum(np.ptp(first, axis=1), 0.02)[:, None]
        if intervals is None:
            known = self.intervals(rows, at)
            known = np.where(known <= MOST_RR_S, known, np.nan)
            intervals = Intervals(known, *rhythm_features(known, t.rr[rows]))
        rr, rhythm, prematurity, relative = intervals
        likeness, kept = self._likeness(rows, beat, first, match, dominant, own)
        past = t.past[rows].reshape(len(rows), -1)
        values = np.concatenate(
            [
                beat / height * 2,
                first / height * 2,
                second / height * 2,
                rhythm,
                likeness,
                relative,
                4 * (past - 0.75),
            ],
            axis=1,
        )
        slot, like = self._remember(rows, at, rr, prematurity, beat, match, kept)
        return MatchedBeats(
            np.asarray(np.clip(np.nan_to_num(values), -CLIP, CLIP), dtype=np.float32), slot, like
        )

    def _likeness(
        self,
        rows: Rows,
        beat: Floats,
        first: Floats,
        match: Match,
        dominant: npt.NDArray[np.intp],
        own: npt.NDArray[np.intp],
    ) -> tuple[Doubles, Doubles]:
        """Compute the features named in LIKENESS (B, len), and what `past` keeps of them (B, 2):
        similarity to the dominant template and correlation of the P wave with its P wave."""
        t, i = self._rows, np.arange(len(rows))
        fresh = t.weight[rows, dominant] == 0
        like = np.where(fresh, 1.0, match.best[i, dominant])
        laid = shifted(beat, np.where(fresh, 0, SHIFTS[match.shift[i, dominant]]))
        parts = [correlation(laid[:, part], first[:, part]) for part in (P_PART, QRS_PART, T_PART)]
        height = np.maximum(np.ptp(first, axis=1), 0.02)
        sizes = [
            log_ratio(amplitude(laid[:, part]), amplitude(first[:, part]), height)
            for part in (P_PART, T_PART)
        ]
        share = t.weight[rows] / np.maximum(t.weight[rows].sum(axis=1, keepdims=True), 1e-9)
        mean, square = t.slot_rr[rows, own, 0], t.slot_rr[rows, own, 1]
        width, usual_width = qrs_width(beat), qrs_width(first)
        best = np.where(fresh, 1.0, match.best[i, own])
        columns = [
            4 * (like - 0.75),
            4 * (np.where(fresh, 1.0, match.still[i, dominant]) - 0.75),
            2 * log_ratio(amplitude(beat[:, QRS_PART]), amplitude(first[:, QRS_PART]), height),
            2 * parts[0],
            4 * (parts[1] - 0.75),
            2 * parts[2],
            sizes[0],
            sizes[1],
            4 * (best - 0.75),
            4 * (share[i, own] - 0.5),
            8 * mean,
            8 * np.sqrt(np.maximum(square - mean * mean, 0)),
            np.where(own == dominant, 1.0, -1.0),
            4 * (share[i, dominant] - 0.5),
            8 * t.slot_rr[rows, dominant, 0],
            4 * (width - 3),
            4 * (usual_width - 3),
            8 * np.log(width / usual_width),
            8 * (1 - best),
            8 * t.residue[rows],
            2 * qrs_polarity(beat),
        ]
        return np.stack(columns, axis=1), np.stack([like, parts[0]], axis=1)

    def _remember(
        self,
        rows: Rows,
        at: Doubles,
        rr: Doubles,
        prematurity: Doubles,
        beat: Floats,
        match: Match,
        kept: Doubles,
    ) -> tuple[npt.NDArray[np.intp], Doubles]:
        """Add each beat to the most similar template, or begin a new one in the lightest slot.

        Returns the slot (B,) and the similarity to the best template (B,).
        """
        t, i = self._rows, np.arange(len(rows))
        slot = match.best.argmax(axis=1)
        like = match.best[i, slot]
        joins = like >= JOIN
        slot = np.where(joins, slot, t.weight[rows].argmin(axis=1))
        t.weight[rows] *= FORGET
        t.weight[rows, slot] = np.where(joins, t.weight[rows, slot], 0.0) + 1.0
        taken = np.where(joins, t.taken[rows, slot], 0.0) + 1.0
        t.taken[rows, slot] = taken
        part = 1.0 / np.minimum(taken, SLOT_OF)
        laid = shifted(beat, np.where(joins, SHIFTS[match.shift[i, slot]], 0))
        t.usual[rows, slot] += part[:, None] * (laid - t.usual[rows, slot])
        early = np.nan_to_num(prematurity)
        moments = np.stack([early, early * early], axis=1)
        t.slot_rr[rows, slot] += part[:, None] * (moments - t.slot_rr[rows, slot])
        residue = np.where(joins, 1 - like, t.residue[rows])
        t.residue[rows] += 0.05 * (residue - t.residue[rows])
        t.past[rows, :, :-1] = t.past[rows, :, 1:]
        t.past[rows, :, -1] = kept
        t.rr[rows, :-1] = t.rr[rows, 1:]
        t.rr[rows, -1] = rr
        t.last[rows] = at
        return slot, like.astype(np.float64)  # votes are counted in double precision
