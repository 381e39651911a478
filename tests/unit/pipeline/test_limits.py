"""Which ten seconds of a record show what limits the figures."""

from __future__ import annotations

from ecgwatch.evaluating.limits import by_second, confused, rhythm_marks
from stream_processor.scoring.reference import Episode, Record

FS = 100.0


def record(*rhythm: tuple[int, int, str]) -> Record:
    return Record(
        FS,
        60 * int(FS),
        rhythm=tuple(Episode(round(a * FS), round(b * FS), label) for a, b, label in rhythm),
    )


def test_the_longest_stretch_of_one_rhythm_called_another_is_shown_in_its_middle() -> None:
    reference = record((0, 5, "N"), (5, 15, "VT"), (15, 25, "N"), (25, 60, "VFL"))
    ours = record((0, 30, "VT"), (30, 60, "VT"))
    start, said = confused(reference, ours)
    assert start == (25 + 60) / 2 - 5
    assert said == "35 s of VF called VT without a break."


def test_what_is_no_lethal_rhythm_or_cannot_be_judged_is_not_shown() -> None:
    reference = record((0, 30, "N"), (30, 50, "NOISE"), (50, 60, "N"))
    ours = record((0, 30, "AFIB"), (30, 50, "VF"), (50, 60, "VF"))
    start, said = confused(reference, ours)
    assert start == 50  # as late as ten seconds fit
    assert said == "10 s of N called VF without a break."


def test_the_last_seconds_belong_to_the_rhythm_that_is_told_there() -> None:
    assert by_second(record((0, 59, "N"), (59, 60, "ASYS")))[-2:] == ["N", "ASYS"]


def test_a_rhythm_that_goes_on_is_named_at_the_start_and_a_change_where_it_is() -> None:
    marks = rhythm_marks(record((0, 20, "N"), (20, 60, "VT")), 15.0)
    assert [(at, label) for at, label, _ in marks] == [(0.5, "N"), (5.0, "VT")]
