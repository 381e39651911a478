"""The interface of a distillation scheme: task, teacher, student and loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch import Tensor, nn

from models.training.harness import Batches, TrainingPlan
from models.training.tasks.base import Task


class StudentAndTeacher(nn.Module):
    """A student and its teacher on the same windows. The teacher never changes: not its weights,
    and not what its normalisation has seen."""

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__()
        self.student, self.teacher = student, teacher
        for parameter in teacher.parameters():
            parameter.requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Self:
        """Set training mode for all but the teacher."""
        super().train(mode)
        self.teacher.eval()
        return self


class WithTeacher:
    """Batches of a task, judged by the scheme's loss over the answers of a pair."""

    def __init__(self, own: Batches, loss: Callable[[nn.Module, object, Tensor], Tensor]) -> None:
        self._own, self._loss = own, loss

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """A batch of the task."""
        return self._own.batch(rng, size)

    def loss(self, net: nn.Module, answer: object, target: Tensor) -> Tensor:
        """The loss of the scheme."""
        return self._loss(net, answer, target)


@dataclass(frozen=True)
class Scheme:
    """How a student learns from a teacher, and without it for comparison.

    `teacher_task` and `task` have the same folds. `pair` joins both for training; `loss` judges the
    pair's answers, with or without the teacher's.
    """

    teacher_task: Callable[..., Task]
    task: Callable[..., Task]
    teacher: Callable[[], nn.Module]
    student: Callable[[], nn.Module]
    pair: Callable[[nn.Module, nn.Module], StudentAndTeacher]
    loss: Callable[[Batches, bool], Callable[[nn.Module, object, Tensor], Tensor]]
    plan: TrainingPlan
