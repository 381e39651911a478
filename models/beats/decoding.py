"""From the logits of a QRS to beats. The ONE definition for training's figures and for serving.

A target QRS is a box of 13 samples (R +-48 ms), so probability is smoothed with a triangle as wide:
a perfect box gives 1 at the R peak. Everything works element by element or row by row, so a row's
beats cannot depend on the rows beside it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from models.signal.windows import BEAT_SPEC, InputSpec

Floats = npt.NDArray[np.float32]

# of the peak that a perfect QRS would give; lower finds more QRS, and more beats in asystole and
# motion
THRESHOLD = 0.4
HALF_WIDTH = 6  # of a QRS target, of the smoothing triangle and of the V average: 48 ms
REFRACTORY = 25  # samples, 200 ms: beats closer than this are one
SEARCH = 6  # samples to each side of the network's centre in which the R peak is looked for (48 ms)
# samples beyond the new part where a peak is still reported: its neighbour may place it a little to
# the other side
EDGE = 3


class Peaks(NamedTuple):
    """Beats found in a batch of windows, by row and then by position."""

    row: npt.NDArray[np.intp]  # (n,)
    position: npt.NDArray[np.float64]  # (n,) R peak, in samples of the window
    confidence: Floats  # (n,) 0-1
    # (n,) samples to the next place where a QRS is sure (THRESHOLD); inf where the window shows
    # none
    ahead: npt.NDArray[np.float64]


def decode(logits: Floats, spec: InputSpec = BEAT_SPEC, threshold: float = THRESHOLD) -> Peaks:
    """Find the beats whose peak lies in the new part of each window, or up to EDGE samples outside.

    A peak is reported by both windows where it lies within EDGE samples of their border; whoever
    joins windows keeps one beat in 200 ms.

    Args:
        logits: (B, spec.length).
        spec: says where the new part is; at least 34 samples must lie before and after it.
        threshold: on the smoothed probability.

    Returns: peaks with positions in samples of the window.
    """
    begin, end = spec.before - EDGE, spec.before + spec.hop + EDGE
    first = begin - REFRACTORY  # sample of the first smoothed value
    seen = triangle(sigmoid(logits[:, first - HALF_WIDTH :]))  # (B, spec.length - 6 - first)
    smooth = seen[:, : end + REFRACTORY - first]
    inner = smooth[:, REFRACTORY:-REFRACTORY]
    highest = running_maximum(smooth, 2 * REFRACTORY + 1)
    row, at = np.nonzero((inner >= threshold) & (inner == highest))
    # a plateau
    again = (np.diff(row, prepend=-1) == 0) & (np.diff(at, prepend=-REFRACTORY) < REFRACTORY)
    row, at = row[~again], at[~again]
    near = np.arange(-HALF_WIDTH, HALF_WIDTH + 1)
    around = smooth[row[:, None], at[:, None] + REFRACTORY + near].astype(np.float64)
    shift = (around * near).sum(axis=1) / around.sum(axis=1)
    return Peaks(row, at + begin + shift, inner[row, at], _ahead(seen, row, at + REFRACTORY))


def _ahead(
    smooth: Floats, row: npt.NDArray[np.intp], at: npt.NDArray[np.intp]
) -> npt.NDArray[np.float64]:
    """How far after each peak, at its column of the smoothed probability (B, n), this reaches
    THRESHOLD beyond the refractory time."""
    sure = (smooth[row] >= THRESHOLD) & (np.arange(smooth.shape[1]) >= at[:, None] + REFRACTORY)
    return np.where(sure.any(axis=1), sure.argmax(axis=1) - at, np.inf)


def doubt(logits: Floats, spec: InputSpec = BEAT_SPEC) -> npt.NDArray[np.float64]:
    """How undecided the network is in each window's new part: mean variance of its yes or no, 0 to
    0.25, (B,). A clean ECG: 0.01."""
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
    """(B, n) to (B, n - width + 1): the largest of each `width` neighbours, by doubling."""
    covered = 1
    while 2 * covered <= width:
        x = np.maximum(x[:, :-covered], x[:, covered:])
        covered *= 2
    rest = width - covered
    return np.maximum(x[:, :-rest], x[:, rest:]) if rest else x


def r_peak(
    x: Floats, window: npt.NDArray[np.intp], position: npt.NDArray[np.floating]
) -> npt.NDArray[np.float64]:
    """The largest deflection near each position, between samples by a parabola: positions in the
    window, (P,)."""
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
