"""The task for lethal rhythms: adds its answer to each second."""

from __future__ import annotations

from collections.abc import Sequence

from models.serving.runtime import CLASSES, Model
from models.signal.stage import ArrayStage, Rows
from stream_processor.pipeline.stages.seconds import AnalysedSecond
from stream_processor.pipeline.stages.tasks.sequences import SequenceTask

_VT, _VF, _ASYSTOLE = (CLASSES["lethal"].index(name) for name in ("VT", "VF", "ASYS"))
CERTAIN = 0.5  # probability from which the task overrules what the signal looks like


class LethalTask(ArrayStage):
    """Stage: seconds in, the same seconds with the probabilities of VF and VT out.

    A second that the task calls asystole does not count as unsure even if the signal moves; one
    that it calls VF or VT does not count as noise.
    """

    def __init__(self, model: Model) -> None:
        self._task = SequenceTask(model, "lethal")
        self._rows = self._task.table

    def use(self, model: Model) -> None:
        """Use another model from now on, whose lethal task is the same."""
        self._task.use(model)

    def push(self, batch: Sequence[AnalysedSecond]) -> list[AnalysedSecond]:
        """Return one second for each second in."""
        answers = {(a.row, a.k): a.probability for a in self._task.push(batch)}
        return [_with(second, answers[second.row, second.k]) for second in batch]

    def flush(self, rows: Rows) -> list[AnalysedSecond]:
        """Return nothing: `push` leaves no output pending."""
        return []

    def restart(self, row: int, sample: int) -> int:
        """Restart after a gap: forget what came before it."""
        return self._task.restart(row, sample)


def _with(second: AnalysedSecond, probability: Sequence[float]) -> AnalysedSecond:
    lethal = probability[_VF] + probability[_VT] >= CERTAIN
    return second._replace(
        noisy=second.noisy and not lethal,
        readable=1.0 if lethal else second.readable,
        noise="" if lethal else second.noise,
        fibrillation=probability[_VF],
        tachycardia=probability[_VT],
        standstill=probability[_ASYSTOLE],
        unsure=second.unsure and probability[_ASYSTOLE] < CERTAIN,
    )
