"""Run every case of the simulated matrix through the data path and tabulate the alarms by kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from ecgwatch.annotate import annotate
from ecgwatch.evaluating.matrix_cases import Case, cases
from ecgwatch.evaluating.tables import Cell, FigureTable
from ecgwatch.evaluating.task import ward_of
from ecgwatch.evaluating.vt_shapes import of_patients
from ingest.messages import AlarmKind
from ingest.sources.simulated import SimulatedSource
from stream_processor.scoring.counts import percent
from stream_processor.scoring.reported_alarms import ReportedAlarm, assemble

IN_TIME_S = 10.0
HOLE_S = 2.0  # longest gap without a right alarm that does not count as an interruption
SETTLES_S = 1.0  # before the end: an alarm may end within this time already
KNOWN_S = 4.0  # after the end: an alarm for the past rhythm may still come within this time
MOVING: frozenset[AlarmKind] = frozenset({"asystole"})


class Outcome(NamedTuple):
    """The result of one case."""

    case: Case
    high: tuple[
        ReportedAlarm, ...
    ]  # announced alarms of high priority, from the start of the rhythm on
    raised_s: float | None  # from its start to the first right alarm
    held: bool  # from then on to its end
    right: bool  # no other kind was announced in it, and none in a twin

    @property
    def good(self) -> bool:
        """True if every required alarm was raised, and no other."""
        if not self.case.kinds:
            return self.right
        return self.in_time and self.held and self.right

    @property
    def in_time(self) -> bool:
        """True if a right alarm came within IN_TIME_S."""
        return self.raised_s is not None and self.raised_s <= IN_TIME_S


def run(data: Path, wanted: Sequence[str] = ()) -> Iterable[Outcome]:
    """Judge every case, or those whose row or name holds one of these words."""
    for case in cases(of_patients(data / "mitdb")):
        if not wanted or any(word in f"{case.row} {case.name}" for word in wanted):
            yield judge(case)


def judge(case: Case) -> Outcome:
    """Run one case through the whole data path."""
    found = annotate(SimulatedSource(case.scenario, name=case.name), ward_of(None))
    return outcome(case, assemble(found.steps))


def outcome(case: Case, alarms: Sequence[ReportedAlarm]) -> Outcome:
    """Judge these alarms against the case."""
    high = [a for a in alarms if a.priority == "high" and a.announced_s is not None]
    if not case.kinds:
        false = tuple(a for a in high if a.kind not in case.excused)
        return Outcome(case, false, None, held=True, right=not false)
    during = tuple(
        a
        for a in high
        if (a.announced_s or 0) >= case.start_s
        and a.onset_s < case.end_s
        and a.end_s > case.start_s
    )
    fits = sorted((a.announced_s or 0, a.end_s) for a in during if a.kind in case.kinds)
    raised = fits[0][0] - case.start_s if fits else None
    wrong = [a for a in during if a.kind not in case.kinds and not _follows(a, case)]
    return Outcome(case, during, raised, _held(fits, case.end_s), not wrong)


def _follows(alarm: ReportedAlarm, case: Case) -> bool:
    """True if the alarm concerns the rate while the right alarm held, or the time after the
    rhythm."""
    return (alarm.announced_s or 0) > case.end_s + KNOWN_S


def _held(spans: Sequence[tuple[float, float]], end_s: float) -> bool:
    """True if right alarms held without a gap from the first to the end."""
    if not spans:
        return False
    until = spans[0][1]
    for start, end in spans[1:]:
        if start - until > HOLE_S:
            break
        until = max(until, end)
    return until >= end_s - SETTLES_S


def table(found: Sequence[Outcome]) -> FigureTable:
    """A row per kind of lethal rhythm and of benign twin, and the totals of both."""
    names = list(dict.fromkeys(o.case.row for o in found))
    lethal, twins = (
        [o for o in found if bool(o.case.kinds) is is_lethal] for is_lethal in (True, False)
    )
    rows = [_row(name, [o for o in found if o.case.row == name]) for name in names]
    rows += [
        _row(f"ALL {what}", some) for what, some in (("lethal", lethal), ("twins", twins)) if some
    ]
    columns = [
        ("simulated", ""),
        ("streams", "d"),
        ("raised in 10 s, %", ".1f"),
        ("held, %", ".1f"),
        ("right kind, %", ".1f"),
        ("all three, %", ".1f"),
        ("with a false high alarm", "d"),
    ]
    return FigureTable("Simulated matrix", columns, rows)


def _row(name: str, some: Sequence[Outcome]) -> tuple[Cell, ...]:
    n = len(some)
    if not some[0].case.kinds:
        return (name, n, None, None, None, None, sum(not o.good for o in some))
    return (
        name,
        n,
        percent(sum(o.in_time for o in some), n),
        percent(sum(o.held for o in some), n),
        percent(sum(o.right for o in some), n),
        percent(sum(o.good for o in some), n),
        None,
    )


def wrong(found: Sequence[Outcome]) -> FigureTable:
    """Every case that was not good, with what was announced."""
    rows: list[tuple[Cell, ...]] = []
    for o in found:
        if not o.good:
            raised_kinds = ", ".join(
                f"{a.kind} {(a.announced_s or 0) - o.case.start_s:.1f} to "
                f"{min(a.end_s, 999.0) - o.case.start_s:.1f}"
                for a in o.high
            )
            faults = [
                *(["late"] * (not o.in_time) + ["not held"] * (not o.held) if o.case.kinds else []),
                *["wrong kind"] * (not o.right),
            ]
            rows.append((o.case.row, o.case.name, " ".join(faults), raised_kinds or "nothing"))
    columns = [("row", ""), ("case", ""), ("fault", ""), ("announced, s after its onset", "")]
    return FigureTable("Cases that were not good", columns, rows)
