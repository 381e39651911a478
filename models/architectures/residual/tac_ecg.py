"""TAC-ECG: an encoder that learned from reports, and low-rank adapters for each task (Wang R. et
al. 2025, DOI 10.1016/j.cmpb.2025.108918).

The encoder and a text encoder are trained so that a record and its report meet
(models/training/steps/ecg_text.py); then the encoder is frozen, and a task trains adapters and a
linear head only (models/training/steps/adapter.py): about 3 % of the parameters as published.

We differ: the encoder is the zoo's SE-ResNet with 16 to 56 channels instead of xresnet1d101, the
text encoder hashes words instead of Bio_ClinicalBERT (no weights of others ship here), rank 4
instead of 8. Built by `ecgwatch train` without that step, all of it is trained.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.system import System
from models.architectures.residual.se_resnet import SeResNet

WIDTHS, RANK = (16, 24, 40, 56), 4


class Adapter(nn.Module):
    """Pointwise to RANK channels, ReLU, pointwise back, added: (B, C, 1, T) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.down, self.up = nn.Conv2d(channels, RANK, 1), nn.Conv2d(RANK, channels, 1)
        nn.init.normal_(self.up.weight, std=0.01)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.up(torch.relu(self.down(x)))


def insert(part: nn.Module) -> None:
    """An adapter after the norm of every convolution longer than one sample, in place; each part's
    own names stay.
    """
    for child in part.children():
        insert(child)
    if isinstance(part, nn.Sequential) and len(part) == 2:
        long = isinstance(part[0], nn.Conv2d) and part[0].kernel_size[1] > 1
        if long and isinstance(part[1], nn.BatchNorm2d):
            part.append(Adapter(part[1].num_features))


class TacEcg(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "encoder.body"

    def __init__(self, leads: int, outputs: int) -> None:
        super().__init__()
        self.encoder = SeResNet(leads, outputs, WIDTHS)
        insert(self.encoder.body)

    @property
    def head(self) -> nn.Linear:
        """The head that a task adds beside adapters."""
        return self.encoder.head

    def load_encoder(self, state: dict[str, Tensor]) -> None:
        """Take a pretrained encoder (without head and thresholds); adapters start as if they were
        not there.

        Raises ValueError if the encoder is of other sizes.
        """
        own = {k for k in self.encoder.state_dict() if not k.startswith(("head", "thresholds"))}
        adapters = {
            f"{name}.{k}"
            for name, part in self.encoder.named_modules()
            if isinstance(part, Adapter)
            for k in part.state_dict()
        }
        if own - adapters != set(state):
            raise ValueError("the encoder has other layers than this network")
        self.encoder.load_state_dict(state, strict=False)
        for part in self.adapters():
            nn.init.zeros_(part.up.weight)

    def adapters(self) -> list[Adapter]:
        """In order."""
        return [part for part in self.modules() if isinstance(part, Adapter)]

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x)

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the adapters, so that only the encoder and the head stay."""
        gone: list[nn.Module] = list(self.adapters())
        for part in self.encoder.modules():
            if isinstance(part, nn.Sequential) and len(part) == 3 and isinstance(part[2], Adapter):
                del part[2]
        return gone


@architecture(
    "tac_ecg",
    kinds=("classes",),
    rows=(1, 12),
    source="Wang R. et al. 2025, DOI 10.1016/j.cmpb.2025.108918",
    mechanism="low-rank adapters after the norms of an encoder that learned from reports",
)
def build(problem: Problem) -> nn.Module:
    """An encoder taught by reports, with low-rank adapters."""
    return TacEcg(problem.rows, len(problem.outputs))
