"""The worst misses and false alarms as strips on ECG paper: the reference above, ours below, the
event shaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from dashboards.paper import Mark, strip_svg
from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.sums.alarms import all_due, clock, is_high, rhythm_at
from ingest.sources.wfdb_record import WfdbSource
from stream_processor.scoring import cinc2015
from stream_processor.scoring.reference import Mark as Beat
from stream_processor.scoring.reference import Record

STRIP_S, BEFORE_S = 10.0, 3.0
PER_GROUP, PER_RECORD = 10, 2  # strips; of the challenge all
LATE_S = 8.0
ALARM, ALARM_COLOUR = "\N{BLACK UP-POINTING TRIANGLE}", "#c00000"
COLOURS = {"N": "#1a7f37", "S": "#7b3fb5", "V": "#c45500", "F": "#a06a00", "Q": "#777777"}


class GalleryMoment(NamedTuple):
    """A moment worth showing: a miss or a false alarm."""

    group: str
    weight: float  # sort key: the worst first
    judged: Judgement
    start_s: float
    end_s: float
    caption: str


class GalleryStrip(NamedTuple):
    """A strip, ready for the page."""

    group: str
    caption: str
    svg: str


def moments(found: Sequence[Judgement]) -> list[GalleryMoment]:
    """The worst of each group, at most two of a record, so that one bad record does not hide the
    others."""
    everything = [
        m for j in found for m in (*_conditions(j), *_alarms(j), *_answers(j), *_beats(j))
    ]
    groups = list(
        dict.fromkeys(m.group for m in sorted(everything, key=lambda m: ORDER.index(m.group)))
    )
    chosen: list[GalleryMoment] = []
    for group in groups:
        of_record: Counter[str] = Counter()
        kept: list[GalleryMoment] = []
        for m in sorted(
            (m for m in everything if m.group == group),
            key=lambda m: (-m.weight, m.judged.name, m.start_s),
        ):
            if of_record[m.judged.name] < PER_RECORD and (len(kept) < PER_GROUP or m.judged.answer):
                of_record[m.judged.name] += 1
                kept.append(m)
        chosen += kept
    return chosen


MISSED, LATE, FALSE_HIGH, FALSE_OTHER = (
    "Missed conditions",
    "Late alarms",
    "False alarms of high priority",
    "Other false alarms",
)
SILENT, CRYING = "CinC 2015: true alarms denied", "CinC 2015: false alarms believed"
NO_QRS, NO_BEAT, WRONG_V = "QRS complexes missed", "Beats that are none", "V and not V"
ORDER = (MISSED, LATE, FALSE_HIGH, SILENT, CRYING, FALSE_OTHER, NO_QRS, NO_BEAT, WRONG_V)


def _conditions(j: Judgement) -> Iterator[GalleryMoment]:
    for d in all_due([j]):
        c = d.condition
        if d.answer == "missed":
            high = 1000.0 if is_high(d) else 0.0
            yield GalleryMoment(
                MISSED, high + c.end_s - c.start_s, j, c.start_s, c.end_s, f"{c.kind} missed"
            )
        elif d.delay_s is not None and d.delay_s > LATE_S:
            yield GalleryMoment(
                LATE,
                d.delay_s,
                j,
                c.start_s,
                c.end_s,
                f"{c.kind} told after {d.delay_s:.1f} s, by {d.by}",
            )


def _alarms(j: Judgement) -> Iterator[GalleryMoment]:
    seen: Counter[str] = Counter()
    for x in j.alarms.judged if j.alarms else ():
        a = x.alarm
        if x.true is False:
            seen[a.kind] += 1
            rhythm = rhythm_at(j.reference, a.raised_s)
            group = FALSE_HIGH if a.priority == "high" else FALSE_OTHER
            caption = f"false {a.kind}" + (f", annotated {rhythm}" if rhythm else "")
            # a kind's first ones first
            yield GalleryMoment(
                group, 1 / seen[a.kind], j, a.onset_s, min(a.end_s, j.duration_s), caption
            )


def _answers(j: Judgement) -> Iterator[GalleryMoment]:
    if j.answer and j.answer.ours != j.answer.question.true:
        question = j.answer.question
        held = f"; held: {', '.join(j.answer.held) or 'none'}"
        start = cinc2015.ALARM_AT_S - cinc2015.WINDOW_S
        yield GalleryMoment(
            SILENT if question.true else CRYING,
            1.0,
            j,
            start,
            cinc2015.ALARM_AT_S,
            f"{question.kind} is {question.true}{held}",
        )


def _beats(j: Judgement) -> Iterator[GalleryMoment]:
    if not j.beats:
        return
    b, fs = j.beats.beats, j.reference.fs_hz
    for group, marks in ((NO_QRS, b.missed), (NO_BEAT, b.extra), (WRONG_V, b.wrong_v)):
        times = [m.sample / fs for m in marks]
        for at in _densest(times):
            many = sum(at <= t < at + STRIP_S for t in times)
            yield GalleryMoment(group, many, j, at, at, f"{many} in 10 s")


def _densest(times: Sequence[float]) -> list[float]:
    """The stretches in which most of them begin, without overlap."""
    counted = sorted(
        ((sum(at <= t < at + STRIP_S for t in times), -at) for at in times), reverse=True
    )
    kept: list[float] = []
    for _, negative in counted:
        if all(abs(-negative - k) >= STRIP_S for k in kept):
            kept.append(-negative)
        if len(kept) == PER_RECORD:
            break
    return kept


def strips(chosen: Iterable[GalleryMoment]) -> Iterator[GalleryStrip]:
    """Read the signal of each moment and draw it."""
    for m in chosen:
        start = max(0.0, min(m.start_s - BEFORE_S, m.judged.duration_s - STRIP_S))
        if m.judged.answer:
            start = cinc2015.ALARM_AT_S - STRIP_S - 2.0
        source = WfdbSource(m.judged.task.path)
        mv = _signal(source, start, start + STRIP_S + (2.0 if m.judged.answer else 0.0))
        where = f"{m.judged.name} {source.lead} {clock(start)}, {m.judged.network}"
        below = [*_marks(m.judged.ours, start), *_announced(m.judged, start)]
        span = (m.start_s - start, max(m.end_s, m.start_s + 0.1) - start)
        svg = strip_svg(
            mv,
            source.fs_hz,
            start_label=where,
            marks=_marks(m.judged.reference, start),
            marks_below=below,
            span=span,
        )
        yield GalleryStrip(m.group, f"{m.judged.name} {clock(m.start_s)}: {m.caption}", svg)


def _signal(
    source: WfdbSource, start_s: float, end_s: float
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    parts, wanted = [], round((end_s - start_s) * source.fs_hz)
    for block in source.blocks(start_s):
        parts.append(block.counts / source.counts_per_mv)
        if sum(map(len, parts)) >= wanted:
            break
    return np.concatenate(parts or [np.zeros(0)])[:wanted]


def _marks(record: Record, start_s: float) -> list[Mark]:
    inside = [b for b in record.beats if 0 <= b.sample / record.fs_hz - start_s < STRIP_S + 2]
    return [_mark(b, record.fs_hz, start_s) for b in inside]


def _announced(j: Judgement, start_s: float) -> list[Mark]:
    """Times at which alarms of high priority were announced."""
    times = [
        a.announced_s - start_s
        for a in j.reported
        if a.announced_s is not None and a.priority == "high"
    ]
    return [(at, ALARM, ALARM_COLOUR) for at in times if 0 <= at < STRIP_S + 2]


def _mark(beat: Beat, fs_hz: float, start_s: float) -> Mark:
    return beat.sample / fs_hz - start_s, beat.label, COLOURS[beat.label]
