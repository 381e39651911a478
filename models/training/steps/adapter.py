"""A frozen encoder learns a new task by low-rank adapters (TAC-ECG: Wang R. et al. 2025, DOI
10.1016/j.cmpb.2025.108918).

    python -m models.training.steps.adapter tac_ecg rhythm --fold 0 --encoder runs/ecg_text/encoder.pt

An adapter follows the norm of every convolution longer than one sample: pointwise to a few
channels, ReLU, pointwise back, added. Adapters and head are trained; the encoder's weights and its
running means stay, bit for bit, because it stays in evaluation mode. A task costs its adapters and
its head; several tasks share one encoder.

Differences here: rank 4; the second pointwise convolution starts at zero, so that training starts
from the encoder as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ingest.errors import BadInputError, EcgwatchError
from models.architectures.residual.tac_ecg import Adapter, TacEcg
from models.training.cost import parameters
from models.training.harness import train
from models.training.recipe import label
from models.training.steps.setting import finish, parser, setting


class Adapted(nn.Module):
    """A network whose adapters and head alone are trained."""

    def __init__(self, net: TacEcg) -> None:
        super().__init__()
        self.net = net
        for p in net.parameters():
            p.requires_grad_(False)
        for part in self.trained():
            for p in part.parameters():
                p.requires_grad_(True)

    def trained(self) -> list[nn.Module]:
        """The parts that learn."""
        return [
            *(part for part in self.net.modules() if isinstance(part, Adapter)),
            self.net.encoder.head,
        ]

    def train(self, mode: bool = True) -> Adapted:
        """Set training mode for these parts only: running means of the frozen encoder must not
        change."""
        super().train(mode)
        self.net.eval()
        for part in self.trained():
            part.train(mode)
        return self

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


def share(net: Adapted) -> float:
    """Share of the parameters that are trained."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad) / parameters(net)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    asked = parser(__doc__)
    asked.add_argument(
        "--encoder", type=Path, required=True, help="made by: ecgwatch train ecg_text"
    )
    options = asked.parse_args(arguments)
    given = setting("adapter", options)
    net = given.build()
    if not isinstance(net, TacEcg):
        raise BadInputError(f"{given.architecture.name} has no adapters", "Choose tac_ecg.")
    if not options.encoder.exists():
        raise BadInputError(
            f"{options.encoder} is missing", "Make it: python -m models.training.steps.ecg_text"
        )
    net.load_encoder(torch.load(options.encoder, weights_only=True)["encoder"])
    adapted = Adapted(net)
    print(f"trained: {share(adapted):.1%} of {parameters(net)} parameters", flush=True)
    train(
        adapted,
        given.task.batches(given.fold),
        given.plan,
        given.folder / f"{label(given.fold)}.pt",
    )
    finish(given, net, trained_share=round(share(adapted), 4))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
