"""From the network's answers to a rhythm: AF counts from AF_FROM on if the beats are irregular, but
never where the signal is unreadable."""

import pytest

from stream_processor.pipeline.stages.rhythm import RhythmTracker
from stream_processor.pipeline.stages.rhythm_names import AF_FROM
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.signal_facts import SignalFacts
from stream_processor.pipeline.stages.tasks.sequences import TaskAnswer

FS_HZ = 125


def told(*probability: float) -> str:
    """The label of the first five seconds of a stream whose answers are all the same."""
    tracker, facts = RhythmTracker(), SignalFacts()
    row = tracker.open("Bed 1", 250.0)
    assert facts.open("Bed 1", 250.0) == row
    spans = []
    for k in range(40):
        until = (k + 1) * FS_HZ
        second = AnalysedSecond(row, k, until, until + 65, (), 0.0, False, True, 0.0, False)
        rr_s = 0.8 + 0.4 * (k % 2)
        beat = LabelledBeat(until - 60.0, rr_s, "N", 1.0, 1.0, 0.0)
        answers = (
            [TaskAnswer(row, k // 5, until + 65, min(k + 1, 30), probability)]
            if k >= 9 and k % 5 == 4
            else []
        )
        spans += [
            span
            for decided in tracker.push((facts.push([Beats(second, (beat,))]), answers))
            for span in decided
        ]
    return spans[0].label


@pytest.mark.parametrize(
    ("probability", "label"),
    [
        ((0.8, AF_FROM + 0.01, 0.03, 0.01), "AFIB"),
        ((0.8, AF_FROM - 0.01, 0.05, 0.01), "U"),
        ((0.1, AF_FROM + 0.01, 0.7, 0.01), "AFIB"),
        ((0.1, AF_FROM + 0.01, 0.1, 0.6), "~"),
    ],
)
def test_af_counts_from_its_threshold_on(probability: tuple[float, ...], label: str) -> None:
    assert told(*probability) == label


def test_the_stream_as_a_whole_is_what_is_likeliest() -> None:
    tracker = RhythmTracker()
    row = tracker.open("Bed 1", 250.0)
    tracker.push(([], [TaskAnswer(row, 9, 6000, 30, (0.7, 0.2, 0.05, 0.05))]))
    assert tracker.overall(row) == ("N", 0.7)
