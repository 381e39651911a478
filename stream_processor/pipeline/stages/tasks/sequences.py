"""Tasks that answer from the last seconds: features of each second are kept, for some the beats
too, and a decoder reads them when an answer is due."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.beats import last_beats
from models.beats.morphology import SHAPE
from models.serving.runtime import Model, TaskSpec
from models.signal.conditioning import FS_HZ
from models.signal.stage import ArrayStage, Field, Rows, Table
from stream_processor.pipeline.stages.seconds import AnalysedSecond

STEPS = 4  # of the backbone's features in a second


class TaskAnswer(NamedTuple):
    """The answer of a task for a row's last seconds."""

    row: int
    k: int  # which answer on the grid of its hops
    needed: int  # one past the last sample of signal that was looked at
    seconds: int  # of context that there were
    probability: tuple[float, ...]  # of the task's classes


class _Context(NamedTuple):
    """The input of a decoder, for rows whose answer is due."""

    rows: Rows  # (n,)
    k: npt.NDArray[np.int64]  # (n,)
    needed: npt.NDArray[np.int64]  # (n,)
    seconds: npt.NDArray[np.int64]  # (n,)
    steps: npt.NDArray[np.float16]  # (n, S, C), oldest first
    known: npt.NDArray[np.bool_]  # (n, S)
    beats: tuple[npt.NDArray[Any], ...]  # the two arrays of models/beats/last_beats.py, or none


class SequenceTask(ArrayStage):
    """Stage: AnalysedSeconds in, due TaskAnswers of one task out. Keeps the features of as many
    seconds as the task looks back on, and their beats.

    They are kept as float16: a third of a patient's state, and the decoder does not notice.
    """

    def __init__(self, model: Model, name: str) -> None:
        self.task: TaskSpec = model.tasks[name]
        self._model = model
        self._channels = [
            *range(1 + self.task.channels[0], 1 + self.task.channels[1]),
            *([0] if self.task.level else []),
        ]
        super().__init__(
            # second k at k modulo `seconds`
            steps=Field(np.float16, (self.task.seconds, STEPS, len(self._channels))),
            known=Field(np.int64),  # seconds since open or restart
            answered=Field(np.int64),  # of them at the last answer
            newest=Field(np.int64),  # place on the grid of the newest second
            needed=Field(np.int64),  # and how far its window reached
            **(last_beats.FIELDS if self.task.beats else {}),
        )

    @property
    def table(self) -> Table:
        """The rows, for a stage that wraps this one."""
        return self._rows

    def use(self, model: Model) -> None:
        """Use another model from now on, whose task of this name is the same."""
        self._model = model

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: forget what came before it."""
        self._rows.known[row] = self._rows.answered[row] = 0
        if self.task.beats:
            self._rows.beats[row] = 0
        return sample

    def push(self, batch: Sequence[AnalysedSecond]) -> list[TaskAnswer]:
        """Return the answers in the order of the seconds that make them due."""
        due = [self._take(seconds) for seconds in _one_per_row(batch)]
        return self._decoded([context for context in due if len(context.rows)])

    def flush(self, rows: Rows) -> list[TaskAnswer]:
        """Return a last answer for rows that have new seconds since their last one, as at the end
        of a stream."""
        t = self._rows
        pending = rows[t.known[rows] > t.answered[rows]]
        return (
            self._decoded([self._context(pending, t.newest[pending] // self.task.hop)])
            if len(pending)
            else []
        )

    def _take(self, seconds: Sequence[AnalysedSecond]) -> _Context:
        t = self._rows
        rows, k = (
            np.array([s.row for s in seconds], dtype=np.intp),
            np.array([s.k for s in seconds]),
        )
        steps = np.frombuffer(b"".join(s.steps for s in seconds), np.float16).reshape(
            len(rows), STEPS, -1
        )
        t.steps[rows, k % self.task.seconds] = steps[:, :, self._channels]
        t.known[rows] += 1
        t.newest[rows], t.needed[rows] = k, [s.needed for s in seconds]
        if self.task.beats:
            self._take_beats(seconds)
        due = ((k + 1) % self.task.hop == 0) & (t.known[rows] >= self.task.least)
        return self._context(rows[due], (k[due] + 1) // self.task.hop - 1)

    def _take_beats(self, seconds: Sequence[AnalysedSecond]) -> None:
        found = [(second.row, complex_) for second in seconds for complex_ in second.complexes]
        if found:
            shapes = np.frombuffer(b"".join(c.shape for _, c in found), np.float32).reshape(
                -1, SHAPE
            )
            last_beats.remember(
                self._rows, [row for row, _ in found], [c.at for _, c in found], shapes
            )

    def _context(self, rows: Rows, k: npt.NDArray[np.int64]) -> _Context:
        t, seconds = self._rows, self.task.seconds
        ages = np.arange(seconds - 1, -1, -1)
        # (n, seconds, 4, C), oldest first
        held = t.steps[rows[:, None], (t.newest[rows, None] - ages) % seconds]
        known = np.repeat(ages < t.known[rows, None], STEPS, axis=1)
        t.answered[rows] = t.known[rows]
        steps = held.reshape(len(rows), seconds * STEPS, held.shape[-1])
        needed = t.needed[rows]
        beats = (
            last_beats.recall(t, rows, needed - seconds * FS_HZ, needed) if self.task.beats else ()
        )
        return _Context(rows, k, needed, np.minimum(t.known[rows], seconds), steps, known, beats)

    def _decoded(self, due: list[_Context]) -> list[TaskAnswer]:
        if not due:
            return []
        *arrays, beats = zip(*due, strict=True)
        rows, k, needed, seconds, steps, known = map(np.concatenate, arrays)
        inputs = (
            x.astype(np.float32)
            for x in (steps, known, *map(np.concatenate, zip(*beats, strict=True)))
        )
        probability = self._model.decode(self.task.name, *inputs).tolist()
        columns = (
            rows.tolist(),
            k.tolist(),
            needed.tolist(),
            seconds.tolist(),
            map(tuple, probability),
        )
        return [TaskAnswer(*v) for v in zip(*columns, strict=True)]


def _one_per_row(batch: Sequence[AnalysedSecond]) -> list[list[AnalysedSecond]]:
    """Split the seconds into rounds, in order, in which no row occurs twice."""
    rounds: list[list[AnalysedSecond]] = []
    turn: dict[int, int] = {}
    for second in batch:
        n = turn.get(second.row, 0)
        turn[second.row] = n + 1
        if n == len(rounds):
            rounds.append([])
        rounds[n].append(second)
    return rounds
