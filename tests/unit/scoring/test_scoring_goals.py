"""Goals, tables and gallery from judgements made by hand: what counts for which goal, and which
strips are chosen."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from ecgwatch.evaluating import summary
from ecgwatch.evaluating.gallery import FALSE_HIGH, LATE, MISSED, PER_RECORD, moments
from ecgwatch.evaluating.goals import goals
from ecgwatch.evaluating.judge import BeatStatistics, Judgement
from ecgwatch.evaluating.page import page
from ecgwatch.evaluating.plain import report
from ecgwatch.evaluating.tables import FigureTable
from ecgwatch.evaluating.task import EvaluationTask
from ingest.messages import AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring.alarms import (
    AlarmScore,
    AnsweredCondition,
    JudgedAlarm,
    ReferenceCondition,
)
from stream_processor.scoring.beats import BeatScore
from stream_processor.scoring.cinc2015 import ChallengeAnswer, Question
from stream_processor.scoring.counts import TwoSided
from stream_processor.scoring.episodes import EpisodeScore
from stream_processor.scoring.rates import RateScore
from stream_processor.scoring.reference import Mark, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm
from stream_processor.scoring.runs import CLASSES

HOUR = 3600.0
VF = "ventricular_fibrillation"


def alarm(kind: AlarmKind, true: bool | None, at: float = 100.0) -> JudgedAlarm:
    return JudgedAlarm(
        ReportedAlarm(kind, CATALOGUE[kind].priority, at, at + 4, at + 4, math.inf), true
    )


def due(kind: AlarmKind, delay: float | None, label: str = "") -> AnsweredCondition:
    return AnsweredCondition(
        ReferenceCondition(kind, 50.0, 70.0, True, label),
        "missed" if delay is None else "raised",
        delay,
        None,
    )


def judged(
    name: str,
    *alarms: JudgedAlarm,
    due: tuple[AnsweredCondition, ...] = (),
    lethal: bool = False,
    beats: str | None = "N" * 1000,
    database: str = "mitdb",
) -> Judgement:
    """An hour of a record; `beats` are the reference's classes, None where it has no beats."""
    task = EvaluationTask(
        Path("/records") / name, database, "atr", None, 0, seen=False, start_s=300.0
    )
    reference = Record(
        250.0, round(HOUR * 250), tuple(Mark(i, c) for i, c in enumerate(beats or ""))
    )
    runs = {kind: TwoSided() for kind in CLASSES}
    statistics = BeatStatistics(
        BeatScore({"Nn": 1000}),
        runs,
        runs,
        RateScore(10, 0, 5.0, 2.5, 0.1),
        sum(c != "N" for c in beats or ""),
    )
    none = EpisodeScore(TwoSided(), TwoSided())
    return Judgement(
        task,
        HOUR,
        "II",
        1.0,
        reference,
        Record(250.0, reference.n),
        [x.alarm for x in alarms],
        AlarmScore(1.0, alarms, 0, due, lethal),
        None if beats is None else statistics,
        none,
        none,
    )


def asked(record: str, true: bool, ours: bool) -> Judgement:
    question = Question(record, "Asystole", true)
    task = EvaluationTask(
        Path("/records") / record, "cinc2015", "", question, None, seen=False, start_s=300.0
    )
    record_of = Record(250.0, 75000)
    return Judgement(
        task,
        300.0,
        "II",
        0.2,
        record_of,
        record_of,
        [],
        answer=ChallengeAnswer(question, ours, ("asystole",) if ours else ()),
    )


def value(found: list[Judgement], goal: str) -> object:
    return {str(row[0]): row[1] for row in goals(found).rows}.get(goal)


CALM = "false high-priority alarms per h, no lethal rhythm"
ALL_N = "false alarms of any priority per h, annotated all N"
NEARLY_N = "false alarms of any priority per h, below 1% other beats"


def test_false_high_alarms_count_where_no_rhythm_is_lethal() -> None:
    """Three hours, one of them of a patient with a lethal rhythm; one false high alarm in each;
    what is true or medium does not count."""
    wrong = alarm(VF, False)
    found = [
        judged("a", wrong, alarm("asystole", True)),
        judged("b", alarm("pause", False)),
        judged("c", wrong, lethal=True),
    ]
    assert value(found, CALM) == 0.5
    assert value([found[2]], CALM) is None


def test_normal_records_are_those_annotated_all_n() -> None:
    """Technical alarms are told apart; less than one beat in a hundred makes the second line."""
    found = [
        judged("a", alarm("pause", False), alarm("hr_low", True), alarm("artefact", None)),
        judged("b", alarm("pause", False), alarm("pvc_couplet", False), beats="N" * 995 + "V" * 5),
        judged("c", alarm("pause", False), beats="N" * 900 + "V" * 100),
    ]
    assert value(found, ALL_N) == 1.0
    assert value(found, NEARLY_N) == 1.5


def test_limits_of_mitdb_are_not_put_to_other_records() -> None:
    limits = {row[0]: row[2] for row in goals([judged("a")]).rows}
    assert limits[CALM] == "<= 0.3"
    assert {row[2] for row in goals([judged("118e00", database="nstdb")]).rows} == {""}


def test_delays_and_episodes() -> None:
    """The 99th percentile is the worst of a few; an episode of AF is none that kills."""
    some = (
        due(VF, 5.0, "VF"),
        due("asystole", 9.0, "ASYS"),
        due(VF, None, "VFL"),
        due("atrial_fibrillation", None, "AFIB"),
    )
    found = [judged("418", due=some, beats=None, database="vfdb")]
    assert value(found, "high-priority onset to alarm, p99, s") == 9.0
    assert value(found, "episodes of VF, VFL, VT, asystole >= 10 s raised, %") == pytest.approx(
        66.67, abs=0.01
    )


def test_the_challenge() -> None:
    found = [asked("a1l", True, True), asked("a2l", False, False), asked("a3l", True, False)]
    assert value(found, "CinC 2015 score, one ECG lead") == pytest.approx(100 * 2 / 7)
    # the wrong answer first
    assert [row[0] for row in summary.records(found).rows] == ["a3l", "a1l", "a2l"]


def test_the_gallery_shows_the_worst_of_each_record() -> None:
    """Two strips of a record and group, missed conditions of high priority before others, alarms
    that are late only from 8 s on."""
    found = [
        judged(
            "a",
            *(alarm("asystole", False, at) for at in (100.0, 200.0, 300.0)),
            due=(due("pause", None), due(VF, None), due(VF, 7.0)),
        ),
        judged("b", alarm(VF, False), due=(due(VF, 9.0),)),
    ]
    chosen = moments(found)
    assert [
        (m.group, m.judged.name, m.caption.split()[0]) for m in chosen if m.group in (MISSED, LATE)
    ] == [(MISSED, "a", VF), (MISSED, "a", "pause"), (LATE, "b", VF)]
    assert [m.judged.name for m in chosen if m.group == FALSE_HIGH].count("a") == PER_RECORD


def test_everything_can_be_written(tmp_path: Path) -> None:
    """JSON without infinity, a page in which a record's name is text and not markup."""
    found = [judged("<b>&", alarm(VF, False), due=(due(VF, 5.0, "VF"),)), judged("b", beats=None)]
    tables = summary.tables(found)
    text = json.dumps(report("heading", tables, summary.records(found), found), allow_nan=False)
    assert json.loads(text)["records"][0]["judged"][0]["end_s"] is None
    html = page("title", "heading", tables, summary.records(found), found, [])
    assert "&lt;b&gt;&amp;" in html
    assert "<b>" not in html


def test_a_table_is_aligned() -> None:
    table = FigureTable(
        "Title",
        [("name", ""), ("value", ".1f")],
        [("a", 1.25), ("longer", None), ("b", 10)],
        "A note.",
    )
    assert table.text().splitlines() == [
        "Title",
        "  name   value",
        "  a        1.2",
        "  longer     -",
        "  b       10.0",
        "  A note.",
    ]
    assert table.plain()["rows"] == [
        {"name": "a", "value": 1.25},
        {"name": "longer", "value": None},
        {"name": "b", "value": 10},
    ]
