"""References of databases that are not annotated beat by beat: VF intervals (cudb),
healthy people (nsrdb), grades of artefact (motion_artefact)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from ingest.errors import BadInputError
from ingest.messages import AlarmKind
from stream_processor.pipeline.alarms.catalogue import CATALOGUE
from stream_processor.scoring.alarms import (
    AlarmScore,
    AnsweredCondition,
    JudgedAlarm,
    ReferenceCondition,
    answer,
    conditions,
    judge,
)
from stream_processor.scoring.reference import Episode, Record
from stream_processor.scoring.reported_alarms import ReportedAlarm

SETS = ("cudb", "nsrdb", "motion_artefact")
# near flat and without annotations over minutes
LEFT_OUT = {"cudb/cu28"}
# 26 s of calibration signal
BEGINS_S = {"nsrdb/19093": 27.0}
# alarms that may be true in a healthy person, and in one whose VT is not labelled
HEALTHY: frozenset[AlarmKind] = frozenset({"hr_high", "hr_low", "extreme_tachycardia"})
UNLABELLED: frozenset[AlarmKind] = frozenset(
    {"ventricular_tachycardia", "extreme_tachycardia", "extreme_bradycardia"}
)
AT_REST = ("rest", "arm")  # activities in which no healthy heart exceeds 140/min


class ArtefactGrade(NamedTuple):
    """A stretch of one grade of artefact: 1 clean, 3 only the rhythm readable, 4 not even that."""

    start_s: float
    end_s: float
    grade: int


def records(folder: Path) -> list[Path]:
    """The records of one of SETS, without those that cannot be judged. Raises BadInputError if
    there are none."""
    found = [
        p.with_suffix("")
        for p in sorted(folder.glob("*.hea"))
        if f"{folder.name}/{p.stem}" not in LEFT_OUT
    ]
    if not found:
        raise BadInputError(f"{folder}: no records", "Unpack the database into the data folder.")
    return found


def reference(path: Path, fs_hz: float, n: int) -> Record:
    """Rhythm of a record of one of SETS, n samples at fs_hz."""
    if path.parent.name != "cudb":
        return Record(fs_hz, n, rhythm=(Episode(0, n, "N"),))
    intervals = [
        Episode(int(row["start"]), int(row["end"]), row["label"])
        for row in _rows(path.parent / "INTERVALS.csv")
        if row["record"] == path.name
    ]
    return Record(fs_hz, n, rhythm=tuple(intervals))


def grades(path: Path, fs_hz: float) -> tuple[list[ArtefactGrade], str]:
    """Stretches of one grade, in order, and the activity; none outside motion_artefact."""
    if path.parent.name != "motion_artefact":
        return [], ""
    rows = [r for r in _rows(path.parent / "SEGMENTS.csv") if r["record"] == path.name]
    found: list[ArtefactGrade] = []
    for row in rows:
        start, end, grade = int(row["start"]) / fs_hz, int(row["end"]) / fs_hz, int(row["artefact"])
        if found and found[-1].grade == grade and abs(found[-1].end_s - start) < 0.1:
            found[-1] = found[-1]._replace(end_s=end)
        else:
            found.append(ArtefactGrade(start, end, grade))
    return found, rows[0]["activity"] if rows else ""


def score(path: Path, ref: Record, ours: Sequence[ReportedAlarm], activity: str) -> AlarmScore:
    """Judge a record's alarms: in healthy people all are false except the kinds that may be
    true."""
    known = conditions(ref, None)
    begins = BEGINS_S.get(f"{path.parent.name}/{path.name}", 0.0)
    announced = [a for a in ours if a.announced_s is not None and a.announced_s >= begins]
    due: tuple[AnsweredCondition, ...] = tuple(answer(c, ours) for c in known if c.due)
    judged = tuple(JudgedAlarm(a, _true(path.parent.name, a, known, activity)) for a in announced)
    hours = (ref.duration_s - begins) / 3600
    return AlarmScore(
        hours, judged, sum(a.announced_s is None for a in ours), due, bool(due), tuple(known)
    )


def _true(
    database: str, alarm: ReportedAlarm, known: Sequence[ReferenceCondition], activity: str
) -> bool | None:
    if CATALOGUE[alarm.kind].technical:
        return None
    if database == "cudb":
        true = judge(alarm, known, has_beats=False, has_rhythm=True)
        return None if true is False and alarm.kind in UNLABELLED else true
    if database == "motion_artefact" and activity in AT_REST:
        return None if alarm.kind in HEALTHY - {"extreme_tachycardia"} else False
    return None if alarm.kind in HEALTHY else False


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise BadInputError(
            f"{path}: {error.strerror}", "Unpack the database again: its reference is in it."
        ) from error
