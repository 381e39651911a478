"""Reports the answers of tasks learned in the field: each label when it changes, and every REPORT_S
while it holds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, StructStage

REPORT_S = 60


class TaskLabel(NamedTuple):
    """A stretch of signal, in samples at 125 Hz since the start of the stream, and a task's label
    for it."""

    row: int
    task: str
    start: int
    end: int
    label: str
    probability: float  # of `label`, 0-1


class _Stretch(msgspec.Struct):
    """The answers of a task since its label last changed."""

    label: str
    start: int
    end: int
    reported: int  # end of the part that was reported
    total: float = 0.0  # of the label's probabilities
    answers: int = 0


class _State(msgspec.Struct):
    tasks: dict[str, _Stretch] = {}


class FindingReporter(StructStage[_State]):
    """Stage: tasks' answers in, each with the signal that it read; stretches of one label out, each
    up to its newest answer.

    A stretch begins where the one before it ended, the first one where the task's first answer
    began to read.
    """

    def __init__(self) -> None:
        super().__init__(_State)

    def push(self, batch: Sequence[TaskLabel]) -> list[TaskLabel]:
        """Return at most one stretch per answer."""
        return [found for label in batch if (found := self._take(label))]

    def flush(self, rows: Rows) -> list[TaskLabel]:
        """Return the stretches that have grown since they were last reported."""
        pending = [
            (row, task, s)
            for row in np.asarray(rows).tolist()
            for task, s in self._state[row].tasks.items()
            if s.reported < s.end
        ]
        return [_report(row, task, stretch) for row, task, stretch in pending]

    def keep(self, row: int, tasks: Collection[str]) -> None:
        """Forget the answers of every other task."""
        held = self._state[row].tasks
        for task in held.keys() - set(tasks):
            del held[task]

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: no stretch reaches across it."""
        self._state[row].tasks.clear()
        return sample

    def _take(self, answer: TaskLabel) -> TaskLabel | None:
        tasks = self._state[answer.row].tasks
        stretch = tasks.get(answer.task)
        if stretch is None or stretch.label != answer.label:
            start = answer.start if stretch is None else stretch.end
            stretch = tasks[answer.task] = _Stretch(answer.label, start, answer.end, start)
        stretch.end = answer.end
        stretch.total += answer.probability
        stretch.answers += 1
        due = stretch.answers == 1 or stretch.end - stretch.reported >= REPORT_S * FS_HZ
        return _report(answer.row, answer.task, stretch) if due else None


def _report(row: int, task: str, stretch: _Stretch) -> TaskLabel:
    stretch.reported = stretch.end
    return TaskLabel(
        row, task, stretch.start, stretch.end, stretch.label, stretch.total / stretch.answers
    )
