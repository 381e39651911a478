"""InceptionFormer with other attention in place of the full one.

Spatial reduction (Wang et al. 2021, DOI 10.1109/ICCV48922.2021.00061; CPSC2018 F1 0.820, full
attention 0.853), shunted (arXiv 2111.15193; 0.839, with InceptionNeXt blocks 0.855), bi-level
routing (arXiv 2303.08810; 0.834), windows and shifted windows (arXiv 2103.14030; 0.826 and 0.813),
sparse tokens (arXiv 2303.08685; 0.831), HiLo (arXiv 2205.13213). We differ: one axis, sizes as in
models/architectures/inceptionformer/network.py, and what each mixer's own docstring says.
"""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from models.architectures import Problem, architecture
from models.architectures.inceptionformer.local_mixers import BiRouting, HiLo, Window, WindowPair
from models.architectures.inceptionformer.mixers import Shunted, SparseTokens, SpatialReduction
from models.architectures.inceptionformer.network import HERE, InceptionFormer
from models.architectures.inceptionformer.parts import InceptionNext
from models.architectures.inceptionformer.variants import sizes

SMALLER = replace(
    HERE, channels=(16, 32, 48, 96), depths=(1, 1, 2, 1), head=12
)  # for mixers and blocks that cost more than the family's own


@architecture(
    "inceptionformer_sr",
    kinds=("classes",),
    source="Wang et al. 2021, DOI 10.1109/ICCV48922.2021.00061",
    mechanism="spatial reduction: keys and values of half the length",
    recipe="transformer",
)
def spatial_reduction(problem: Problem) -> nn.Module:
    """InceptionFormer whose attention has shortened keys and values."""
    return InceptionFormer(*sizes(problem), mixer=SpatialReduction)


@architecture(
    "inceptionformer_shunted",
    kinds=("classes",),
    source="Ren et al. 2022, arXiv 2111.15193",
    mechanism="shunted attention: heads that see keys at two scales",
    recipe="transformer",
)
def shunted(problem: Problem) -> nn.Module:
    """InceptionFormer whose heads see two scales."""
    return InceptionFormer(*sizes(problem), mixer=Shunted)


@architecture(
    "inceptionformer_shunted_next",
    kinds=("classes",),
    source="Ren et al. 2022, arXiv 2111.15193; Yu et al. 2023, arXiv 2303.16900",
    mechanism="InceptionNeXt blocks, of which five eighths pass untouched, stacked with shunted attention",
    recipe="transformer",
)
def shunted_next(problem: Problem) -> nn.Module:
    """InceptionNeXt blocks and shunted attention."""
    return InceptionFormer(*sizes(problem), SMALLER, Shunted, InceptionNext)


@architecture(
    "inceptionformer_bi_routing",
    kinds=("classes",),
    source="Zhu et al. 2023, arXiv 2303.08810",
    mechanism="bi-level routing: attention to the windows that are most alike, gathered",
    recipe="transformer",
)
def bi_routing(problem: Problem) -> nn.Module:
    """InceptionFormer whose windows choose which windows they read."""
    return InceptionFormer(*sizes(problem), mixer=BiRouting)


@architecture(
    "inceptionformer_window",
    kinds=("classes",),
    source="Liu et al. 2021, arXiv 2103.14030",
    mechanism="attention inside windows of ten tokens",
    recipe="transformer",
)
def window(problem: Problem) -> nn.Module:
    """InceptionFormer whose attention stays inside windows."""
    return InceptionFormer(*sizes(problem), mixer=Window)


@architecture(
    "inceptionformer_shifted_window",
    kinds=("classes",),
    source="Liu et al. 2021, arXiv 2103.14030",
    mechanism="windows, then windows shifted by half of their length",
    recipe="transformer",
)
def shifted_window(problem: Problem) -> nn.Module:
    """InceptionFormer with windows and shifted windows in turn."""
    return InceptionFormer(*sizes(problem), SMALLER, WindowPair)


@architecture(
    "inceptionformer_sparse",
    kinds=("classes",),
    source="Chang et al. 2023, arXiv 2303.08685",
    mechanism="a few semantic tokens gather from all tokens and give back to all",
    recipe="transformer",
)
def sparse(problem: Problem) -> nn.Module:
    """InceptionFormer with sparse semantic tokens."""
    return InceptionFormer(*sizes(problem), mixer=SparseTokens)


@architecture(
    "inceptionformer_hilo",
    kinds=("classes",),
    source="Pan et al. 2022, arXiv 2205.13213",
    mechanism="half of the heads inside windows, half on the windows' means",
    recipe="transformer",
)
def hilo(problem: Problem) -> nn.Module:
    """InceptionFormer with high- and low-frequency heads."""
    return InceptionFormer(*sizes(problem), mixer=HiLo)
