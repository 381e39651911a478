"""SandwichNet and SandwichPro: inverted residuals whose middle is a depthwise convolution of four
kernels.

Both are of the project's source (github.com/hhhey-lw/LongWeiBlog), after the inverted residual
(Sandler et al. 2018, DOI 10.1109/CVPR.2018.00474). SandwichNet: pointwise to twice the channels,
multi-kernel depthwise, pointwise back. SandwichPro adds a second residual that mixes channels: a
gated linear unit (Shazeer 2020, arXiv 2002.05202) or an MLP with a depthwise convolution inside.

We differ: stages, stem and dimensions are those of InceptionFormer here; the source gives no sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.inceptionformer.network import HERE
from models.architectures.inceptionformer.parts import KERNELS, InceptionStem, merge
from models.architectures.layers.depthwise import SplitKernels, biased
from models.architectures.layers.system import System

PRO_DEPTHS = (1, 1, 1, 1)  # two residuals a block


class Sandwich(nn.Module):
    """Norm, pointwise, multi-kernel depthwise, pointwise, residual: (B, C, 1, L) to the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.widen = nn.BatchNorm2d(channels), biased(channels, 2 * channels)
        self.filling: nn.Module = SplitKernels(2 * channels, KERNELS)
        self.narrow = biased(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        inside = functional.gelu(self.widen(self.norm(x)))
        return x + self.narrow(functional.gelu(self.filling(inside)))


class GatedLinear(nn.Module):
    """Half of the channels gate the other half: (B, C, 1, L) to the same, with its residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.widen, self.narrow = (
            nn.BatchNorm2d(channels),
            biased(channels, 2 * channels),
            biased(channels, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.widen(self.norm(x)).chunk(2, dim=1)
        return x + self.narrow(value * gate.sigmoid())


class DepthwiseMlp(nn.Module):
    """An MLP with a depthwise convolution inside: (B, C, 1, L) to the same, with its residual."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm, self.widen, self.narrow = (
            nn.BatchNorm2d(channels),
            biased(channels, 2 * channels),
            biased(2 * channels, channels),
        )
        self.inside = biased(2 * channels, 2 * channels, 3, groups=2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.narrow(functional.gelu(self.inside(self.widen(self.norm(x)))))


class SandwichNet(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    last_map = "body"

    def __init__(
        self, leads: int, outputs: int, channel_mixer: Callable[[int], nn.Module] | None = None
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [InceptionStem(leads, HERE.channels[0], HERE.stem_stride)]
        depths = PRO_DEPTHS if channel_mixer else HERE.depths
        for stage, (channels, depth) in enumerate(zip(HERE.channels, depths, strict=True)):
            if stage:
                layers.append(merge(HERE.channels[stage - 1], channels))
            for _ in range(depth):
                layers += [
                    Sandwich(channels),
                    *([channel_mixer(channels)] if channel_mixer else []),
                ]
        self.mixer = channel_mixer
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(HERE.channels[-1], outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x.unsqueeze(2)).mean(dim=(2, 3)))

    def ablate(self) -> Sequence[nn.Module]:
        """SandwichNet: nothing between the slices. SandwichPro: no mixer of channels."""
        gone: list[nn.Module] = []
        for place, layer in enumerate(self.body):
            if self.mixer is None and isinstance(layer, Sandwich):
                gone.append(layer.filling)
                layer.filling = nn.Identity()
            elif isinstance(layer, GatedLinear | DepthwiseMlp):
                gone.append(layer)
                self.body[place] = nn.Identity()
        return gone


@architecture(
    "sandwichnet",
    kinds=("classes",),
    source="Sandler et al. 2018, DOI 10.1109/CVPR.2018.00474; github.com/hhhey-lw/LongWeiBlog",
    mechanism="depthwise kernels 3, 7, 11 and 19 between two pointwise convolutions",
)
def sandwichnet(problem: Problem) -> nn.Module:
    """Inverted residuals with multi-kernel depthwise convolutions."""
    return SandwichNet(problem.rows, len(problem.outputs))


@architecture(
    "sandwichpro_glu",
    kinds=("classes",),
    source="Shazeer 2020, arXiv 2002.05202; github.com/hhhey-lw/LongWeiBlog",
    mechanism="sandwich blocks and a gated linear unit over channels",
)
def sandwichpro_glu(problem: Problem) -> nn.Module:
    """SandwichNet with gated linear units."""
    return SandwichNet(problem.rows, len(problem.outputs), GatedLinear)


@architecture(
    "sandwichpro_dwffn",
    kinds=("classes",),
    source="Sandler et al. 2018, DOI 10.1109/CVPR.2018.00474; github.com/hhhey-lw/LongWeiBlog",
    mechanism="sandwich blocks and an MLP with a depthwise convolution inside",
)
def sandwichpro_dwffn(problem: Problem) -> nn.Module:
    """SandwichNet with depthwise MLPs."""
    return SandwichNet(problem.rows, len(problem.outputs), DepthwiseMlp)
