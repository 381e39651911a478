"""Tasks that the model learned in the field, as one stage: they come with a model, also while
signals run, and each starts with no past."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from models.serving.runtime import Model
from models.signal.conditioning import FS_HZ
from models.signal.stage import Rows, State
from stream_processor.pipeline.stages.seconds import AnalysedSecond
from stream_processor.pipeline.stages.tasks.findings import FindingReporter, TaskLabel
from stream_processor.pipeline.stages.tasks.sequences import SequenceTask, TaskAnswer


class _Added(NamedTuple):
    """A task, and which of its own rows each of ours is."""

    # its name and what it was exported as: a task of the same name that was learned anew has
    # another state
    key: str
    stage: SequenceTask
    rows: dict[int, int]


class AddedTasks:
    """Stage: AnalysedSeconds in, stretches of the added tasks' labels out. See
    models/signal/stage.py for what every stage does."""

    def __init__(self, model: Model, built_in: Sequence[str]) -> None:
        self._built_in = set(built_in)
        self._reporter = FindingReporter()
        self._tasks: dict[str, _Added] = {}
        self._patients: dict[int, tuple[str, float]] = {}
        self.use(model)

    def use(self, model: Model) -> None:
        """Take a model that extends the one before (models/serving/extension.py): tasks that are
        new begin with the next second."""
        for name in model.tasks:
            if name in self._built_in:
                continue
            if name in self._tasks:
                self._tasks[name].stage.use(model)
                continue
            stage = SequenceTask(model, name)
            rows = {row: stage.open(*patient) for row, patient in self._patients.items()}
            self._tasks[name] = _Added(f"{name} {model.spec.files[name].sha256[:12]}", stage, rows)

    def open(self, patient: str, fs: float) -> int:
        """Open a row for a new stream, with an empty state."""
        row = self._reporter.open(patient, fs)
        self._patients[row] = patient, fs
        for task in self._tasks.values():
            task.rows[row] = task.stage.open(patient, fs)
        return row

    def close(self, row: int) -> None:
        """Close the row, so that another stream may get it."""
        self._reporter.close(row)
        del self._patients[row]
        for task in self._tasks.values():
            task.stage.close(task.rows.pop(row))

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: forget what came before it."""
        for task in self._tasks.values():
            task.stage.restart(task.rows[row], sample)
        return self._reporter.restart(row, sample)

    def push(self, batch: Sequence[AnalysedSecond]) -> list[TaskLabel]:
        """Return the stretches that these seconds begin or prolong, task by task."""
        found: list[TaskLabel] = []
        for name, task in self._tasks.items():
            found += self._labels(
                name,
                task,
                task.stage.push([second._replace(row=task.rows[second.row]) for second in batch]),
            )
        return self._reporter.push(found)

    def flush(self, rows: Rows) -> list[TaskLabel]:
        """Return the last answers, and the stretches that have grown since they were reported."""
        found: list[TaskLabel] = []
        for name, task in self._tasks.items():
            theirs = np.array([task.rows[row] for row in rows.tolist()], dtype=np.intp)
            found += self._labels(name, task, task.stage.flush(theirs))
        return self._reporter.push(found) + self._reporter.flush(rows)

    def snapshot(self, row: int) -> State:
        """Return the state of the row as plain data."""
        tasks = {task.key: task.stage.snapshot(task.rows[row]) for task in self._tasks.values()}
        return {"tasks": tasks, "reported": self._reporter.snapshot(row)}

    def restore(self, row: int, state: State) -> None:
        """Set the row to a snapshot, which may be of a model with fewer or more tasks: those that
        it does not know stay fresh."""
        states = msgspec.convert(state["tasks"], dict[str, State])
        known = {name: task for name, task in self._tasks.items() if task.key in states}
        for task in known.values():
            task.stage.restore(task.rows[row], states[task.key])
        self._reporter.restore(row, state["reported"])
        self._reporter.keep(row, known)

    def _labels(self, name: str, task: _Added, answers: Sequence[TaskAnswer]) -> list[TaskLabel]:
        if not answers:
            return []
        ours = {theirs: row for row, theirs in task.rows.items()}
        classes = task.stage.task.classes
        found = []
        for answer in answers:
            best = max(range(len(classes)), key=answer.probability.__getitem__)
            start = max(0, answer.needed - answer.seconds * FS_HZ)
            found.append(
                TaskLabel(
                    ours[answer.row],
                    name,
                    start,
                    answer.needed,
                    classes[best],
                    answer.probability[best],
                )
            )
        return found
