"""The problems on which architectures are compared, and the rate of answers of each."""

from __future__ import annotations

from models.architectures import Architecture, Kind, Problem
from models.signal.windows import BEAT_ROW_SPEC, BEAT_SPEC, PIECE_SPEC, RHYTHM_SPEC

BEATS_IN_A_ROW = 11  # of a sequence of beats; the one in the middle is judged
MEAN_RR_S = 0.8  # of a person at rest: the interval between answers per beat
QRS = Problem("samples", ("qrs",), BEAT_SPEC)
RHYTHM = Problem("classes", ("N", "A", "O", "~"), RHYTHM_SPEC)
PIECE = Problem("classes", ("N", "A", "O", "~"), PIECE_SPEC)
TWELVE_LEADS = Problem("classes", ("NORM", "MI", "STTC", "CD", "HYP"), PIECE_SPEC, rows=12)
BEATS = Problem("beats", ("N", "S", "V", "F", "Q"), BEAT_ROW_SPEC, rows=BEATS_IN_A_ROW, extra=2)


def of_kind(architecture: Architecture, kind: Kind, rows: int) -> Problem:
    """Return the problem of that kind with windows of `rows` rows; a system of the zoo judges
    rhythm by 10 s, the others by 30 s."""
    if kind == "classes":
        return TWELVE_LEADS if rows == 12 else PIECE if architecture.mechanism else RHYTHM
    return QRS if kind == "samples" else BEATS


def every(architecture: Architecture) -> list[Problem]:
    """All problems that an architecture serves, the main one first."""
    return [
        of_kind(architecture, kind, rows)
        for kind in architecture.kinds
        for rows in architecture.rows
    ]


def first(architecture: Architecture) -> Problem:
    """The main problem of an architecture."""
    return every(architecture)[0]


def every_s(problem: Problem) -> float:
    """Seconds of one patient's signal between two answers."""
    return MEAN_RR_S if problem.kind == "beats" else problem.spec.hop / problem.spec.fs_hz
