"""Decoding of QRS logits to beats. The ONE definition for training's figures and for serving.

The target of a QRS is a box of 13 samples (R +-48 ms), so the probability is smoothed with a
triangle of the same width: a perfect box gives 1 at the R peak. Everything works element by element
or row by row, so a row's beats cannot depend on the other rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.signal.windows import BEAT_SPEC, InputSpec

Floats = npt.NDArray[np.float32]

# Share of the peak of a perfect QRS. A lower value finds more QRS complexes, and more false beats in
# asystole and motion.
THRESHOLD = 0.4
HALF_WIDTH = 6  # half width of a QRS target, of the smoothing triangle and of the V average: 48 ms
REFRACTORY = 25  # samples, 200 ms: beats closer than this are one
SEARCH = 6  # samples to either side of the network's centre in which the R peak lies (48 ms)
# Samples beyond the new part in which a peak is still reported: the next window may place it a
# little to the other side.
EDGE = 3


class Peaks(NamedTuple):
    """Beats found in a batch of windows, by row and then by position."""

    row: npt.NDArray[np.intp]  # (n,)
    position: npt.NDArray[np.float64]  # (n,) R peak, in samples of the window
    confidence: Floats  # (n,) 0-1
    # (n,) samples to the next sure QRS (THRESHOLD); inf if the window shows none
    ahead: npt.NDArray[np.float64]


def decode(logits: Floats, spec: InputSpec = BEAT_SPEC, threshold: float = THRESHOLD) -> Peaks:
    """Find the beats whose peak lies in the new part of each window, or up to EDGE samples outside.

    Two windows may both report a peak within EDGE samples of their border; the caller keeps one
    beat in 200 ms.

    Args:
        logits: (B, spec.length).
        spec: defines the new part; at least 34 samples must lie before and after it.
        threshold: on the smoothed probability.

    Returns peaks with positions in samples of the window.
    """
    begin, end = spec.before - EDGE, spec.before + spec.hop + EDGE
    first = begin - REFRACTORY  # sample of the first smoothed value
    seen = triangle(sigmoid(logits[:, first - HALF_WIDTH :]))  # (B, spec.length - 6 - first)
    smooth = seen[:, : end + REFRACTORY - first]
    inner = smooth[:, REFRACTORY:-REFRACTORY]
    highest = running_maximum(smooth, 2 * REFRACTORY + 1)
    row, at = np.nonzero((inner >= threshold) & (inner == highest))
    # later peaks of a plateau

    again = (np.diff(row, prepend=-1) == 0) & (np.diff(at, prepend=-REFRACTORY) < REFRACTORY)
    row, at = row[~again], at[~again]
    near = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    around = smooth[row[:, None], at[:, None] + REFRACTORY + near].astype(np.float64)
    shift = (around * near).sum(axis=1) / around.sum(axis=1)
    return Peaks(row, at + begin + shift, inner[row, at], _ahead(seen, row, at + REFRACTORY))


def _ahead(
    smooth: Floats, row: npt.NDArray[np.intp], at: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """Return the samples from each peak, at column `at` of the smoothed probability (B, n), to the
    next value of at least THRESHOLD after the refractory period; inf if there is none."""
    sure = (smooth[row] >= THRESHOLD) & (np.arange(smooth.shape[1]) >= at[:, None] + REFRACTORY)
    return np.where(sure.any(axis=1), sure.argmax(axis=1) - at, np.inf)


def uncertainty(logits: Floats, spec: InputSpec = BEAT_SPEC) -> npt.NDArray[np.float64]:
    """Return how undecided the network is in each window's new part: the mean variance p (1 - p),
    from 0 to 0.25, (B,). About 0.01 for a clean ECG."""
    p = sigmoid(logits[:, spec.before : spec.before + spec.hop])
    return np.asarray((p * (1 - p)).mean(axis=1), np.float64)


def sigmoid(x: Floats) -> Floats:
    """Logistic function; beyond +-30 nothing changes in float32."""
    odds: Floats = np.exp(-np.clip(x, -30, 30))
    return np.float32(1) / (np.float32(1) + odds)


def triangle(p: Floats) -> Floats:
    """(B, n) to (B, n - 12): two means over seven samples, which together weigh 1..7..1."""
    return _mean7(_mean7(p))


def _mean7(x: Floats) -> Floats:
    """(B, n) to (B, n - 6), by sums of pairs and fours."""
    two = x[:, :-1] + x[:, 1:]
    four = two[:, :-2] + two[:, 2:]
    seven: Floats = four[:, :-3] + two[:, 4:-1] + x[:, 6:]
    return seven * np.float32(1 / 7)


def running_maximum(x: Floats, width: int) -> Floats:
    """Return the maximum of every `width` neighbours of x (B, n), by doubling: (B, n - width +
    1)."""
    covered = 1
    while 2 * covered <= width:
        x = np.maximum(x[:, :-covered], x[:, covered:])
        covered *= 2
    rest = width - covered
    return np.maximum(x[:, :-rest], x[:, rest:]) if rest else x


def r_peak(
    x: Floats, window: npt.NDArray[np.intp], position: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """Find the largest deflection near each position, interpolated between samples by a parabola.

    Args:
        x: (B, T) signal of each window, mV.
        window: (P,) row of `x` of each position.
        position: (P,) sample in the window.

    Returns positions in the window (P,).
    """
    centre = np.clip(np.rint(position).astype(np.intp), SEARCH + 1, x.shape[1] - SEARCH - 2)
    near = np.abs(x[window[:, None], centre[:, None] + np.arange(-SEARCH - 1, SEARCH + 2)]).astype(
        np.float64
    )
    best = 1 + near[:, 1:-1].argmax(axis=1)
    i = np.arange(len(near))
    left, top, right = near[i, best - 1], near[i, best], near[i, best + 1]
    bend = left - 2 * top + right
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = np.where((left < top) & (right < top), 0.5 * (left - right) / bend, 0.0)
    return np.asarray(centre - SEARCH - 1 + best + shift)
