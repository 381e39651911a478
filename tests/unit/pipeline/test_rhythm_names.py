"""From beats to the names that a clinician uses: each story is drawn as beats and intervals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ingest.messages import BeatLabel, RhythmLabel
from stream_processor.pipeline.stages.beat_patterns import BeatPatterns, Pattern
from stream_processor.pipeline.stages.rhythm import RhythmTracker
from stream_processor.pipeline.stages.rhythm_names import (
    NamedRhythm,
    RhythmBeat,
    is_within,
    name_rhythm,
)
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.tasks.sequences import TaskAnswer

FS_HZ = 125
SINUS, AF, OTHER, NOISE = (
    (0.95, 0.02, 0.02, 0.01),
    (0.2, 0.7, 0.09, 0.01),
    (0.1, 0.05, 0.84, 0.01),
    (0.1, 0.1, 0.1, 0.7),
)


def beats_at(labels: str, rr_s: Sequence[float]) -> list[RhythmBeat]:
    at, found = 0.0, list[RhythmBeat]()
    for label, rr in zip(labels, rr_s, strict=True):
        at += rr * FS_HZ
        found.append(RhythmBeat(at, rr, _label(label), sure=True))
    return found


def _label(letter: str) -> BeatLabel:
    return next(one for one in ("N", "S", "V", "F", "Q") if one == letter)


WEAK_AF = (0.02, 0.2, 0.75, 0.03)  # another class is likelier
BREATHING = [0.75, 0.82, 0.93, 1.02, 0.96, 0.85] * 5
JUMPS = [0.6, 0.95, 0.7, 1.1, 0.65, 0.9] * 5


@pytest.mark.parametrize(
    ("answers", "beats", "label"),
    [
        (SINUS, beats_at("N" * 30, [0.8] * 30), "N"),
        (OTHER, beats_at("N" * 30, [0.8] * 30), "N"),
        (SINUS, beats_at("N" * 20, [1.3] * 20), "SBR"),
        (SINUS, beats_at("N" * 40, [0.5] * 40), "STACH"),
        (SINUS, beats_at("N" * 30, BREATHING), "SARR"),
        (AF, beats_at("N" * 30, JUMPS), "AFIB"),
        (WEAK_AF, beats_at("N" * 30, JUMPS), "AFIB"),
        (WEAK_AF, beats_at("N" * 40, [0.45] * 40), "STACH"),  # regular: running
        (AF, beats_at("N" * 30, [0.8] * 30), "AFIB"),
        (OTHER, beats_at("N" * 30, JUMPS), "U"),
        (OTHER, beats_at("N" * 14 + "V" + "N" * 15, [0.8] * 14 + [0.5, 1.1] + [0.8] * 14), "N"),
        (OTHER, beats_at("Q" * 20, [0.85] * 20), "P"),
        (OTHER, beats_at("V" * 20, [0.85] * 20), "U"),
        (NOISE, beats_at("N" * 30, [0.8] * 30), "~"),
    ],
)
def test_the_name_of_half_a_minute(
    answers: tuple[float, ...], beats: list[RhythmBeat], label: RhythmLabel
) -> None:
    found = name_rhythm(beats, answers, "N")
    assert found.label == label
    assert bool(found.reason) == (label in "U~")


def test_a_rate_on_the_limit_does_not_flip() -> None:
    at_the_limit = beats_at("N" * 30, [60 / 61.5] * 30)
    assert name_rhythm(at_the_limit, SINUS, "N").label == "N"
    assert name_rhythm(at_the_limit, SINUS, "SBR").label == "SBR"


def patterns(labels: str, rr_s: Sequence[float]) -> list[Pattern]:
    watch, over = BeatPatterns(), list[Pattern]()
    for b in beats_at(labels, rr_s):
        over += watch.take(LabelledBeat(b.at, b.rr_s, b.label, 1.0, 1.0, 0.0))
    return [*over, *watch.open()]


@pytest.mark.parametrize(
    ("labels", "rr_s", "told", "beats"),
    [
        ("NNNN" + "NV" * 4 + "NNNN", [0.8] * 4 + [1.0, 0.6] * 4 + [0.8] * 4, "B", 9),
        ("NNNN" + "NNV" * 4 + "NNNN", [0.8] * 4 + [0.9, 0.8, 0.6] * 4 + [0.8] * 4, "T", 13),
        ("NNNN" + "V" * 8 + "NNNN", [0.8] * 4 + [0.9] * 8 + [0.8] * 4, "IVR", 8),
        ("NNNNNN" + "S" * 8 + "NNN", [0.8] * 6 + [0.36] * 8 + [0.9, 0.8, 0.8], "SVTA", 8),
        ("NNNNNN" + "N" * 12 + "NNN", [0.8] * 6 + [0.34] * 12 + [0.9, 0.8, 0.8], "SVTA", 12),
        ("NNNNNNN", [0.8, 0.8, 0.8, 0.8, 0.8, 2.4, 0.8], "PAUSE", 2),
    ],
)
def test_a_pattern_of_beats(labels: str, rr_s: list[float], told: RhythmLabel, beats: int) -> None:
    (found,) = patterns(labels, rr_s)
    at = [b.at for b in beats_at(labels, rr_s)]
    within = [a for a in at if found.start - 1 <= a <= found.end + 1]
    assert found.label == told
    assert abs(len(within) - beats) <= 1


@pytest.mark.parametrize(
    ("labels", "rr_s"),
    [
        ("NNVNNNVNNNNVN", [0.8] * 13),  # single PVCs
        ("V" * 8, [0.4] * 8),  # a VT has its own rules
        ("N" * 20, [0.5 - 0.01 * i for i in range(20)]),  # exercise: no sudden beginning
        ("NN" * 6, [2.2] * 12),  # a bradycardia is no row of pauses
    ],
)
def test_no_pattern(labels: str, rr_s: list[float]) -> None:
    assert patterns(labels, rr_s) == []


def labels_of(answers: Sequence[tuple[float, ...]]) -> list[tuple[str, str]]:
    """The rhythms of a stream at 75/min whose network answers these, one for each 5 s."""
    tracker, facts = RhythmTracker(), SignalFacts()
    row = tracker.open("Bed 1", 250.0)
    assert facts.open("Bed 1", 250.0) == row
    spans = []
    for k in range(5 * len(answers)):
        until = (k + 1) * FS_HZ
        second = AnalysedSecond(row, k, until, until + 65, (), 0.0, False, True, 0.0, False)
        beat = LabelledBeat(until - 60.0, 1.0, "N", 1.0, 1.0, 0.0)
        due = k >= 9 and k % 5 == 4
        due_answers = (
            [TaskAnswer(row, k // 5, until + 65, min(k + 1, 30), answers[k // 5])] if due else []
        )
        for decided in tracker.push((facts.push([Beats(second, (beat,))]), due_answers)):
            spans += decided
    return [(span.label, span.reason) for span in spans]


def test_one_segment_changes_no_name() -> None:
    told = labels_of([*[SINUS] * 8, AF, *[SINUS] * 8])
    assert {label for label, _ in told} == {"N"}


def test_a_new_rhythm_changes_it_and_noise_has_a_reason() -> None:
    told = labels_of([*[SINUS] * 8, *[AF] * 8, *[NOISE] * 8])
    in_turn = [one for i, one in enumerate(told) if not i or told[i - 1] != one]
    assert in_turn == [("N", ""), ("AFIB", ""), ("~", "noise")]


def test_af_that_is_likeliest_comes_at_once_and_goes_with_the_third_segment_without() -> None:
    told = labels_of([*[SINUS] * 10, *[AF] * 8, SINUS, *[AF] * 8, *[SINUS] * 10])
    in_turn = [label for i, (label, _) in enumerate(told) if not i or told[i - 1][0] != label]
    assert in_turn == ["N", "AFIB", "N"]


IRREGULAR_RUN = [0.4, 0.55, 0.38, 0.52, 0.41, 0.56]


@pytest.mark.parametrize(
    ("base", "labels", "rr_s", "shown", "within"),
    [
        #     |--N---N-N--V V  V V  V V---N--N-|
        ("AFIB", "NNNN" + "V" * 6 + "NNN", JUMPS[:4] + IRREGULAR_RUN + JUMPS[:3], "VT", True),
        #     |--N---N-N--VVVVVV---N--N-|
        ("AFIB", "NNNN" + "V" * 6 + "NNN", JUMPS[:4] + [0.4] * 6 + JUMPS[:3], "VT", False),
        ("N", "NNNN" + "V" * 6 + "NNN", [0.8] * 4 + IRREGULAR_RUN + [0.8] * 3, "VT", False),
        ("AFIB", "NNNN" + "V" * 6 + "NNN", JUMPS[:4] + [0.9] * 6 + JUMPS[:3], "IVR", True),
        ("AFIB", "NNNN" + "V" * 20 + "NNN", JUMPS[:4] + [0.9] * 20 + JUMPS[:3], "IVR", False),
        ("AFIB", "NNNN" + "NV" * 3 + "NNN", JUMPS[:4] + JUMPS[:6] + JUMPS[:3], "B", True),
        ("AFIB", "NNNN" + "V" * 6 + "NNN", JUMPS[:4] + IRREGULAR_RUN + JUMPS[:3], "VF", False),
    ],
)
def test_af_goes_on_beneath_aberrant_salvos(
    base: RhythmLabel, labels: str, rr_s: list[float], shown: RhythmLabel, within: bool
) -> None:
    beats = beats_at(labels, rr_s)
    run = [round(b.at) for b in beats if b.label == "V"]
    assert is_within(NamedRhythm(base, 0.7), beats, run[0] - 1, run[-1] + 1, shown) is within


def test_an_episode_has_one_probability_and_one_reason() -> None:
    assert name_rhythm([], OTHER, "N") == NamedRhythm(
        "U", pytest.approx(0.94), "too few normal beats"
    )
