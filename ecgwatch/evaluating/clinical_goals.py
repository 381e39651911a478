"""Rows on the clinical correctness of the monitor, each with its goal."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence

from ecgwatch.evaluating.clinical import Clinical
from ecgwatch.evaluating.judge import Judgement
from ecgwatch.evaluating.sums.alarms import all_due, all_judged, is_high
from ecgwatch.evaluating.tables import Cell, FigureTable
from stream_processor.scoring.alarms import nearest_rank
from stream_processor.scoring.counts import Counts, percent

Row = tuple[Cell, ...]
LEAST_BEATS = 10  # of a class, below which a patient's F1 of it says nothing
DUE_IN_S = 10.0
FALSE_HIGH = {
    "mitdb": ("0.1", "0.03"),
    "nsrdb": ("0.05", "0.01"),
    "motion_artefact": ("1", "0.2"),
    "vfdb": ("4", "1"),
}


def rows(found: Sequence[Judgement]) -> FigureTable:
    """Every row for which these records suffice."""
    some = [j for j in found if j.clinical]
    if not some:
        return FigureTable("Clinical goals", [], [])
    database = some[0].task.database
    parts = [_asystole(some), *_false_alarms(database, some)]
    parts += _lethal(database, some) + _beats(some) + _healthy(database, some)
    parts += _atrial(some) + _quality(some) + _rate(some)
    columns = [("goal", ""), ("value", ".4g"), ("must", ""), ("aim", ""), ("on", "")]
    return FigureTable("Clinical goals", columns, parts)


def _sum(found: Sequence[Judgement], pick: Callable[[Clinical], float]) -> float:
    return sum(pick(j.clinical) for j in found if j.clinical)


def _hours(found: Sequence[Judgement]) -> float:
    return sum(j.alarms.hours for j in found if j.alarms)


def _asystole(found: Sequence[Judgement]) -> Row:
    where = [f"{j.name} ({n})" for j in found if j.clinical and (n := j.clinical.moving_asystoles)]
    n = int(_sum(found, lambda c: c.moving_asystoles))
    return ("asystole announced while the signal moves", n, "0", "0", " ".join(where))


def _false_alarms(database: str, found: Sequence[Judgement]) -> list[Row]:
    calm = [
        j for j in found if j.alarms and not (j.beats and j.alarms.lethal)
    ]  # if beats are annotated, records with a lethal rhythm are counted separately
    if not calm:
        return []
    false = [x for x in all_judged(calm) if x.true is False]
    high = [x for x in false if x.alarm.priority == "high"]
    worst = Counter(j.name for j in calm for x in all_judged([j]) if x in high).most_common(4)
    kinds = Counter(x.alarm.kind for x in high)
    details = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common())
    most = " ".join(f"{name} ({n})" for name, n in worst)
    must, aim = FALSE_HIGH.get(database, ("", ""))
    hours = _hours(calm)
    out: list[Row] = [
        (
            "false high alarms per hour",
            len(high) / hours,
            must,
            aim,
            f"{hours:.1f} h; {details}; {most}",
        )
    ]
    kinds = Counter(x.alarm.kind for x in false)
    details = ", ".join(f"{kind} {n}" for kind, n in kinds.most_common(8))
    limits = ("0.7", "0.2") if database == "nsrdb" else ("", "")
    if any(j.beats for j in calm) or database in ("nsrdb", "motion_artefact"):
        out.append(("false alarms of any kind per hour", len(false) / hours, *limits, details))
    return out


def _lethal(database: str, found: Sequence[Judgement]) -> list[Row]:
    if database not in ("vfdb", "cudb"):
        return []
    due = [d for d in all_due(found) if is_high(d) and d.condition.label]
    due = [d for d in due if d.condition.end_s - d.condition.start_s >= DUE_IN_S]
    in_time = [d.answer == "held" or (d.delay_s is not None and d.delay_s <= DUE_IN_S) for d in due]
    delays = [d.delay_s for d in due if d.delay_s is not None]
    vf = database == "cudb"
    name = "VF time in the first 30 s of each episode" if vf else "VF, flutter or VT time"
    must = ("88 / 99", "95 / 99.5") if vf else ("90 / 98", "95 / 99")
    se = percent(_sum(found, lambda c: c.wave_found_s), _sum(found, lambda c: c.wave_s))
    called, calm = _sum(found, lambda c: c.calm_called_s), _sum(found, lambda c: c.calm_s)
    late = [
        f"{j.name} {d.condition.start_s:.0f} s {d.condition.label} {d.answer} {d.delay_s or 0:.1f} s"
        for j in found
        for d in all_due([j])
        if d in due and d.answer != "held" and not (d.delay_s and d.delay_s <= DUE_IN_S)
    ]
    return [
        (f"{name}, Se, %", se, must[0], must[1], f"{_sum(found, lambda c: c.wave_s):.0f} s"),
        ("the same, Sp, %", 100 - (percent(called, calm) or 0), "", "", f"{calm:.0f} s"),
        (
            "episodes of 10 s and more raised in 10 s, %",
            percent(sum(in_time), len(due)),
            "100",
            "100",
            f"{sum(in_time)} of {len(due)}: {'; '.join(late)}",
        ),
        ("onset to high alarm, p99, s", nearest_rank(delays, 99), "10", "8", f"{len(delays)}"),
    ]


def _beats(found: Sequence[Judgement]) -> list[Row]:
    out: list[Row] = []
    with_beats = [j for j in found if j.beats]
    for name, must, aim in (("veb", "88", "92"), ("sveb", "60", "70")):
        each: list[tuple[str, Counts]] = [
            (j.name, getattr(j.beats.beats, name)) for j in with_beats if j.beats
        ]
        known = [(record, c) for record, c in each if c.tp + c.fn >= LEAST_BEATS]
        if known:
            f1 = [c.f1 or 0.0 for _, c in known]
            low = sorted(zip(f1, (r for r, _ in known), strict=True))[:4]
            details = ", ".join(f"{record} {value:.0f}" for value, record in low)
            what = "V" if name == "veb" else "S"
            row = (f"{what}: mean of patients' F1, %", statistics.mean(f1), must, aim)
            out.append((*row, f"{len(f1)} patients; lowest {details}"))
    hours = _sum(found, lambda c: c.af_hours)
    if with_beats and hours > 0.1:
        in_af = _sum(found, lambda c: c.s_in_af) / hours
        out.append(("false S per hour in AF", in_af, "10", "2", f"{hours:.1f} h of AF"))
    return out


def _healthy(database: str, found: Sequence[Judgement]) -> list[Row]:
    if database != "nsrdb":
        return []
    hours = _hours(found)
    s, v = _sum(found, lambda c: c.s_beats), _sum(found, lambda c: c.v_beats)
    af = _sum(found, lambda c: c.af_called_s)
    each = ", ".join(f"{j.name} {j.clinical.s_beats}" for j in found if j.clinical)
    return [
        ("S per hour in healthy people", s / hours, "5", "1", each),
        ("V per hour in healthy people", v / hours, "", "", ""),
        ("AF, minutes per day", af / 60 / hours * 24, "5", "0", ""),
    ]


def _atrial(found: Sequence[Judgement]) -> list[Row]:
    scored = [j for j in found if j.af and j.beats and j.clinical]
    truth = sum(j.af.seconds.se_tp + j.af.seconds.fn for j in scored if j.af)
    if not truth:
        return []
    hit = sum(j.af.seconds.se_tp for j in scored if j.af)
    false = sum(j.af.seconds.fp for j in scored if j.af)
    without = sum(j.duration_s - j.task.start_s for j in scored) - truth
    return [
        ("AF time, Se, %", percent(hit, truth), "97", "98", f"{truth / 60:.0f} min"),
        ("AF time, Sp, %", 100 - (percent(false, without) or 0), "99", "99.5", ""),
    ]


def _quality(found: Sequence[Judgement]) -> list[Row]:
    bad, good = _sum(found, lambda c: c.grade_4), _sum(found, lambda c: c.good_s)
    if not good:
        return []
    hit, wrong = _sum(found, lambda c: c.grade_4_found), _sum(found, lambda c: c.good_unreadable_s)
    share = percent(hit, bad)
    return [
        ("grade 4 for 10 s and more: called unreadable, %", share, "95", "100", f"{bad:.0f}"),
        ("grades 1 and 2 called unreadable, %", percent(wrong, good), "0.5", "0", f"{good:.0f} s"),
    ]


def _rate(found: Sequence[Judgement]) -> list[Row]:
    errors = sorted(e for j in found if j.clinical for e in j.clinical.rate_errors)
    if not errors:
        return []
    each = [(nearest_rank(j.clinical.rate_errors, 99) or 0, j.name) for j in found if j.clinical]
    worst = ", ".join(f"{name} {value:.0f} %" for value, name in sorted(each, reverse=True)[:4])
    note = f"{len(errors)} times 10 s; p99 worst {worst}"
    return [
        ("HR error over 10 s, median, %", statistics.median(errors), "", "", ""),
        ("HR error over 10 s, p99, %", nearest_rank(errors, 99), "5", "3", note),
    ]
