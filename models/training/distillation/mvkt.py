"""MVKT: a student of lead I learns from a teacher of twelve leads.

Qin et al., Computers in Biology and Medicine 2023, DOI 10.1016/j.compbiomed.2023.107503, arXiv
2301.12178. Task loss, plus the two-point divergence of every label (MKD), plus 0.8 times
contrastive lead-information transfer (CLT, after Tian et al. 2020, arXiv 1910.10699): the student's
features are drawn to the teacher's of the same record, and away from those of records with other
labels.

Differences here: negatives are those of the batch (at most 255) instead of a memory bank of 1,024;
teacher and student are this project's (MVMS of twelve leads, a depthwise-separable network of lead
I).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.mvkt import WIDTH, Mvkt
from models.architectures.mvms import WIDTHS, AnatomicalViews, Mvms
from models.training.distillation.base import Scheme, StudentAndTeacher
from models.training.harness import Batches, TrainingPlan
from models.training.problems import TWELVE_LEADS
from models.training.tasks.diagnosis.windowed import Diagnosis, DiagnosisByLeadI

TEMPERATURE, PROJECTED = 0.07, 128
TRANSFER = 0.8  # weight of CLT


class AnswersAndFeatures(NamedTuple):
    """Logits (B, K) and projected features (B, 128) of both."""

    student: Tensor
    teacher: Tensor
    student_features: Tensor
    teacher_features: Tensor


class BothShow(StudentAndTeacher):
    """Twelve leads to the logits and features of both; the student sees the first lead only."""

    def __init__(self, student: nn.Module, teacher: nn.Module) -> None:
        super().__init__(student, teacher)
        self.of_student = nn.Linear(WIDTH, PROJECTED)
        self.of_teacher = nn.Linear(WIDTHS[-1], PROJECTED)

    def forward(self, x: Tensor) -> AnswersAndFeatures:
        student, teacher = cast(Mvkt, self.student), cast(Mvms, self.teacher)
        with torch.no_grad():
            shown = teacher.features(x)
            expected = teacher.head(shown)
        seen = student.features(x[:, :1])
        projected = self.of_student(seen), self.of_teacher(shown)
        a, b = (functional.normalize(y, dim=1) for y in projected)
        return AnswersAndFeatures(student.head(student.dropout(seen)), expected, a, b)


def label_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Sum over labels of KL([p, 1 - p] of the teacher || of the student), mean over records."""
    signs = student.new_tensor([1.0, -1.0])
    a, b = (functional.logsigmoid(x.unsqueeze(2) * signs) for x in (student, teacher))
    return functional.kl_div(a, b, log_target=True, reduction="batchmean")


def different(labels: Tensor) -> Tensor:
    """True for pairs of records with different label sets (B, K): (B, B)."""
    return (labels[:, None] != labels[None]).any(dim=2)


def transfer(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """CLT of unit features (B, D) of both: of the same record together, of records with other
    labels apart. Each direction has its own negatives, which here are the same pairs.

    Noise-contrastive: among K negatives a pair is held for true with r / (r + K), where r is how
    much more alike it is than pairs are on average.
    """
    odds = torch.exp(student @ teacher.T / TEMPERATURE)
    odds = odds / odds.detach().mean()
    apart = different(labels).to(odds.dtype)
    noise = apart.sum(dim=1, keepdim=True).clamp(min=1)  # K
    near = -(odds / (odds + noise)).diagonal().log()
    far = -((noise / (odds + noise)).log() * apart)
    return (2 * near + far.sum(dim=1) + far.sum(dim=0)).mean()


def loss(task: Batches, taught: bool) -> Callable[[nn.Module, object, Tensor], Tensor]:
    """Task loss and label distillation, and CLT if `taught`, the loss under comparison."""

    def judge(net: nn.Module, answer: object, target: Tensor) -> Tensor:
        answers = cast(AnswersAndFeatures, answer)
        own = task.loss(net, answers.student, target) + label_distillation(
            answers.student, answers.teacher
        )
        if not taught:
            return own
        moved = transfer(answers.student_features, answers.teacher_features, target)
        return own + TRANSFER * moved

    return judge


SCHEME = Scheme(
    teacher_task=Diagnosis,
    task=DiagnosisByLeadI,
    teacher=lambda: Mvms(AnatomicalViews(), len(TWELVE_LEADS.outputs)),
    student=lambda: Mvkt(len(TWELVE_LEADS.outputs)),
    pair=BothShow,
    loss=loss,
    plan=TrainingPlan(epochs=20, steps=20, batch=64, peak_rate=3e-3),
)
