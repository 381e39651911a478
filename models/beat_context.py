"""What a beat is judged by: its shape, the patient's own dominant beat, and the intervals before it. The ONE definition for training
and serving.

Causal: nothing after 0.48 s behind the R peak. The dominant beat is a running mean of the beats that were called N, as in de Chazal and
Reilly (2006, DOI 10.1109/TBME.2006.883802); we differ: no annotated beat of the patient is needed, the beats called N so far stand in.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.conditioning import FS_HZ
from models.stage import Field, Rows, State, Table

BEFORE, AFTER, STRIDE = 44, 60, 2  # samples at 125 Hz around the R peak, every second one is kept
SHAPE = (BEFORE + AFTER) // STRIDE
SCALARS = 14
FEATURES = 2 * SHAPE + SCALARS
N, S, V = range(3)  # classes
INTERVALS = 8
DOMINANT_OF = 16  # beats that the dominant beat is a mean of
MOST_RR_S = 3.0  # a longer interval is a pause or a gap, and says nothing of prematurity
CLIP = 4.0
Floats = npt.NDArray[np.float32]


class BeatContext:
    """Per row: the dominant beat, intervals between beats, and what the beat before was. Rows as in models/stage.py."""

    def __init__(self) -> None:
        self._rows = Table(
            dominant=Field(np.float64, (SHAPE,)),
            taken=Field(np.int64),
            dominant_v=Field(np.float64),  # mean probability of V of the beats in the dominant one
            last=Field(np.float64, fresh=np.nan),  # R peak of the beat before, samples
            before=Field(np.float64, fresh=np.nan),  # the interval before that, s
            last_v=Field(np.float64),
            last_class=Field(np.int64, fresh=N),
            normal=Field(np.float64, (INTERVALS,), fresh=np.nan),  # intervals between beats called N, s
            recent=Field(np.float64, (INTERVALS,), fresh=np.nan),  # intervals between beats not called V, s
        )

    def open(self) -> int:
        """A fresh row."""
        return self._rows.open()

    def close(self, row: int) -> None:
        """Give the row back."""
        self._rows.close(row)

    def snapshot(self, row: int) -> State:
        """The row as plain data."""
        return self._rows.snapshot(row)

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot."""
        self._rows.restore(row, state)

    def interrupt(self, row: int) -> None:
        """The next interval is unknown, as after a gap."""
        self._rows.last[row] = self._rows.before[row] = np.nan

    def intervals(self, rows: Rows, at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """RR intervals in seconds up to the beats at these samples, one per row; NaN where unknown: (B,)."""
        return np.asarray((at - self._rows.last[rows]) / FS_HZ)

    def features(
        self, rows: Rows, at: npt.NDArray[np.float64], shape: npt.NDArray[np.float64], ventricular: npt.NDArray[np.float64]
    ) -> Floats:
        """What the network sees of one beat of each of these rows.

        Args:
            rows: (B,), each once.
            at: (B,) R peaks, samples.
            shape: (B, SHAPE) mV around the R peak.
            ventricular: (B,) the beat network's probability of V.

        Returns: (B, FEATURES).
        """
        t = self._rows
        known = t.taken[rows] > 0
        dominant = np.where(known[:, None], t.dominant[rows], shape)
        height = np.maximum(np.ptp(dominant, axis=1), 0.02)
        beat, usual = _centred(shape) / height[:, None], _centred(dominant) / height[:, None]
        power = np.sqrt(np.sum(np.square(beat), axis=1) * np.sum(np.square(usual), axis=1))
        rr, before = self.intervals(rows, at), t.before[rows]
        rr = np.where(rr <= MOST_RR_S, rr, np.nan)
        normal, spread = _median_and_spread(t.normal[rows])
        recent, _ = _median_and_spread(t.recent[rows])
        scalars = np.stack(
            [
                4 * (ventricular - 0.5),
                4 * (t.dominant_v[rows] - 0.5),
                2 * np.sum(beat * usual, axis=1) / np.maximum(power, 1e-9),
                np.log(np.maximum(np.ptp(shape, axis=1), 0.01) / height),
                4 * np.sqrt(np.mean(np.square(beat - usual), axis=1)),
                _ratio(rr, normal), _ratio(before, normal), _ratio(rr, before), _ratio(rr, recent),
                np.nan_to_num(8 * spread / normal), np.nan_to_num(2 * np.log(normal / 0.8)),
                4 * (t.last_v[rows] - 0.5), np.where(t.last_class[rows] == S, 1.0, 0.0), np.where(known, 1.0, 0.0),
            ],
            axis=1,
        )  # fmt: skip
        return np.asarray(np.clip(np.concatenate([beat, usual, scalars], axis=1), -CLIP, CLIP), dtype=np.float32)

    def take(
        self, rows: Rows, at: npt.NDArray[np.float64], shape: npt.NDArray[np.float64], ventricular: npt.NDArray[np.float64],
        called: npt.NDArray[np.int64],
    ) -> None:  # fmt: skip
        """Remember one beat of each row, and what it was called."""
        t = self._rows
        rr, last_class = self.intervals(rows, at), t.last_class[rows]
        known = rr <= MOST_RR_S
        _append(t.recent, rows[known & (called != V) & (last_class != V)], rr[known & (called != V) & (last_class != V)])
        plain = known & (called == N) & (last_class == N)
        _append(t.normal, rows[plain], rr[plain])
        mean, own = rows[called == N], called == N
        t.taken[mean] += 1
        weight = 1.0 / np.minimum(t.taken[mean], DOMINANT_OF)
        t.dominant[mean] += weight[:, None] * (shape[own] - t.dominant[mean])
        t.dominant_v[mean] += weight * (ventricular[own] - t.dominant_v[mean])
        t.before[rows], t.last[rows], t.last_v[rows], t.last_class[rows] = rr, at, ventricular, called


def beat_shapes(x: Floats, window: npt.NDArray[np.intp], r: npt.NDArray[np.float64]) -> Floats:
    """The signal x (B, T) around the R peaks at samples r of these windows: (P, SHAPE)."""
    reach = np.arange(-BEFORE, AFTER, STRIDE)
    at = np.clip(np.rint(r).astype(np.intp)[:, None] + reach, 0, x.shape[1] - 1)
    return np.asarray(x[window[:, None], at], dtype=np.float32)


def _centred(shape: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return np.asarray(shape - np.mean(shape, axis=1, keepdims=True))


def _ratio(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Log ratio, stretched so that a tenth shorter is about one; 0 where unknown."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.nan_to_num(8 * np.log(a / b), nan=0.0, posinf=CLIP, neginf=-CLIP))


def _median_and_spread(values: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Median and median absolute deviation of the known values of each row; NaN below two."""
    median = _median(values)
    return median, _median(np.abs(values - median[:, None]))


def _median(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """As np.nanmedian, without its loop over rows; NaN below two values."""
    ordered = np.sort(values, axis=1)  # NaN last
    count = np.sum(~np.isnan(values), axis=1)
    i = np.arange(len(values))
    low, high = ordered[i, np.maximum((count - 1) // 2, 0)], ordered[i, np.minimum(count // 2, values.shape[1] - 1)]
    return np.where(count >= 2, (low + high) / 2, np.nan)


def _append(history: npt.NDArray[np.float64], rows: Rows, values: npt.NDArray[np.float64]) -> None:
    history[rows, :-1] = history[rows, 1:]
    history[rows, -1] = values
