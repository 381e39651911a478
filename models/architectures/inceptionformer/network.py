"""InceptionFormer: stages of multi-kernel depthwise convolutions, a stage in which they alternate
with attention, a stage of attention.

The design is of the project's source (github.com/hhhey-lw/LongWeiBlog, ecg_exp.md), after Inception
(Szegedy et al. 2015, DOI 10.1109/CVPR.2015.7298594) and InceptionNeXt (Yu et al. 2023, arXiv
2303.16900). Its layers are rebuilt from the parameter counts that it gives: 12.451 million at
dimensions 64 to 512 on 12 leads. Its figures (CPSC2018 F1 0.853) have thresholds that were picked
on the test fold.

We differ: BatchNorm in convolution blocks, a stem of stride 4 at the small size, dimensions 16 to
96, and the window padded by zeros on the left so that every stage divides into windows of ten
tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.inceptionformer.local_mixers import WINDOW
from models.architectures.inceptionformer.parts import ConvBlock, InceptionStem, merge
from models.architectures.layers.attention import SelfAttention
from models.architectures.layers.heads import MixerLayer
from models.architectures.layers.system import System

Mixer = Callable[[int, int, int], nn.Module]  # channels, heads, length of the stage
Block = Callable[[int], nn.Module]


@dataclass(frozen=True)
class Size:
    """Sizes of the four stages."""

    channels: tuple[int, ...] = (16, 32, 64, 96)
    depths: tuple[int, ...] = (1, 2, 2, 1)
    stem_stride: int = 4
    head: int = 16  # channels of one head
    mixed: int = 2  # stage from which attention is used: this one alternates with convolutions, later ones do not


HERE = Size()
BASE = Size((64, 128, 256, 512), (2, 4, 8, 4), 1, 32)
TINY = Size((8, 16, 32, 48))
BASE_TINY = Size((32, 64, 128, 256), (2, 4, 8, 4), 1, 32)


def self_attention(channels: int, heads: int, length: int) -> nn.Module:
    """The mixer of InceptionFormer itself."""
    return SelfAttention(channels, heads)


class OnTokens(nn.Module):
    """A layer of tokens on (B, C, 1, L)."""

    def __init__(self, layer: MixerLayer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x.squeeze(2).transpose(1, 2)).transpose(1, 2).unsqueeze(2)


class InceptionFormer(System):
    """(B, leads, T) scaled samples to (B, outputs) logits."""

    def __init__(
        self,
        leads: int,
        length: int,
        outputs: int,
        size: Size = HERE,
        mixer: Mixer = self_attention,
        block: Block = ConvBlock,
    ) -> None:
        super().__init__()
        self.pad = -length % (size.stem_stride * 8 * WINDOW)
        tokens = (length + self.pad) // size.stem_stride
        self.stem = InceptionStem(leads, size.channels[0], size.stem_stride)
        self.stages, self.merges = nn.ModuleList(), nn.ModuleList()
        for stage, (channels, depth) in enumerate(zip(size.channels, size.depths, strict=True)):
            if stage:
                self.merges.append(merge(size.channels[stage - 1], channels))
            layers = []
            for place in range(depth):
                attends = stage > size.mixed or (stage == size.mixed and place % 2 == 1)
                heads = max(1, channels // size.head)
                mixed = (
                    MixerLayer(channels, mixer(channels, heads, tokens >> stage))
                    if attends
                    else None
                )
                layers.append(OnTokens(mixed) if mixed else block(channels))
            self.stages.append(nn.Sequential(*layers))
        self.head = nn.Linear(size.channels[-1], outputs)
        self.last_map = f"stages.{len(size.channels) - 1}"

    def features(self, x: Tensor) -> Tensor:
        """(B, leads, T) to the map before pooling, (B, C, 1, T / 32)."""
        y = self.stem(functional.pad(x, (self.pad, 0)).unsqueeze(2))
        for stage, layers in enumerate(self.stages):
            y = layers(self.merges[stage - 1](y) if stage else y)
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean(dim=(2, 3)))

    def mixers(self) -> list[nn.Module]:
        """The mixers, through which tokens see each other; first stage first."""
        return [layer.mixer for layer in self.modules() if isinstance(layer, MixerLayer)]

    def ablate(self) -> Sequence[nn.Module]:
        """Take out the mixers: no token sees another, except by the convolutions before."""
        gone = self.mixers()
        for layer in self.modules():
            if isinstance(layer, MixerLayer):
                layer.mixer = nn.Identity()
        return gone


class ClassToken(nn.Module):
    """A learned token in front of the others: (B, N, C) to (B, N + 1, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.token = nn.Parameter(0.02 * torch.randn(1, 1, channels))

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1)


class WithClassToken(InceptionFormer):
    """The last stage has a class token, which alone is classified."""

    def __init__(self, leads: int, length: int, outputs: int, size: Size = HERE) -> None:
        super().__init__(leads, length, outputs, size)
        self.token: nn.Module = ClassToken(size.channels[-1])
        self.last_map = None

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(functional.pad(x, (self.pad, 0)).unsqueeze(2))
        for stage, layers in enumerate(self.stages[:-1]):
            y = layers(self.merges[stage - 1](y) if stage else y)
        tokens = self.token(self.merges[-1](y).squeeze(2).transpose(1, 2))
        for layer in self.stages[-1]:
            tokens = layer.layer(tokens)
        return self.head(tokens[:, 0] if isinstance(self.token, ClassToken) else tokens.mean(dim=1))

    def ablate(self) -> Sequence[nn.Module]:
        """Classify the mean of all tokens."""
        gone, self.token = [self.token], nn.Identity()
        return gone
