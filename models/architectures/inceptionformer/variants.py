"""InceptionFormer and the variants of its size, its pooling and its stages (Yu et al. 2023, arXiv
2303.16900; the project's source).

Published by the source on CPSC2018 (base 0.853 F1; 12.45 M parameters): class token 0.849,
attention in all stages 0.841, three stages 0.840, half the dimensions 0.827. Gaps below 0.02 on 690
records are within noise. We differ: as models/architectures/inceptionformer/network.py says.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from models.architectures import Problem, architecture
from models.architectures.inceptionformer.network import HERE, TINY, InceptionFormer, WithClassToken

THREE_STAGES = replace(HERE, channels=HERE.channels[:3], depths=HERE.depths[:3])
ONLY_ATTENTION = replace(
    HERE, mixed=-1, stem_stride=8
)  # attention over 320 tokens would cost twice the budget


def sizes(problem: Problem) -> tuple[int, int, int]:
    """Leads, samples, classes."""
    return problem.rows, problem.spec.length, len(problem.outputs)


@architecture(
    "inceptionformer",
    kinds=("classes",),
    rows=(1, 12),
    source="Yu et al. 2023, arXiv 2303.16900; github.com/hhhey-lw/LongWeiBlog",
    mechanism="depthwise kernels 3, 7, 11 and 19 side by side, then attention alternating with them, then attention alone",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Multi-kernel convolution stages, then attention stages."""
    return InceptionFormer(*sizes(problem))


@architecture(
    "inceptionformer_cls",
    kinds=("classes",),
    source="Yu et al. 2023, arXiv 2303.16900; github.com/hhhey-lw/LongWeiBlog",
    mechanism="a class token in the last stage in place of the mean",
    recipe="transformer",
)
def cls(problem: Problem) -> nn.Module:
    """InceptionFormer with a class token."""
    return WithClassToken(*sizes(problem))


@architecture(
    "inceptionformer_tiny",
    kinds=("classes",),
    source="Yu et al. 2023, arXiv 2303.16900; github.com/hhhey-lw/LongWeiBlog",
    mechanism="InceptionFormer's stages at half the dimensions",
    recipe="transformer",
)
def tiny(problem: Problem) -> nn.Module:
    """InceptionFormer at half the dimensions."""
    return InceptionFormer(*sizes(problem), TINY)


@architecture(
    "inceptionformer_three_stages",
    kinds=("classes",),
    source="Yu et al. 2023, arXiv 2303.16900; github.com/hhhey-lw/LongWeiBlog",
    mechanism="three stages: attention only where it alternates with convolutions",
    recipe="transformer",
)
def three_stages(problem: Problem) -> nn.Module:
    """InceptionFormer without its last stage."""
    return InceptionFormer(*sizes(problem), THREE_STAGES)


@architecture(
    "inceptionformer_mhsa",
    kinds=("classes",),
    source="Yu et al. 2023, arXiv 2303.16900; github.com/hhhey-lw/LongWeiBlog",
    mechanism="attention in every block of every stage, no convolution block",
    recipe="transformer",
)
def mhsa(problem: Problem) -> nn.Module:
    """InceptionFormer of attention blocks only."""
    return InceptionFormer(*sizes(problem), ONLY_ATTENTION)
