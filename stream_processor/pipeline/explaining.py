"""Explains an answer of the deployed model: parts of the signal are hidden, and the stages are run
again, with one copy of the signal per hidden part as one of their rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from models.occlusion import occlusion
from models.serving.runtime import Model
from models.signal.conditioning import BLOCK, FS_HZ
from models.signal.stage import Slab
from models.signal.windows import Windower
from stream_processor.pipeline.stages.detector import BeatDetector
from stream_processor.pipeline.stages.labeller import BeatLabeller
from stream_processor.pipeline.stages.seconds import AnalysedSecond, LabelledBeat
from stream_processor.pipeline.stages.tasks.lethal import LethalTask
from stream_processor.pipeline.stages.tasks.sequences import SequenceTask

Floats = npt.NDArray[np.float32]
Question = Literal["beat", "rhythm", "lethal"]
BEFORE_S = 30  # of signal before the place in question, as far as any task looks back
AFTER_S = 2  # after it: a window reaches half a second past the second that it answers for
NEAR = 0.15 * FS_HZ  # a beat within 150 ms is the one in question


class _Asked(NamedTuple):
    """How a question is put: the seconds that are hidden, part by part, around its place, the width
    of a hidden part and the step to the next one, in samples."""

    before_s: float
    after_s: float
    width: int
    step: int


ASKED: dict[Question, _Asked] = {
    "beat": _Asked(4.0, 1.0, 15, 5),
    "rhythm": _Asked(30.0, 0.0, 100, 50),
    "lethal": _Asked(4.0, 0.5, 30, 15),
}


class Reasons(NamedTuple):
    """An answer, and how much lower its probability is without each part of the signal."""

    label: str
    probability: float
    first: int  # of the parts: samples at 125 Hz, in the signal given
    step: int  # length of a part, samples
    weights: Floats


def reasons(model: Model, signal: Floats, at: int, question: Question) -> Reasons | None:
    """Explain what the model says of sample `at` of a conditioned signal (n,), mV: the class of the
    beat there, the rhythm up to there, or the lethal rhythm of its second.

    None if it says nothing there: no beat, or too little signal.
    """
    begin, end = max(0, at - BEFORE_S * FS_HZ), min(len(signal), at + AFTER_S * FS_HZ)
    near = signal[begin : begin + (end - begin) // BLOCK * BLOCK]
    place = at - begin
    answers = _ANSWERS[question](model, near[None], place)[0]
    if not answers:
        return None
    label = max(answers, key=answers.__getitem__)
    asked = ASKED[question]
    low = max(0, place - round(asked.before_s * FS_HZ))
    high = min(len(near), place + round(asked.after_s * FS_HZ))

    def probability(parts: Floats) -> Floats:
        rows = np.repeat(near[None], len(parts), axis=0)
        rows[:, low:high] = parts
        found = _ANSWERS[question](model, rows, place)
        return np.array([answer.get(label, 0.0) for answer in found], np.float32)

    weights = occlusion(probability, near[low:high], asked.width, asked.step)
    return Reasons(label, answers[label], begin + low, asked.step, weights)


Answers = list[dict[str, float]]  # of each row: probabilities by label, as far as they are known


def _beats(model: Model, rows: Floats, at: int) -> Answers:
    """Of the beat near `at`: the class that it has, and V."""
    labeller = BeatLabeller(model)
    seconds = _seconds(model, rows, labeller)
    found: Answers = [{} for _ in rows]
    for beats in labeller.push(seconds):
        for beat in beats.beats:
            if abs(beat.at - at) <= NEAR:
                found[beats.second.row] = _of_beat(beat)
    return found


def _of_beat(beat: LabelledBeat) -> dict[str, float]:
    return {"V": beat.ventricular, beat.label: beat.probability}


def _rhythm(model: Model, rows: Floats, at: int) -> Answers:
    """Of the last answer up to `at`."""
    task = SequenceTask(model, "rhythm")
    seconds = _seconds(model, rows, task)
    found: Answers = [{} for _ in rows]
    for answer in task.push([s for s in seconds if s.needed <= at + FS_HZ]):
        found[answer.row] = dict(zip(task.task.classes, answer.probability, strict=True))
    return found


def _lethal(model: Model, rows: Floats, at: int) -> Answers:
    """Of the second that `at` is in."""
    task = LethalTask(model)
    seconds = _seconds(model, rows, task)
    found: Answers = [{} for _ in rows]
    for second in task.push([s for s in seconds if s.until <= at + FS_HZ]):
        known = {"VF": second.fibrillation, "VT": second.tachycardia, "ASYS": second.standstill}
        found[second.row] = {"none": 1 - sum(known.values())} | known
    return found


_ANSWERS: dict[Question, Callable[[Model, Floats, int], Answers]] = {
    "beat": _beats,
    "rhythm": _rhythm,
    "lethal": _lethal,
}


def _seconds(
    model: Model, rows: Floats, last: BeatLabeller | SequenceTask | LethalTask
) -> list[AnalysedSecond]:
    """The seconds of signals side by side (B, n), as rows 0 to B - 1 of every stage, `last` too."""
    windower, detector = Windower(model.input), BeatDetector(model)
    places = [[stage.open("", FS_HZ) for _ in rows] for stage in (windower, detector, last)]
    assert places[0] == places[1] == places[2] == list(range(len(rows)))
    numbers, blocks = np.arange(len(rows), dtype=np.intp), rows.shape[1] // BLOCK
    flags, base = np.zeros((len(rows), blocks), np.uint8), np.zeros((len(rows), blocks), np.float32)
    slab = Slab(numbers, np.zeros(len(rows), np.int64), rows, flags, base)
    return detector.push(windower.push([slab])) + detector.push(windower.flush(numbers))
