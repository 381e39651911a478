"""PR, QRS, QT and QTc of the average beat, and which of its marks are unsure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dashboards.measures.average import BEFORE_S, aligned, cut
from dashboards.measures.delineation import Marks, delineate

Floats = npt.NDArray[np.float64]

LEAST = 5  # beats, one for each partial average
_GROUPS = 5  # partial averages, whose marks must agree
# ms of spread (the standard deviation over partial averages) from which a mark is unsure
_SPREAD_MS = {"p_on": 10, "p_off": 10, "qrs_on": 6, "qrs_off": 8, "t_peak": 10, "t_off": 12}
# ms; a value outside is more likely a wrong mark than a heart
_BELIEVED = {"pr": (80, 400), "qrs": (50, 240), "qt": (220, 640)}


class AverageBeat(NamedTuple):
    """The average beat, its marks and intervals. An interval with an unsure mark is None."""

    beat: Floats  # (n,) mV
    fs_hz: float
    beats: int
    rr_ms: float  # mean
    marks: Marks
    unsure: tuple[str, ...]  # names of marks that are not found, or not the same in all parts
    pr_ms: float | None
    qrs_ms: float | None
    qt_ms: float | None
    qtc_fridericia_ms: float | None  # QT / RR^(1/3), RR in s
    qtc_bazett_ms: float | None  # QT / RR^(1/2)


def measure(signal: Floats, peaks: Sequence[int], fs_hz: float, rr_ms: float) -> AverageBeat | None:
    """Average the beats at `peaks` (samples) of a signal (n,) in mV and measure the average.

    None if fewer than LEAST beats are whole and alike.
    """
    beats = aligned(cut(signal, peaks, fs_hz), fs_hz)
    if len(beats) < LEAST:
        return None
    r = round(BEFORE_S * fs_hz)
    beat = beats.mean(axis=0)
    marks = delineate(beat, r, fs_hz, rr_ms / 1000)
    parts = [
        delineate(beats[k::_GROUPS].mean(axis=0), r, fs_hz, rr_ms / 1000) for k in range(_GROUPS)
    ]
    unsure = {name for name in Marks._fields if _differs(name, marks, parts, fs_hz)}
    found = {
        "pr": _between(marks.p_on, marks.qrs_on, fs_hz),
        "qrs": _between(marks.qrs_on, marks.qrs_off, fs_hz),
        "qt": _between(marks.qrs_on, marks.t_off, fs_hz),
    }
    ends = {"pr": ("p_on", "qrs_on"), "qrs": ("qrs_on", "qrs_off"), "qt": ("qrs_on", "t_off")}
    for name, value in found.items():
        low, high = _BELIEVED[name]
        if value is not None and not low <= value <= high:
            unsure.add(ends[name][0 if name == "pr" else 1])
    kept = {n: None if unsure & set(ends[n]) else value for n, value in found.items()}
    qt, rr_s = kept["qt"], rr_ms / 1000
    return AverageBeat(
        beat,
        fs_hz,
        len(beats),
        rr_ms,
        marks,
        tuple(name for name in Marks._fields if name in unsure),
        kept["pr"],
        kept["qrs"],
        qt,
        None if qt is None else qt / rr_s ** (1 / 3),
        None if qt is None else qt / rr_s**0.5,
    )


def _differs(name: str, marks: Marks, parts: Sequence[Marks], fs_hz: float) -> bool:
    """True if a mark is missing, or the partial averages do not agree on it."""
    places = [place for part in parts if (place := getattr(part, name)) is not None]
    if getattr(marks, name) is None or len(places) < len(parts):
        return True
    return bool(np.std(places, ddof=1) / fs_hz * 1000 > _SPREAD_MS[name])


def _between(first: int | None, last: int | None, fs_hz: float) -> float | None:
    return None if first is None or last is None else (last - first) / fs_hz * 1000
