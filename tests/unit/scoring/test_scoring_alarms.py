"""Alarms against what there ought to be: conditions of a reference, and alarms of ours drawn under
it.

In the drawings one character is 1 s: = is where a condition or an alarm holds, ! where ours was
announced.
"""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from ingest.errors import BadInputError
from ingest.messages import Alarm, AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring import cinc2015
from stream_processor.scoring.alarms import (
    ReferenceCondition,
    answer,
    conditions,
    judge,
    nearest_rank,
    score_alarms,
)
from stream_processor.scoring.cinc2015 import ChallengeAnswer, Question
from stream_processor.scoring.counts import Counts
from stream_processor.scoring.expected_alarms import expected
from stream_processor.scoring.reference import Episode, Mark, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm, assemble

FS = 250.0
VF, VT, ASYSTOLE = "ventricular_fibrillation", "ventricular_tachycardia", "asystole"


def condition(line: str, kind: AlarmKind = VF, label: str = "VF") -> ReferenceCondition:
    return ReferenceCondition(kind, line.index("="), line.rindex("=") + 1, True, label)


def alarm(line: str, kind: AlarmKind = VF) -> ReportedAlarm:
    """From its first character to its last, announced at the !; without one it was held back."""
    held = [i for i, c in enumerate(line) if c in "=!"]
    announced = float(line.index("!")) if "!" in line else None
    end = math.inf if line.endswith(">") else held[-1] + 1.0
    return ReportedAlarm(
        kind, CATALOGUE[kind].priority, held[0], announced or held[-1], announced, end
    )


ANSWERS = [  # (what became of it, delay)
    # announced within the episode
    ("   =============        ", "     ===!====           ", "raised", 5.0),
    # announced before, and on for the first ten seconds or to the end
    ("      ===========       ", " !================      ", "held", None),
    ("      ====              ", " !=========             ", "held", None),
    # announced before, but soon over, and nothing else
    ("      ===========       ", " !=======               ", "missed", None),
    # announced when an annotated episode was over
    ("   =======              ", "     =======!==         ", "missed", None),
    # held back all the time
    ("   =======              ", "     =======            ", "missed", None),
]


@pytest.mark.parametrize(("reference", "ours", "what", "delay"), ANSWERS)
def test_answer(reference: str, ours: str, what: str, delay: float | None) -> None:
    found = answer(condition(reference), [alarm(ours)])
    assert (found.answer, found.delay_s) == (what, delay)


def test_the_first_announced_alarm_of_high_priority_answers() -> None:
    """Whatever its kind: somebody comes. One that was on but soon over does not, the next one does."""
    episode = condition("   =================    ")
    ours = [
        alarm(" !===                    ", VT),
        alarm("     ==!====             ", ASYSTOLE),
        alarm("        ====!====        ", VF),
    ]
    found = answer(episode, ours)
    assert (found.answer, found.delay_s, found.by) == ("raised", 4.0, ASYSTOLE)
    assert answer(episode, [alarm("     ==!====             ", "hr_high")]).answer == "missed"


def test_a_run_found_by_the_rules_may_be_told_just_after_its_end() -> None:
    """Five beats take 2 s; an alarm 1 s later is in time, as long as its own condition covers the
    run."""
    run = condition("   ==               ", VT, label="")
    assert answer(run, [alarm("   ===!             ", VT)]).delay_s == 3.0


def test_other_conditions_are_found_by_their_kind_or_a_worse_one() -> None:
    pause = condition("    ===             ", "pause", "")
    # held back is found, too
    assert answer(pause, [alarm("    ==              ", "pause")]).answer == "raised"
    assert answer(pause, [alarm("    ===!            ", ASYSTOLE)]).answer == "raised"
    assert answer(pause, [alarm("    ==!             ", "hr_high")]).answer == "missed"


JUDGED: list[tuple[str, str, AlarmKind, AlarmKind, bool, bool | None]] = [
    # condition, ours, their kinds, whether there are beats, verdict
    # any lethal condition within 10 s excuses a high alarm
    ("  ====                    ", "             !==          ", ASYSTOLE, VF, True, True),
    ("  ====                    ", "                  !==     ", ASYSTOLE, VF, True, False),
    # a pause is not lethal
    ("  ====                    ", "      !==                 ", "pause", ASYSTOLE, True, False),
    # within 5 s, of the kind or a worse one of its chain
    ("  ====                    ", "          !=              ", ASYSTOLE, "pause", True, True),
    ("  ====                    ", "             !=           ", ASYSTOLE, "pause", True, False),
    ("  ====                    ", "    !=                    ", "pause", "hr_high", True, False),
    # without beats only lethal rhythms can be judged
    ("  ====                    ", "    !=                    ", VF, "pause", False, None),
    (
        "  ====                    ",
        "                  !==     ",
        VF,
        "extreme_tachycardia",
        False,
        None,
    ),
    (
        "  ====                    ",
        "    !==                   ",
        VF,
        "extreme_tachycardia",
        False,
        True,
    ),
    ("  ====                    ", "                  !==     ", VF, VT, False, False),
    # a technical alarm is never judged
    ("  ====                    ", "    !=                    ", VF, "artefact", True, None),
]


@pytest.mark.parametrize(("reference", "ours", "theirs", "kind", "has_beats", "verdict"), JUDGED)
def test_judge(
    reference: str,
    ours: str,
    theirs: AlarmKind,
    kind: AlarmKind,
    has_beats: bool,
    verdict: bool | None,
) -> None:
    assert (
        judge(
            alarm(ours, kind), [condition(reference, theirs)], has_beats=has_beats, has_rhythm=True
        )
        is verdict
    )


def test_where_no_rhythm_is_annotated_af_is_neither_right_nor_wrong() -> None:
    ours = alarm("    !=                    ", "atrial_fibrillation")
    assert judge(ours, [], has_beats=True, has_rhythm=True) is False
    assert judge(ours, [], has_beats=True, has_rhythm=False) is None


def record(
    *beats: tuple[float, str], rhythm: tuple[Episode, ...] = (), duration_s: float = 120.0
) -> Record:
    return Record(
        FS,
        round(duration_s * FS),
        tuple(Mark(round(at * FS), label) for at, label in beats),
        rhythm,
    )


def steady(start: float, end: float, rr: float, label: str = "N") -> list[tuple[float, str]]:
    return [(start + i * rr, label) for i in range(int((end - start) / rr))]


def test_the_rules_on_reference_beats() -> None:
    """N at 75/min with seven V at 150/min from 60 s, and 6 s of silence from 90 s: one VT and one
    asystole; fusion beats count as V."""
    run = [(60.0 + 0.4 * i, "F" if i == 3 else "V") for i in range(7)]
    reference = record(
        *steady(0.5, 59.5, 0.8), *run, *steady(63.5, 90.0, 0.8), *steady(96.0, 119.0, 0.8)
    )
    truth = expected(reference)
    high = {a.kind: a for a in truth.alarms if a.priority == "high"}
    assert set(high) == {VT, ASYSTOLE}
    assert high[VT].onset_s == pytest.approx(60.0, abs=0.02)
    assert high[ASYSTOLE].onset_s == pytest.approx(89.1, abs=0.5)
    assert truth.heart_rate[(50 * 125) - 11] == pytest.approx(75.0, abs=0.5)


@pytest.mark.parametrize(
    ("classes", "rr", "runs"),
    [
        ("NNVVVVVNN", 0.5, 1),
        ("NNVVVVNNN", 0.5, 0),  # four are not enough
        ("NNVVVNVVN", 0.5, 0),  # nor five of six
        ("NNVVSVVVN", 0.5, 0),
        ("NNVVVVVNN", 0.61, 0),  # 98/min
        ("NNVVVVVVV", 0.5, 1),
        ("VVVVVNVVVVV", 0.5, 2),
    ],
)
def test_ventricular_tachycardia_is_five_v_in_a_row(classes: str, rr: float, runs: int) -> None:
    """Whatever the product's rule forgives."""
    beats = [(20.0 + i * rr, c) for i, c in enumerate(classes)]
    truth = expected(
        record(*steady(0.5, 19.5, 0.8), *beats, *steady(beats[-1][0] + 0.8, 119.0, 0.8))
    )
    assert sum(a.kind == VT for a in truth.alarms) == runs


def test_a_reference_without_anything_ought_to_be_silent() -> None:
    assert expected(record(*steady(0.5, 119.5, 0.8))).alarms == []


def test_a_perfect_detector_has_no_false_and_no_missed_alarms() -> None:
    reference = record(
        *steady(0.5, 59.5, 0.8), *steady(60.0, 63.0, 0.4, "V"), *steady(63.5, 119.0, 0.8)
    )
    truth = expected(reference)
    found = score_alarms(reference, truth, truth.alarms)
    assert found.lethal
    assert all(x.true for x in found.judged)
    assert [d.answer for d in found.due if d.condition.kind == VT] == ["raised"]
    assert all(d.answer != "missed" for d in found.due)


def test_conditions_of_annotated_rhythms() -> None:
    """Without beats an episode is due from 10 s on; with beats only fibrillation is, from 4 s on,
    for the rules know of the rest."""
    rhythm = tuple(
        Episode(round(a * FS), round(z * FS), label)
        for a, z, label in [(10, 15, "VF"), (20, 35, "VT"), (40, 80, "AFIB"), (90, 95, "ASYS")]
    )
    bare = conditions(record(rhythm=rhythm), None)
    assert [(c.kind, c.due) for c in bare] == [
        (VF, False),
        (VT, True),
        ("atrial_fibrillation", True),
        (ASYSTOLE, False),
    ]
    reference = record(*steady(0.5, 9.5, 0.8), *steady(16.0, 119.5, 0.8), rhythm=rhythm)
    with_beats = conditions(reference, expected(reference))
    assert [(c.kind, c.due) for c in with_beats if c.label] == [
        (VF, True),
        (VT, False),
        (ASYSTOLE, False),
    ]
    assert "atrial_fibrillation" in {c.kind for c in with_beats}


def step(what: str, changed: float, *, announced: bool, end: float | None = None) -> Alarm:
    return Alarm(
        patient_id="p",
        device_id="d",
        lead="II",
        fs_hz=FS,
        id="p:pause:1",
        kind="pause",
        priority="medium",
        step=what,
        changed_ns=round(changed * 1e9),
        onset_ns=10**9,
        raised_ns=round(4e9),
        end_ns=None if end is None else round(end * 1e9),
        onset_sample=250,
        raised_sample=1000,
        announced=announced,
    )


def test_an_alarm_is_announced_when_it_first_is() -> None:
    """Held back at first by a worse one, announced 3 s later, held back again, ended."""
    steps = [
        step("onset", 4, announced=False),
        step("update", 7, announced=True),
        step("update", 9, announced=False),
    ]
    assert assemble([*steps, step("end", 12, announced=False, end=11)]) == [
        ReportedAlarm("pause", "medium", 1.0, 4.0, 7.0, 11.0)
    ]
    assert assemble(steps[:1]) == [ReportedAlarm("pause", "medium", 1.0, 4.0, None, math.inf)]


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([], 99, None), ([3.0], 50, 3.0), (range(1, 101), 99, 99), ([1, 9], 99, 9)],
)
def test_nearest_rank(values: list[float], percent: float, expected: float | None) -> None:
    assert nearest_rank(values, percent) == expected


def test_the_challenge_weighs_a_missed_alarm_five_times() -> None:
    question = [Question("r", "Asystole", true) for true in (True, True, False, False, False)]
    answers = [
        ChallengeAnswer(q, ours, ())
        for q, ours in zip(question, (True, False, True, False, False), strict=True)
    ]
    counted = cinc2015.counts(answers)
    assert counted == Counts(tp=1, fn=1, fp=1, tn=2)
    assert cinc2015.score(counted) == pytest.approx(100 * 3 / (3 + 1 + 5))
    assert cinc2015.score(Counts()) is None


def question(kind: str) -> Question:
    return Question("v100s", kind, True)


CHALLENGE: list[tuple[str, AlarmKind, float, float, bool]] = [
    ("Asystole", ASYSTOLE, 293.0, math.inf, True),
    ("Asystole", "pause", 293.0, math.inf, False),  # per kind
    ("Ventricular_Tachycardia", VF, 293.0, math.inf, False),
    ("Ventricular_Tachycardia", VT, 270.0, 287.9, False),  # over before the window
    ("Ventricular_Tachycardia", VT, 270.0, 288.0, True),
    ("Bradycardia", "extreme_bradycardia", 280.0, 295.0, True),
]


@pytest.mark.parametrize(("asked", "kind", "onset", "end", "ours"), CHALLENGE)
def test_an_answer_to_the_challenge(
    asked: str, kind: AlarmKind, onset: float, end: float, ours: bool
) -> None:
    found = cinc2015.answer(
        question(asked), [ReportedAlarm(kind, "high", onset, onset + 4, onset + 4, end)]
    )
    assert found.ours is ours
    assert not cinc2015.answer(question(asked), []).ours


def test_questions_of_the_challenge(tmp_path: Path) -> None:
    file = tmp_path / "ALARMS"
    file.write_text("a103l,Asystole,False\nv100s,Ventricular_Tachycardia,True\n")
    assert cinc2015.questions(file) == [
        Question("a103l", "Asystole", False),
        Question("v100s", "Ventricular_Tachycardia", True),
    ]
    file.write_text("a103l,Asystole,False\na104l,Asystole,perhaps\n")
    with pytest.raises(BadInputError, match="line 2"):
        cinc2015.questions(file)
    with pytest.raises(BadInputError, match="cannot read"):
        cinc2015.questions(tmp_path / "none")


def test_vt_within_salvos_of_unknown_length_is_not_judged() -> None:
    """VFDB's HGEA; a fibrillation there, or a VT elsewhere, is false."""
    rhythm = (Episode(0, int(100 * FS), "N"), Episode(int(100 * FS), int(200 * FS), "HGEA"))
    record = Record(FS, int(200 * FS), rhythm=rhythm)
    ours = [
        ReportedAlarm(VT, "high", 150.0, 152.0, 152.0, 160.0),
        ReportedAlarm(VF, "high", 150.0, 154.0, 154.0, 160.0),
        ReportedAlarm(VT, "high", 50.0, 52.0, 52.0, 55.0),
    ]
    assert [j.true for j in score_alarms(record, None, ours).judged] == [None, False, False]
