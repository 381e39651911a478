"""Lightweight fusing transformer: each beat becomes one token, and lightweight convolution stands
in for the attention between beats.

Meng et al., Artificial Intelligence in Medicine 124:102236 (2022), DOI
10.1016/j.artmed.2022.102236: a CNN with channel attention embeds each beat; the encoder's attention
is LightConv (Wu et al. 2019, arXiv 1901.10430). Judged by beats of AAMI classes, patients apart.

We differ: eleven beats of 0.77 s, one answer for each; two RR ratios (this interval, and the next
one, over the mean of the sequence) join the token; all sizes (the paper's could not be read).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.architectures import Problem, architecture
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.gates import SqueezeExcite
from models.architectures.layers.light_conv import LightConvLayer
from models.architectures.layers.system import System

WIDTHS = (16, 32, 64)
KERNEL, REDUCTION = 7, 8
HEADS = 4
REACH = (3, 5, 7)  # beats that a token of each layer sees


class LightTransformer(System):
    """Rows of samples and RR ratios (B, R, 96 + 2) to (B, outputs, R) logits."""

    def __init__(self, extra: int, outputs: int) -> None:
        super().__init__()
        a, b, c = WIDTHS
        self.extra = extra
        self.beat = nn.Sequential(
            conv_relu(1, a, KERNEL, 2), conv_relu(a, b, KERNEL, 2), conv_relu(b, c, KERNEL, 2)
        )
        self.gate = SqueezeExcite(c, REDUCTION, per_row=True)
        self.embed = nn.Linear(c + extra, c)
        self.layers = nn.ModuleList(LightConvLayer(c, HEADS, k) for k in REACH)
        self.head = nn.Linear(c, outputs)

    def embedded(self, x: Tensor) -> Tensor:
        """A token per beat: (B, R, 64)."""
        samples, ratios = x[:, :, : x.shape[2] - self.extra], x[:, :, x.shape[2] - self.extra :]
        each = self.gate(self.beat(samples.unsqueeze(1))).mean(dim=3).transpose(1, 2)
        return self.embed(torch.cat([each, ratios], dim=2))

    def forward(self, x: Tensor) -> Tensor:
        y = self.embedded(x)
        for layer in self.layers:
            y = layer(y)
        return self.head(y).transpose(1, 2)

    def ablate(self) -> Sequence[nn.Module]:
        """Take out what mixes beats: each is classified by itself."""
        gone = [layer.mix for layer in self.layers]
        for layer in self.layers:
            layer.mix = nn.Identity()
        return gone


@architecture(
    "light_transformer",
    kinds=("beats",),
    source="Meng et al. 2022, DOI 10.1016/j.artmed.2022.102236",
    rows=(11,),
    mechanism="a transformer over beats whose attention is a softmax-normalised depthwise convolution",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Beats as tokens under lightweight convolution."""
    return LightTransformer(problem.extra, len(problem.outputs))
