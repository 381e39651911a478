"""Tucker: a small student has the core of the feature map of a larger teacher (Sepahvand et al.
2022, DOI 10.1016/j.ins.2022.01.030).

The decomposition is that of models/training/steps/tucker.py, which takes any two architectures;
here LiteNet learns from SE-ResNet on rhythm, with and without the cores. We differ: as that module
says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn

from models.architectures.compact.litenet import LiteNet
from models.architectures.residual.se_resnet import SeResNet
from models.training.distillation.base import Scheme, StudentAndTeacher
from models.training.harness import Batches, TrainingPlan
from models.training.problems import PIECE
from models.training.steps.tucker import WEIGHT, WatchedMap, core, distance
from models.training.tasks.rhythm.windowed import RhythmOfTenSeconds


class Cores(NamedTuple):
    """Logits of the student (B, K), its core and the teacher's (B, r, s)."""

    student: Tensor
    own: Tensor
    wanted: Tensor


class BothCores(StudentAndTeacher):
    """Windows to the student's answer and both cores."""

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__(student, teacher)
        self._of_student, self._of_teacher = WatchedMap(student), WatchedMap(teacher)

    def forward(self, x: Tensor) -> Cores:
        with torch.no_grad():
            self.teacher(x)
            wanted = core(self._of_teacher.map)
        answered = self.student(x)
        return Cores(answered, core(self._of_student.map), wanted)


def loss(task: Batches, taught: bool) -> Callable[[nn.Module, object, Tensor], Tensor]:
    """The task's loss of the student, and the distance of the cores if `taught`."""

    def judge(net: nn.Module, answer: object, target: Tensor) -> Tensor:
        cores = cast(Cores, answer)
        own = task.loss(net, cores.student, target)
        return own + WEIGHT * distance(cores.own, cores.wanted) if taught else own

    return judge


SCHEME = Scheme(
    teacher_task=RhythmOfTenSeconds,
    task=RhythmOfTenSeconds,
    teacher=lambda: SeResNet(1, len(PIECE.outputs)),
    student=lambda: LiteNet(1, len(PIECE.outputs)),
    pair=BothCores,
    loss=loss,
    plan=TrainingPlan(epochs=20, steps=45, batch=128, peak_rate=5e-3),
)
