"""MVMS: a student with one view learns the softened answers of a teacher with several.

Yang et al., IEEE TETCI 2023, DOI 10.1109/TETCI.2023.3235374: half the task's loss, half T^2 times
the Kullback-Leibler divergence of both answers at temperature T = 2. As the public code has it, the
student is one branch that sees all leads. Differences here: softmax for rhythm, whose classes
exclude each other; labels that do not exclude each other are compared one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.mvms import LeadViews, Mvms, student
from models.training.distillation.base import Scheme, StudentAndTeacher
from models.training.harness import Batches, TrainingPlan
from models.training.problems import PIECE
from models.training.tasks.rhythm.windowed import RhythmOfTenSeconds

TEMPERATURE = 2.0
SHARE = 0.5  # of the teacher in the loss


class PairAnswers(NamedTuple):
    """Logits of both (B, K)."""

    student: Tensor
    teacher: Tensor


class BothAnswer(StudentAndTeacher):
    """Windows to the answers of both."""

    def forward(self, x: Tensor) -> PairAnswers:
        with torch.no_grad():
            expected = self.teacher(x)
        return PairAnswers(self.student(x), expected)


def softened(student: Tensor, teacher: Tensor, exclusive: bool = True) -> Tensor:
    """T^2 KL(teacher || student) at temperature T, mean over the batch: of classes that exclude
    each other by softmax, else the sum over labels of the two-point divergence."""
    if exclusive:
        a, b = (x.div(TEMPERATURE).log_softmax(dim=1) for x in (student, teacher))
        return TEMPERATURE**2 * functional.kl_div(a, b, log_target=True, reduction="batchmean")
    a, b = ((x / TEMPERATURE).unsqueeze(2) * torch.tensor([1.0, -1.0]) for x in (student, teacher))
    both = [functional.logsigmoid(x) for x in (a, b)]
    divergence = functional.kl_div(both[0], both[1], log_target=True, reduction="batchmean")
    return TEMPERATURE**2 * divergence


def loss(task: Batches, taught: bool) -> Callable[[nn.Module, object, Tensor], Tensor]:
    """The task's loss of the student, and half of it the teacher's if `taught`."""

    def judge(net: nn.Module, answer: object, target: Tensor) -> Tensor:
        answers = cast(PairAnswers, answer)
        own = task.loss(net, answers.student, target)
        if not taught:
            return own
        return SHARE * softened(answers.student, answers.teacher) + (1 - SHARE) * own

    return judge


SCHEME = Scheme(
    teacher_task=RhythmOfTenSeconds,
    task=RhythmOfTenSeconds,
    teacher=lambda: Mvms(LeadViews(), len(PIECE.outputs)),
    student=lambda: student(1, len(PIECE.outputs)),
    pair=BothAnswer,
    loss=loss,
    plan=TrainingPlan(epochs=20, steps=45, batch=128, peak_rate=5e-3),
)
