"""PhysioNet/CinC Challenge 2015: reducing false alarms in intensive care (Clifford et al. 2015, DOI
10.1109/CIC.2015.7408639).

Each record asks one question: a bedside monitor raised this alarm at 5:00; is it true? The event
lies within the 10 s before. We answer yes if an alarm of ours of the same kind, announced or
suppressed by a worse one, was on at any time in the last 10 s before 5:00 (and 2 s earlier, because
our alarm may end when the monitor's begins). Nothing after 5:00 is used: the caller cuts the record
there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ingest.errors import BadInputError
from ingest.messages import AlarmKind
from stream_processor.scoring.counts import Counts, percent
from stream_processor.scoring.reported_alarms import ReportedAlarm

ALARM_AT_S, WINDOW_S, TOLERANCE_S = 300.0, 10.0, 2.0
KINDS: dict[str, AlarmKind] = {
    "Asystole": "asystole",
    "Bradycardia": "extreme_bradycardia",
    "Tachycardia": "extreme_tachycardia",
    "Ventricular_Flutter_Fib": "ventricular_fibrillation",
    "Ventricular_Tachycardia": "ventricular_tachycardia",
}
MISS_WEIGHT = 5


@dataclass(frozen=True)
class Question:
    """One line of the challenge's ALARMS file."""

    record: str
    kind: str
    true: bool


@dataclass(frozen=True)
class ChallengeAnswer:
    """Our answer to a question."""

    question: Question
    ours: bool
    held: tuple[AlarmKind, ...]  # every kind of ours that was on in the window, in order of onset


def questions(path: Path) -> list[Question]:
    """Read an ALARMS file of lines record,kind,True|False. Raises BadInputError that names the
    line."""
    try:
        lines = path.read_text(encoding="utf-8").split()
    except OSError as error:
        raise BadInputError(
            f"cannot read {path}: {error.strerror}", "It belongs to the CinC 2015 training set."
        ) from error
    found = []
    for number, line in enumerate(lines, 1):
        record, *rest = line.split(",")
        if len(rest) != 2 or rest[0] not in KINDS or rest[1] not in ("True", "False"):
            raise BadInputError(
                f"{path}, line {number}: {line!r} is not record,kind,True|False",
                f"The kinds are {', '.join(KINDS)}.",
            )
        found.append(Question(record, rest[0], rest[1] == "True"))
    return found


def answer(question: Question, alarms: Sequence[ReportedAlarm]) -> ChallengeAnswer:
    """Answer the question of a record, cut at 5:00, by the alarms it raised."""
    held = [
        a.kind
        for a in alarms
        if not a.technical and a.near(ALARM_AT_S - WINDOW_S - TOLERANCE_S, ALARM_AT_S)
    ]
    kinds = tuple(dict.fromkeys(held))
    return ChallengeAnswer(question, KINDS[question.kind] in kinds, kinds)


def counts(answers: Iterable[ChallengeAnswer]) -> Counts:
    """Count true alarms kept and lost, and false alarms kept and suppressed."""
    pairs = [(a.question.true, a.ours) for a in answers]
    return Counts(
        pairs.count((True, True)),
        pairs.count((True, False)),
        pairs.count((False, True)),
        pairs.count((False, False)),
    )


def score(c: Counts) -> float | None:
    """Return the challenge's score, %; a suppressed true alarm weighs as five false ones. None
    without records."""
    return percent(c.tp + c.tn, c.tp + c.tn + c.fp + MISS_WEIGHT * c.fn)
