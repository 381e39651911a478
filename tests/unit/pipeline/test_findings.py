"""What is told of an added task's answers: a change of label, a minute that it held, and what the
end of the signal leaves.

Answers come every 10 s, each on the last 30 s:  |N N N A A ... |  in seconds since the start of the stream.
"""

from __future__ import annotations

import numpy as np
import pytest

from models.signal.conditioning import FS_HZ
from stream_processor.pipeline import events
from stream_processor.pipeline.stages.admission.runs import Stream
from stream_processor.pipeline.stages.tasks.findings import FindingReporter, TaskLabel


def answers(labels: str, first_s: int = 30, row: int = 0, task: str = "flutter") -> list[TaskLabel]:
    ends = [first_s + 10 * k for k in range(len(labels))]
    return [
        TaskLabel(row, task, max(0, t - 30) * FS_HZ, t * FS_HZ, label, 0.8)
        for t, label in zip(ends, labels, strict=True)
    ]


def opened() -> FindingReporter:
    stage = FindingReporter()
    assert [stage.open("p", 250.0), stage.open("q", 250.0)] == [0, 1]
    return stage


def seconds(told: list[TaskLabel]) -> list[tuple[int, int, str]]:
    return [(t.start // FS_HZ, t.end // FS_HZ, t.label) for t in told]


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ("N", [(0, 30, "N")]),
        ("NNNN", [(0, 30, "N")]),
        ("NNA", [(0, 30, "N"), (40, 50, "A")]),  # up to 40 s it was N
        ("NAN", [(0, 30, "N"), (30, 40, "A"), (40, 50, "N")]),
        ("NNNNNNNN", [(0, 30, "N"), (0, 90, "N")]),
        ("NNNNNNA", [(0, 30, "N"), (80, 90, "A")]),
        ("N" * 20, [(0, 30, "N"), (0, 90, "N"), (0, 150, "N"), (0, 210, "N")]),
    ],
)
def test_a_change_and_a_minute_are_told(labels: str, told: list[tuple[int, int, str]]) -> None:
    assert seconds(opened().push(answers(labels))) == told


def test_the_end_of_the_signal_tells_what_has_not_been_told() -> None:
    stage = opened()
    stage.push([*answers("NNA"), *answers("NN", task="apnoea"), *answers("A", row=1)])
    assert seconds(stage.flush(np.array([0, 1]))) == [(0, 40, "N")]
    assert stage.flush(np.array([0, 1])) == []


def test_after_a_gap_a_stretch_begins_anew() -> None:
    stage = opened()
    stage.push(answers("NN"))
    stage.restart(0, 0)
    assert seconds(stage.push([TaskLabel(0, "flutter", 100 * FS_HZ, 110 * FS_HZ, "N", 0.5)])) == [
        (100, 110, "N")
    ]


def test_the_probability_is_the_mean_of_the_stretch() -> None:
    stage = opened()
    stage.push(
        [
            TaskLabel(0, "t", 0, 100, "N", 0.5),
            TaskLabel(0, "t", 0, 200, "N", 0.7),
            TaskLabel(0, "u", 0, 200, "N", 0.1),
        ]
    )
    assert [round(told.probability, 6) for told in stage.flush(np.array([0]))] == [0.6]


def test_a_finding_counts_in_the_streams_own_samples() -> None:
    stream = Stream("p", "d", "II", 250.0, 200.0, start_ns=10**18, next_sample=10_000)
    found = events.finding(
        stream, TaskLabel(0, "flutter", 10 * FS_HZ, 41 * FS_HZ, "AFL", 0.98765), "v3"
    )
    assert (found.start_sample, found.sample) == (2500, 10_000)  # not beyond what has come
    assert (found.start_ns, found.time_ns) == (10**18 + 10 * 10**9, 10**18 + 40 * 10**9)
    assert (found.task, found.label, found.probability, found.model) == (
        "flutter",
        "AFL",
        0.9877,
        "v3",
    )
