"""Beats over a period: ectopy, pauses and heart-rate variability."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dashboards.report.rhythm import ClippedEpisode
from ingest.messages import Beat
from stream_processor.pipeline.stages.variability import LEAST, NN_MS, NOT_SINUS

HOUR_NS = 3600 * 10**9
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class BeatArrays(NamedTuple):
    """The beats of a period in order of time, one array per field, each (n,)."""

    time_ns: Ints
    rr_ms: Floats  # NaN if there is none
    label: npt.NDArray[np.str_]


class Hour(NamedTuple):
    """Ectopic beats of one hour."""

    start_ns: int
    beats: int
    v: int
    v_couplets: int
    v_runs: int  # of three and more
    v_longest: int  # beats
    s: int
    s_couplets: int
    s_runs: int
    s_longest: int


class VariabilityFigures(NamedTuple):
    """SDNN and RMSSD over the whole period (Task Force 1996, DOI 10.1161/01.CIR.93.5.1043)."""

    sdnn_ms: float
    rmssd_ms: float
    intervals: int


def gather(beats: Iterable[Beat]) -> BeatArrays:
    """Convert beats to arrays."""
    rows = [(b.time_ns, b.rr_ms, b.label) for b in beats]
    times, rr, labels = zip(*rows, strict=True) if rows else ((), (), ())
    return BeatArrays(
        np.array(times, np.int64), np.array(rr, np.float64), np.array(labels, dtype="<U1")
    )


def hours(beats: BeatArrays, start_ns: int, end_ns: int) -> list[Hour]:
    """Each clock hour with a beat in it. A run belongs to the hour of its first beat; a gap in the
    signal ends it."""
    v, s = _runs(beats, "V"), _runs(beats, "S")
    found = []
    for begin in range(start_ns - start_ns % HOUR_NS, end_ns, HOUR_NS):
        within = slice(*np.searchsorted(beats.time_ns, [begin, begin + HOUR_NS]).tolist())
        label = beats.label[within]
        if label.size:
            of_v, of_s = (
                _ectopy(label, letter, runs, within) for letter, runs in (("V", v), ("S", s))
            )
            found.append(Hour(max(begin, start_ns), int(label.size), *of_v, *of_s))
    return found


def longest_interval(
    beats: BeatArrays, rhythm: Sequence[ClippedEpisode]
) -> tuple[int, float] | None:
    """(time of the beat before, ms) of the longest RR interval, without intervals that contain
    fibrillation or unreadable signal."""
    rr = beats.rr_ms.copy()
    begins = beats.time_ns - np.nan_to_num(rr * 1e6).astype(np.int64)
    for episode in rhythm:
        if episode.label in ("VF", "VFL", "~"):
            rr[(begins < episode.end_ns) & (beats.time_ns > episode.start_ns)] = np.nan
    if not np.isfinite(rr).any():
        return None
    at = int(np.nanargmax(rr))
    return int(begins[at]), float(rr[at])


def normal_intervals(beats: BeatArrays, rhythm: Sequence[ClippedEpisode]) -> npt.NDArray[np.bool_]:
    """Which intervals (n,) lie between two N beats where the sinus node leads, by the rules of
    pipeline/stages/variability.py."""
    normal = beats.label == "N"
    good: npt.NDArray[np.bool_] = (
        normal & np.r_[False, normal[:-1]] & (beats.rr_ms >= NN_MS[0]) & (beats.rr_ms <= NN_MS[1])
    )
    for episode in rhythm:
        if episode.label in NOT_SINUS:
            good[
                slice(*np.searchsorted(beats.time_ns, [episode.start_ns, episode.end_ns]).tolist())
            ] = False
    return good


def variability(beats: BeatArrays, rhythm: Sequence[ClippedEpisode]) -> VariabilityFigures | None:
    """Variability of the normal intervals; None if there are too few."""
    good = normal_intervals(beats, rhythm)
    nn = beats.rr_ms[good]
    steps = np.diff(beats.rr_ms)[good[1:] & good[:-1]]
    if nn.size < LEAST or steps.size < LEAST // 2:
        return None
    return VariabilityFigures(
        float(np.std(nn, ddof=1)), float(np.sqrt(np.mean(steps**2))), int(nn.size)
    )


def _runs(beats: BeatArrays, letter: str) -> Ints:
    """(first, length) of each run of marked beats, shape (m, 2)."""
    held = beats.label == letter
    fresh = held & ~(np.r_[False, held[:-1]] & np.isfinite(beats.rr_ms))
    first = np.flatnonzero(fresh)
    length = np.bincount(np.cumsum(fresh)[held], minlength=first.size + 1)[1:]
    return np.column_stack([first, length])


def _ectopy(
    label: npt.NDArray[np.str_], letter: str, runs: Ints, within: slice
) -> tuple[int, int, int, int]:
    """(beats, couplets, runs, longest) of the beats `within`."""
    length = runs[(runs[:, 0] >= within.start) & (runs[:, 0] < within.stop), 1]
    many = length[length >= 3]
    return (
        int((label == letter).sum()),
        int((length == 2).sum()),
        int(many.size),
        int(many.max(initial=0)),
    )
