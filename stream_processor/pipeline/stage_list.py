"""Treats the stages of the data path as one: each call goes to every stage."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from models.serving.runtime import Model, UsesModel
from models.signal.stage import Stage, State


class StageList:
    """Stages by name, in the order of the path. Opened and closed in step, they give a stream the
    same row."""

    def __init__(self, **stages: Stage[Any, Any]) -> None:
        self._stages = stages

    def use(self, model: Model) -> None:
        """Give this model to every stage that uses one."""
        for stage in self._stages.values():
            if isinstance(stage, UsesModel):
                stage.use(model)

    def open(self, patient_id: str, fs_hz: float) -> int:
        """Open a row in every stage."""
        (row,) = {stage.open(patient_id, fs_hz) for stage in self._stages.values()}
        return row

    def restart(self, row: int, sample: int) -> int:
        """Go on after a gap at this sample of the stream; returns it at 125 Hz."""
        for stage in self._stages.values():
            sample = stage.restart(row, sample)
        return sample

    def close(self, row: int) -> None:
        """Close the row in every stage."""
        for stage in self._stages.values():
            stage.close(row)

    def snapshot(self, row: int) -> dict[str, State]:
        """Return every stage's state of the row."""
        return {name: stage.snapshot(row) for name, stage in self._stages.items()}

    def check(self, states: dict[str, State]) -> None:
        """Raise ValueError if these are not the states of just these stages."""
        if states.keys() != self._stages.keys():
            raise ValueError(f"stages {sorted(states)}, expected {sorted(self._stages)}")

    def restore(self, row: int, states: dict[str, State]) -> None:
        """Make an open row remember what `snapshot` returned."""
        for name, stage in self._stages.items():
            stage.restore(row, states[name])


class StepTimes:
    """CPU seconds of this thread per step of the path."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, step: str) -> Iterator[None]:
        """Add what the body takes."""
        start = time.thread_time()
        yield
        self.seconds[step] += time.thread_time() - start
