"""An S is premature, and there is none within atrial fibrillation."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ingest.messages import BeatLabel
from stream_processor.pipeline.stages.beat_context import RhythmInBeats
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Beats, LabelledBeat
from stream_processor.pipeline.stages.tasks.sequences import TaskAnswer

FS_HZ = 125


def judged(labels: Sequence[BeatLabel], rr_s: Sequence[float], af: float = 0.0) -> str:
    """What is left of these labels in a stream of this probability of AF."""
    stage = RhythmInBeats()
    row = stage.open("p", 250.0)
    second = AnalysedSecond(row, 0, FS_HZ, FS_HZ + 65, (), 0.0, False, False, 0.0, False)
    at, beats = 0.0, list[LabelledBeat]()
    for label, rr in zip(labels, rr_s, strict=True):
        at += rr * FS_HZ
        beats.append(LabelledBeat(at, rr, label, 1.0, 1.0, 0.0))
    answer = TaskAnswer(row, 5, FS_HZ, 30, (1 - af, af, 0.0, 0.0))
    (found,) = stage.push(([Beats(second, tuple(beats))], [answer]))
    return "".join(beat.label for beat in found.beats)


@pytest.mark.parametrize(
    ("labels", "rr_s", "af", "left"),
    [
        ("NNNNSNN", [0.8, 0.8, 0.8, 0.8, 0.6, 1.0, 0.8], 0.0, "NNNNSNN"),
        ("NNNNSNN", [0.8, 0.8, 0.8, 0.8, 0.6, 1.0, 0.8], 0.9, "NNNNNNN"),
        # a sinus node that accelerates
        ("NNNNSSS", [0.8, 0.77, 0.74, 0.71, 0.68, 0.66, 0.64], 0.0, "NNNNNNN"),
        # a run goes on at its rate, whatever a beat of it was called, and ends with its rate
        ("NNNNSSNSNS", [0.8, 0.8, 0.8, 0.8, 0.5, 0.5, 0.5, 0.5, 0.8, 0.79], 0.0, "NNNNSSNSNN"),
        ("NNNNVNN", [0.8, 0.8, 0.8, 0.8, 0.6, 1.0, 0.8], 0.9, "NNNNVNN"),
    ],
)
def test_what_is_left_of_s(labels: str, rr_s: list[float], af: float, left: str) -> None:
    wanted: list[BeatLabel] = ["S" if c == "S" else "V" if c == "V" else "N" for c in labels]
    assert judged(wanted, rr_s, af) == left
