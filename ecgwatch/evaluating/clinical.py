"""Figures of one record that a clinician would ask for, in addition to those of EC57."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from ecgwatch.evaluating.references import ArtefactGrade
from ingest.messages import Vitals
from ingest.sources.base import Source
from models.signal.conditioning import FS_HZ, condition
from stream_processor.scoring.beats import WINDOW_S, match
from stream_processor.scoring.episodes import overlap
from stream_processor.scoring.reference import Episode, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm

VENTRICULAR = ("VF", "VFL", "VT")
FIRST_S = 30.0  # of an episode of VF whose label runs on through shocks and compressions
MOVES_MV = 0.06  # RMS in BAND_HZ from which a signal moves
BAND_HZ = (1.5, 25.0)
STILL_OF_S = 4.0
RATE_S = 10
UNREADABLE = 0.5  # share of the last 10 s that is readable, below which nothing is
STRETCH_S = 10.0


@dataclass(frozen=True)
class Clinical:
    """Sums of one record; they add up over records but for `rate_errors`, which are joined."""

    moving_asystoles: int = 0  # announced while the signal moved
    wave_s: float = 0.0  # VF, flutter or VT of the reference, the first 30 s of each where only VF
    wave_found_s: float = 0.0
    calm_s: float = 0.0  # outside of every lethal rhythm
    calm_called_s: float = 0.0  # of it called VF, flutter or VT
    false_s: int = 0
    s_in_af: int = 0  # false S in AF of the reference
    af_hours: float = 0.0
    af_called_s: float = 0.0
    v_beats: int = 0
    s_beats: int = 0
    grade_4: int = 0  # stretches of 10 s and more
    grade_4_found: int = 0
    good_s: float = 0.0  # of grades 1 and 2
    good_unreadable_s: float = 0.0
    rate_errors: tuple[float, ...] = field(default=())  # % over 10 s each


def clinical(
    source: Source,
    ref: Record,
    ours: Record,
    alarms: Sequence[ReportedAlarm],
    vitals: Sequence[Vitals],
    reference_rate: dict[int, float] | None,
    grades: Sequence[ArtefactGrade],
    *,
    first_only: bool,
    labels: Sequence[str] = VENTRICULAR,
) -> Clinical:
    """Compute the figures of one record. `first_only`: only the first 30 s of each lethal episode
    count; `labels`: the labels that are right for one."""
    lethal = ref.episodes(VENTRICULAR)
    wanted = [_first(e, ref.fs_hz) if first_only else e for e in lethal]
    called = ours.episodes(labels)
    asystole = ref.episodes(("ASYS",))
    af = ref.episodes(("AFIB",))
    lethal_n = sum(e.end - e.start for e in lethal)
    called_n = sum(e.end - e.start for e in called)
    called_in_lethal_n = sum(overlap(e, called) for e in lethal)
    false_s = _false_s(ref, ours)
    return Clinical(
        _moving(source, alarms, asystole, ref.fs_hz),
        sum(e.end - e.start for e in wanted) / ref.fs_hz,
        sum(overlap(e, called) for e in wanted) / ref.fs_hz,
        (ref.n - lethal_n) / ref.fs_hz,
        (called_n - called_in_lethal_n) / ref.fs_hz,
        len(false_s),
        sum(any(e.start <= at < e.end for e in af) for at in false_s),
        sum(e.end - e.start for e in af) / ref.fs_hz / 3600,
        sum(e.end - e.start for e in ours.episodes(("AFIB",))) / ref.fs_hz,
        sum(b.label == "V" for b in ours.beats),
        sum(b.label == "S" for b in ours.beats),
        *_graded(grades, vitals),
        rate_errors=_rate_errors(reference_rate or {}, vitals),
    )


def _first(e: Episode, fs_hz: float) -> Episode:
    return e._replace(end=min(e.end, e.start + round(FIRST_S * fs_hz)))


def _false_s(ref: Record, ours: Record) -> list[int]:
    """Samples of beats labelled S here but not in the reference; all S beats if the reference has
    no beats."""
    test = [b for b in ours.beats if b.label == "S"]
    partners = match(
        [b.sample for b in ref.beats], [b.sample for b in ours.beats], int(WINDOW_S * ref.fs_hz)
    )
    right = {
        ours.beats[j].sample
        for b, j in zip(ref.beats, partners, strict=True)
        if j is not None and b.label == "S"
    }
    return [b.sample for b in test if b.sample not in right]


def _moving(
    source: Source, alarms: Sequence[ReportedAlarm], asystole: Sequence[Episode], fs_hz: float
) -> int:
    """Announced asystoles that the reference does not have, although the signal moved in the 4 s
    before."""
    announced = [a for a in alarms if a.kind == "asystole" and a.announced_s is not None]
    announced = [
        a
        for a in announced
        if not any(e.start <= (a.announced_s or 0) * fs_hz < e.end + 5 * fs_hz for e in asystole)
    ]
    if not announced:
        return 0
    counts = np.concatenate([block.counts for block in source.blocks()])
    x = condition(counts, source.fs_hz, source.counts_per_mv)
    sos = dsp.butter(2, BAND_HZ, "bandpass", fs=FS_HZ, output="sos")
    y = dsp.sosfiltfilt(sos, x)
    return sum(_moves(y, a.raised_s) for a in announced)


def _moves(y: npt.NDArray[np.float64], at_s: float) -> bool:
    """True if the signal moves in at least three of the four seconds before."""
    end = round(at_s * FS_HZ)
    seconds = [
        y[max(0, end - (k + 1) * FS_HZ) : max(0, end - k * FS_HZ)] for k in range(int(STILL_OF_S))
    ]
    moving = [len(s) > 0 and float(np.sqrt(np.mean(s * s))) >= MOVES_MV for s in seconds]
    return sum(moving) >= 3


def _graded(
    grades: Sequence[ArtefactGrade], vitals: Sequence[Vitals]
) -> tuple[int, int, float, float]:
    """Stretches of grade 4, those in which the signal was called unreadable, seconds of grades 1
    and 2, and of them called unreadable. Quality looks back on 10 s: so do the stretches."""
    qualities = [(v.time_ns / 1e9, v.quality) for v in vitals]
    bad = [g for g in grades if g.grade == 4 and g.end_s - g.start_s >= STRETCH_S - 0.1]
    found = sum(
        any(g.start_s < t <= g.end_s + 1 and q < UNREADABLE for t, q in qualities) for g in bad
    )
    good = [
        (t, q)
        for t, q in qualities
        if any(g.grade <= 2 and g.start_s <= t < g.end_s for g in grades)
        and all(g.grade <= 2 for g in grades if g.start_s < t and g.end_s > t - STRETCH_S)
    ]
    return len(bad), found, float(len(good)), float(sum(q < UNREADABLE for _, q in good))


def _rate_errors(reference: dict[int, float], vitals: Sequence[Vitals]) -> tuple[float, ...]:
    """|Error| in % of the mean of 10 s, for each 10 s in which both have a rate all the time."""
    ours = {round(v.time_ns * FS_HZ / 1e9): v.hr_bpm for v in vitals if v.hr_bpm is not None}
    both = sorted(at for at in reference if at in ours)
    found = []
    for i in range(0, len(both) - RATE_S + 1, RATE_S):
        these = both[i : i + RATE_S]
        if these[-1] - these[0] > (RATE_S + 1) * FS_HZ:
            continue
        true = sum(reference[at] for at in these) / RATE_S
        found.append(100 * abs(sum(ours[at] for at in these) / RATE_S - true) / true)
    return tuple(found)
