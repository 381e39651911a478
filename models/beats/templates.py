"""What a beat is judged by: its shape, the patient's own usual beats, and the intervals before it.
The ONE definition for training and serving.

Causal: nothing later than 0.44 s after the R peak. And blind: nothing here depends on what earlier
beats were called, so one wrong label cannot make the next one wrong, and a beat's features can be
computed once, before there is any network (what that said of earlier beats comes in afterwards:
models/beats/votes.py). The patient's usual beats are running means of clusters of like shapes; the
heaviest is the dominant one, which stands for the normal beat that de Chazal and Reilly (2006, DOI
10.1109/TBME.2006.883802) take from annotated beats of the patient; we differ: nobody has to
annotate.

Prematurity is measured against medians over a short and a long horizon, and next to each stands how
irregular the rhythm is (spread, steps, and the rank of this interval among its predecessors): a
short interval means nothing in atrial fibrillation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import FS_HZ
from models.signal.stage import ArrayStage, Field, Rows

BEFORE, AFTER, STRIDE = 48, 56, 2  # samples at 125 Hz around the R peak; every second one is kept
SHAPE = (BEFORE + AFTER) // STRIDE  # 52 values, 16 ms apart: -0.384 .. +0.432 s
R = BEFORE // STRIDE  # place of the R peak in a shape
# by which a shape may be moved to lie on another: +-32 ms, where |R| and |S| are about equally high
SHIFTS = np.arange(-2, 3)
CORE = slice(R - 6, R + 18)  # what is compared: -96 .. +272 ms, QRS and the beginning of T
P_PART = slice(R - 19, R - 5)  # -304 .. -96 ms
QRS_PART = slice(R - 6, R + 8)
T_PART = slice(R + 8, R + 26)
SLOTS = 8  # usual beats per patient
JOIN = 0.8  # likeness from which a beat belongs to a usual one
SLOT_OF = 24  # beats that a usual beat is at most a mean of
FORGET = 1 - 1 / 256  # a usual beat's weight, each beat
SHORT, LONG = 16, 64  # intervals
RECENT = 8  # beats of which every interval and likeness is told
MOST_RR_S = 3.0  # a longer interval is a pause or a gap, and says nothing of prematurity
CLIP = 4.0

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

RHYTHM = (  # this interval in its context
    "rr_short",
    "rr_long",
    "rr_before",
    "before_long",
    "rr_low",
    "rr_high",
    "rank_short",
    "rank_long",
    "z",
    "spread_short",
    "spread_long",
    "steps_short",
    "steps_long",
    "median",
    "known",
    "no_rr",
)
LIKENESS = (  # this shape among the patient's
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
FEATURES = 3 * SHAPE + len(SCALARS)  # this beat, the dominant one, its own usual one; then SCALARS


class Seen(NamedTuple):
    """A beat of each row in its context, and which usual beat it belongs to from now on."""

    features: Floats  # (B, FEATURES)
    slot: npt.NDArray[np.intp]  # (B,)
    # (B,) how like it is to that one; below JOIN it is the first of a new usual beat in that slot
    like: Doubles


class _Match(NamedTuple):
    """Beats (B, SHAPE) laid on usual beats."""

    best: npt.NDArray[np.float64]  # (B, SLOTS) likeness, -1 where the slot is empty
    shift: npt.NDArray[np.intp]  # (B, SLOTS) index in SHIFTS
    still: npt.NDArray[np.float64]  # (B, SLOTS) likeness without a shift


class BeatContext(ArrayStage):
    """Per row: the intervals before, the usual beats, and how like them the last beats were. Rows
    as in models/signal/stage.py."""

    def __init__(self, **more: Field) -> None:
        super().__init__(
            last=Field(np.float64, fresh=np.nan),  # R peak of the beat before, samples
            # intervals, s, newest last; NaN where unknown
            rr=Field(np.float32, (LONG,), fresh=np.nan),
            # likeness of the last beats to the dominant one: whole, and its P wave
            past=Field(np.float32, (2, RECENT), fresh=1.0),
            usual=Field(np.float32, (SLOTS, SHAPE)),
            weight=Field(np.float32, (SLOTS,)),
            taken=Field(np.float32, (SLOTS,)),
            # mean and mean square of log(interval / median) of a slot's beats
            slot_rr=Field(np.float32, (SLOTS, 2)),
            residue=Field(np.float32),  # mean of 1 - likeness to the slot that a beat joined
            **more,
        )

    def restart(self, row: int, sample: int) -> int:
        """The next interval is unknown."""
        self._rows.last[row] = np.nan
        return sample

    def intervals(self, rows: Rows, at: Doubles) -> Doubles:
        """RR intervals in seconds up to the beats at these samples, one per row; NaN where unknown:
        (B,)."""
        return np.asarray((at - self._rows.last[rows]) / FS_HZ)

    def take(self, rows: Rows, at: Doubles, shape: Doubles | Floats) -> Seen:
        """The next beat of each of these rows: what the network sees of it, and remember it.

        Args:
            rows: (B,), each once.
            at: (B,) R peaks, in samples at 125 Hz.
            shape: (B, SHAPE) mV around the R peak, see `around`.
        """
        t = self._rows
        beat = shape.astype(np.float32)  # a tenth to a third less time than in double precision
        beat -= np.mean(beat, axis=1, keepdims=True)
        usual, weight = t.usual[rows], t.weight[rows]
        match = _match(beat, usual, weight)
        i = np.arange(len(rows))
        dominant, own = weight.argmax(axis=1), match.best.argmax(axis=1)
        fresh = weight[i, dominant] == 0
        first = np.where(fresh[:, None], beat, usual[i, dominant])
        second = np.where(fresh[:, None], beat, usual[i, own])
        height = np.maximum(np.ptp(first, axis=1), 0.02)[:, None]
        rr = self.intervals(rows, at)
        rr = np.where(rr <= MOST_RR_S, rr, np.nan)
        rhythm, prematurity, relative = _rhythm(rr, t.rr[rows])
        likeness, told = self._likeness(rows, beat, first, match, dominant, own)
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
        slot, like = self._remember(rows, at, rr, prematurity, beat, match, told)
        return Seen(
            np.asarray(np.clip(np.nan_to_num(values), -CLIP, CLIP), dtype=np.float32), slot, like
        )

    def _likeness(
        self,
        rows: Rows,
        beat: Floats,
        first: Floats,
        match: _Match,
        dominant: npt.NDArray[np.intp],
        own: npt.NDArray[np.intp],
    ) -> tuple[Doubles, Doubles]:
        """LIKENESS, and of that what is kept of the beat: likeness to the dominant one, whole and P
        part: (B, len), (B, 2)."""
        t, i = self._rows, np.arange(len(rows))
        fresh = t.weight[rows, dominant] == 0
        like = np.where(fresh, 1.0, match.best[i, dominant])
        laid = _moved(beat, np.where(fresh, 0, SHIFTS[match.shift[i, dominant]]))
        parts = [_correlation(laid[:, part], first[:, part]) for part in (P_PART, QRS_PART, T_PART)]
        height = np.maximum(np.ptp(first, axis=1), 0.02)
        sizes = [
            _log_ratio(_spread(laid[:, part]), _spread(first[:, part]), height)
            for part in (P_PART, T_PART)
        ]
        share = t.weight[rows] / np.maximum(t.weight[rows].sum(axis=1, keepdims=True), 1e-9)
        mean, square = t.slot_rr[rows, own, 0], t.slot_rr[rows, own, 1]
        width, usual_width = _width(beat), _width(first)
        best = np.where(fresh, 1.0, match.best[i, own])
        columns = [
            4 * (like - 0.75),
            4 * (np.where(fresh, 1.0, match.still[i, dominant]) - 0.75),
            2 * _log_ratio(_spread(beat[:, QRS_PART]), _spread(first[:, QRS_PART]), height),
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
            2 * _asymmetry(beat),
        ]
        return np.stack(columns, axis=1), np.stack([like, parts[0]], axis=1)

    def _remember(
        self,
        rows: Rows,
        at: Doubles,
        rr: Doubles,
        prematurity: Doubles,
        beat: Floats,
        match: _Match,
        told: Doubles,
    ) -> tuple[npt.NDArray[np.intp], Doubles]:
        """The slot that each beat went to, and how like the best one was."""
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
        laid = _moved(beat, np.where(joins, SHIFTS[match.shift[i, slot]], 0))
        t.usual[rows, slot] += part[:, None] * (laid - t.usual[rows, slot])
        early = np.nan_to_num(prematurity)
        moments = np.stack([early, early * early], axis=1)
        t.slot_rr[rows, slot] += part[:, None] * (moments - t.slot_rr[rows, slot])
        residue = np.where(joins, 1 - like, t.residue[rows])
        t.residue[rows] += 0.05 * (residue - t.residue[rows])
        t.past[rows, :, :-1] = t.past[rows, :, 1:]
        t.past[rows, :, -1] = told
        t.rr[rows, :-1] = t.rr[rows, 1:]
        t.rr[rows, -1] = rr
        t.last[rows] = at
        return slot, like.astype(np.float64)  # likeness is in single precision; votes are in double


def around(x: Floats, window: npt.NDArray[np.intp], r: Doubles) -> Floats:
    """The signal x (B, T) around the R peaks at samples r of these windows: (P, SHAPE)."""
    at = np.clip(
        np.rint(r).astype(np.intp)[:, None] + np.arange(-BEFORE, AFTER, STRIDE), 0, x.shape[1] - 1
    )
    return np.asarray(x[window[:, None], at], dtype=np.float32)


def _match(beat: Floats, usual: Doubles, weight: Doubles) -> _Match:
    """Likeness 2ab / (a^2 + b^2) over CORE, best over SHIFTS: 1 for the same shape of the same
    height, 0 for unlike ones."""
    # (B, shifts, n)
    moved = np.stack([beat[:, CORE.start + s : CORE.stop + s] for s in SHIFTS], axis=1)
    moved = moved - moved.mean(axis=2, keepdims=True)
    fixed = usual[:, :, CORE] - usual[:, :, CORE].mean(axis=2, keepdims=True)  # (B, SLOTS, n)
    product = (moved[:, None] * fixed[:, :, None]).sum(axis=3)  # (B, SLOTS, shifts)
    power = np.square(moved).sum(axis=2)[:, None] + np.square(fixed).sum(axis=2)[:, :, None]
    like = np.where(weight[:, :, None] > 0, 2 * product / np.maximum(power, 1e-9), -1.0)
    shift = like.argmax(axis=2)
    return _Match(like.max(axis=2), shift, like[:, :, len(SHIFTS) // 2])


def _moved(beat: Floats, shift: npt.NDArray[np.intp]) -> Floats:
    """Each beat (B, SHAPE) moved so that its sample i + shift comes to i."""
    at = np.clip(np.arange(SHAPE) + shift[:, None], 0, SHAPE - 1)
    return np.asarray(beat[np.arange(len(beat))[:, None], at])


def _rhythm(rr: Doubles, past: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """RHYTHM (B, n); log of rr over the long median (B,); the last RECENT intervals as 8 log(rr /
    long median) (B, RECENT)."""
    short, long = _sorted(past[:, -SHORT:]), _sorted(past)
    m_short, m_long = short.quantile(0.5), long.quantile(0.5)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread_short, spread_long = (
            _sorted(np.abs(past[:, -n:] - m[:, None])).quantile(0.5) / m
            for n, m in ((SHORT, m_short), (LONG, m_long))
        )
        steps = np.abs(np.diff(past, axis=1))
        steps_short, steps_long = (
            _sorted(steps[:, -SHORT:]).quantile(0.5) / m_short,
            _sorted(steps).quantile(0.5) / m_long,
        )
        early = np.log(rr / m_long)
        columns = [
            8 * np.log(rr / m_short),
            8 * early,
            8 * np.log(rr / past[:, -1]),
            8 * np.log(past[:, -1] / m_long),
            8 * np.log(rr / long.quantile(0.1)),
            8 * np.log(rr / long.quantile(0.9)),
            4 * (short.rank(rr) - 0.5),
            4 * (long.rank(rr) - 0.5),
            0.5 * (rr - m_short) / (spread_short * m_short + 0.01),
            16 * spread_short,
            16 * spread_long,
            8 * steps_short,
            8 * steps_long,
            4 * np.log(m_long / 0.8),
            2 * long.known / LONG - 1,
            np.where(np.isnan(rr), 1.0, 0.0),
        ]
        relative = 8 * np.log(past[:, -RECENT:] / m_long[:, None])
    return np.stack(columns, axis=1), early, relative


class _Sorted(NamedTuple):
    """Known values of each row in order, NaN last: (B, n); how many are known: (B,)."""

    values: Doubles
    known: npt.NDArray[np.intp]

    def quantile(self, q: float) -> Doubles:
        """Between two values linearly; NaN below two."""
        place = q * np.maximum(self.known - 1, 0)
        low = place.astype(np.intp)
        i = np.arange(len(self.values))
        a, b = (
            self.values[i, low],
            self.values[i, np.minimum(low + 1, np.maximum(self.known - 1, 0))],
        )
        return np.where(self.known >= 2, a + (place - low) * (b - a), np.nan)

    def rank(self, x: Doubles) -> Doubles:
        """Share of the known values that are below x; NaN where there are fewer than two."""
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(
                self.known >= 2, (self.values < x[:, None]).sum(axis=1) / self.known, np.nan
            )


def _sorted(values: Doubles) -> _Sorted:
    return _Sorted(np.sort(values, axis=1), np.sum(~np.isnan(values), axis=1))


def _correlation(a: Floats, b: Floats) -> Doubles:
    a, b = a - a.mean(axis=1, keepdims=True), b - b.mean(axis=1, keepdims=True)
    power = np.sqrt(np.square(a).sum(axis=1) * np.square(b).sum(axis=1))
    return np.asarray((a * b).sum(axis=1) / np.maximum(power, 1e-9))


def _spread(x: Floats) -> Doubles:
    return np.asarray(np.ptp(x, axis=1))


def _log_ratio(a: Doubles, b: Doubles, height: Doubles) -> Doubles:
    """Of two sizes, where a fiftieth of the usual beat's height is as good as nothing."""
    least = 0.02 * height
    return np.asarray(np.log(np.maximum(a, least) / np.maximum(b, least)))


def _width(x: Floats) -> Doubles:
    """How far from its centre the QRS moves, in values (16 ms): standard deviation of the place,
    weighted by squared steps: (B,)."""
    power = np.square(np.diff(x[:, R - 8 : R + 13], axis=1)) + 1e-9
    place = np.arange(power.shape[1])
    total = power.sum(axis=1)
    mean = (power * place).sum(axis=1) / total
    return np.asarray(
        np.sqrt(np.maximum((power * np.square(place - mean[:, None])).sum(axis=1) / total, 0.05))
    )


def _asymmetry(x: Floats) -> Doubles:
    """From -1, QRS wholly below the baseline, to 1, wholly above: (B,)."""
    part = x[:, QRS_PART]
    high, low = part.max(axis=1), part.min(axis=1)
    return np.asarray((high + low) / np.maximum(high - low, 1e-3))
