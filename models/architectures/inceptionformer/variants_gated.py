"""InceptionFormer with gates or convolutions in place of attention.

Convolutional modulation (SMT, Lin et al. 2023, arXiv 2307.08579; CPSC2018 F1 0.842, attention
0.853), squeeze-and-excitation (Hu et al. 2018, DOI 10.1109/CVPR.2018.00745; 0.836), coordinate
attention (Hou et al. 2021, DOI 10.1109/CVPR46437.2021.01350; 0.819). We differ: one axis, sizes as
in models/architectures/inceptionformer/network.py; gates follow the family's own convolution of
four kernels.
"""

from __future__ import annotations

from torch import nn

from models.architectures import Problem, architecture
from models.architectures.inceptionformer.gated_mixers import (
    ChannelGate,
    ConvModulation,
    Coordinate,
)
from models.architectures.inceptionformer.network import InceptionFormer
from models.architectures.inceptionformer.variants import sizes


@architecture(
    "inceptionformer_modulation",
    kinds=("classes",),
    source="Lin et al. 2023, arXiv 2307.08579",
    mechanism="convolutions of four lengths modulate the values",
    recipe="transformer",
)
def modulation(problem: Problem) -> nn.Module:
    """InceptionFormer with convolutional modulation for attention."""
    return InceptionFormer(*sizes(problem), mixer=ConvModulation)


@architecture(
    "inceptionformer_se",
    kinds=("classes",),
    source="Hu et al. 2018, DOI 10.1109/CVPR.2018.00745",
    mechanism="squeeze-and-excitation in place of attention",
    recipe="transformer",
)
def squeeze_excite(problem: Problem) -> nn.Module:
    """InceptionFormer with channel gates for attention."""
    return InceptionFormer(*sizes(problem), mixer=ChannelGate)


@architecture(
    "inceptionformer_ca",
    kinds=("classes",),
    source="Hou et al. 2021, DOI 10.1109/CVPR46437.2021.01350",
    mechanism="coordinate attention in place of attention between tokens",
    recipe="transformer",
)
def coordinate(problem: Problem) -> nn.Module:
    """InceptionFormer with coordinate gates for attention."""
    return InceptionFormer(*sizes(problem), mixer=Coordinate)
