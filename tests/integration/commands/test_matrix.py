"""A slice of the simulated matrix through the data path; all of it: `ecgwatch evaluate matrix`."""

from __future__ import annotations

import pytest

from ecgwatch.evaluating.matrix import judge, outcome, table
from ecgwatch.evaluating.matrix_cases import Case, cases
from ingest.messages import AlarmKind, Priority
from stream_processor.scoring.reported_alarms import ReportedAlarm

CASES = cases({})
HIGH: Priority = "high"


def one(row: str, words: str = "") -> Case:
    return next(c for c in CASES if c.row == row and words in c.name)


def alarm(kind: AlarmKind, from_s: float, to_s: float) -> ReportedAlarm:
    return ReportedAlarm(kind, HIGH, from_s, from_s, from_s, to_s)


def test_every_kind_has_its_cases() -> None:
    lethal = [c for c in CASES if c.kinds]
    assert len({c.name for c in CASES}) == len(CASES)
    assert len(CASES) >= 150  # and seven for each patient's V beats
    assert len({c.row for c in lethal}) == 10
    assert len({c.row for c in CASES}) - 10 == 9


@pytest.mark.parametrize(
    ("alarms", "in_time", "held", "right"),
    [
        # |  VT ------------------- |
        ([("ventricular_tachycardia", 30, 67)], True, True, True),
        ([("ventricular_tachycardia", 37, 67)], False, True, True),
        ([("ventricular_tachycardia", 30, 40)], True, False, True),
        # ends and comes again within the hole that interrupts nothing
        (
            [("ventricular_tachycardia", 30, 40), ("ventricular_tachycardia", 41, 66)],
            True,
            True,
            True,
        ),
        ([("ventricular_tachycardia", 30, 67), ("asystole", 45, 47)], True, True, False),
        # the asystole is of what came after
        ([("ventricular_tachycardia", 30, 67), ("asystole", 72, 80)], True, True, True),
        ([], False, False, True),
    ],
)
def test_a_tachycardia_is_raised_held_and_named(
    alarms: list[tuple[AlarmKind, float, float]], in_time: bool, held: bool, right: bool
) -> None:
    case = one("VT 150-190/min", "monophasic")
    o = outcome(case, [alarm(*a) for a in alarms])
    assert (o.in_time, o.held, o.right) == (in_time, held, right)


def test_a_twin_may_have_no_high_alarm_but_what_is_excused() -> None:
    assert outcome(one("bigeminy"), []).good
    assert not outcome(one("bigeminy"), [alarm("ventricular_tachycardia", 30, 40)]).good
    assert outcome(one("exercise"), [alarm("extreme_tachycardia", 30, 40)]).good


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("VT 150-190/min", "triphasic 172/min"),
        ("VF coarse", "clean"),
        ("flutter", "clean"),
        ("asystole, drift", "drift"),
        ("bigeminy", ""),
    ],
)
def test_a_plain_case_of_each_kind_is_good(row: str, words: str) -> None:
    found = judge(one(row, words))
    assert found.good, table([found]).text()
