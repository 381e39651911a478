"""Multi-module recurrent convolutions with a transformer (Le et al., BHI 2021, DOI
10.1109/BHI50953.2021.9508527; MIT-BIH F1 99.14 by ten folds of beats, patients on both sides of the
split).

A recurrent convolution (Liang and Hu 2015, DOI 10.1109/CVPR.2015.7298958) applies one kernel to its
own output again and again: the same weights, a growing field of view. One such network reads the
signal, one its spectrogram, a third module features of the rhythm; a transformer encoder fuses the
three.

We differ: 16 to 32 and 4 to 16 channels, three tokens of 64, and instead of age and sex, which a
stream has not, the third module reads how like the signal's steepness is to itself 0.28 to 1.5 s
later: the RR intervals, without finding beats.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import EncoderLayer
from models.architectures.layers.conv import conv_relu
from models.architectures.layers.spectra import Stft
from models.architectures.layers.system import System

STEPS, TOKEN, LAYERS, HEADS = 3, 64, 2, 4
ONE, TWO = (16, 24, 32), (4, 8, 16)
POOL, LAGS = 5, range(7, 38)  # means of 40 ms; lags of 0.28 to 1.48 s


class RecurrentConv(nn.Module):
    """h = f(W x), then h = f(W x + U h) STEPS times with the same U and a norm of each step's own:
    (B, inputs, H, T) to (B, outputs, H, T).
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int]) -> None:
        super().__init__()
        pad = kernel[0] // 2, kernel[1] // 2
        self.read = nn.Conv2d(inputs, outputs, kernel, padding=pad, bias=False)
        self.again: nn.Module | None = nn.Conv2d(outputs, outputs, kernel, padding=pad, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(outputs) for _ in range(STEPS + 1))

    def forward(self, x: Tensor) -> Tensor:
        seen = self.read(x)
        h = functional.relu(self.norms[0](seen))
        if self.again is not None:
            for norm in self.norms[1:]:
                h = functional.relu(norm(seen + self.again(h)))
        return h


class SignalModule(nn.Module):
    """(B, 1, T) to a token (B, TOKEN)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [conv_relu(1, ONE[0], 7, 4)]
        for a, b in zip((ONE[0], *ONE), ONE, strict=False):
            layers += [RecurrentConv(a, b, (1, 7)), nn.MaxPool2d((1, 4), ceil_mode=True)]
        self.body, self.out = nn.Sequential(*layers), nn.Linear(ONE[-1], TOKEN)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x.unsqueeze(2)).mean(dim=(2, 3)))


class SpectrumModule(nn.Module):
    """(B, 1, T) to a token (B, TOKEN)."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [Stft(64, 16), nn.BatchNorm2d(1)]
        for a, b in zip((1, *TWO), TWO, strict=False):
            layers += [RecurrentConv(a, b, (3, 3)), nn.MaxPool2d(2, ceil_mode=True)]
        self.body, self.out = nn.Sequential(*layers), nn.Linear(TWO[-1], TOKEN)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.body(x).mean(dim=(2, 3)))


def likeness(x: Tensor) -> Tensor:
    """How like the signal's steepness is to itself one lag later: (B, 1, T) to (B, lags), from -1
    to 1.
    """
    steep = (x[:, 0, 1:] - x[:, 0, :-1]).abs()
    level = functional.avg_pool1d(steep.unsqueeze(1), POOL).squeeze(1)  # (B, T / 5)
    level = level - level.mean(dim=1, keepdim=True)
    power = level.square().sum(dim=1, keepdim=True) + 1e-3
    return (
        torch.cat(
            [(level[:, lag:] * level[:, :-lag]).sum(dim=1, keepdim=True) for lag in LAGS], dim=1
        )
        / power
    )


class RhythmModule(nn.Module):
    """(B, 1, T) to a token (B, TOKEN)."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(len(LAGS), TOKEN), nn.ReLU(), nn.Linear(TOKEN, TOKEN))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(likeness(x))


class MultiModule(System):
    """(B, 1, T) scaled samples to (B, outputs) logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.views = nn.ModuleList([SignalModule(), SpectrumModule(), RhythmModule()])
        self.origin = nn.Parameter(0.02 * torch.randn(1, 3, TOKEN))
        self.fuse = nn.Sequential(
            *(EncoderLayer(TOKEN, HEADS) for _ in range(LAYERS)), nn.LayerNorm(TOKEN)
        )
        self.head = nn.Linear(TOKEN, outputs)

    def tokens(self, x: Tensor) -> Tensor:
        """Signal, spectrum, rhythm: (B, 1, T) to (B, 3, TOKEN)."""
        return torch.stack([module(x) for module in self.views], dim=1)

    def classify(self, tokens: Tensor) -> Tensor:
        """(B, 3, TOKEN) to logits."""
        return self.head(self.fuse(tokens + self.origin).mean(dim=1))

    def forward(self, x: Tensor) -> Tensor:
        return self.classify(self.tokens(x))

    def ablate(self) -> Sequence[nn.Module]:
        """Apply the convolutions once."""
        gone: list[nn.Module] = []
        for module in self.modules():
            if isinstance(module, RecurrentConv) and module.again is not None:
                gone += [module.again, *module.norms[1:]]
                module.again, module.norms = None, module.norms[:1]
        return gone


@architecture(
    "multi_module_rcnn",
    kinds=("classes",),
    source="Le et al. 2021, DOI 10.1109/BHI50953.2021.9508527",
    mechanism="recurrent convolutions on signal and spectrogram, and rhythm features, fused by a transformer",
    recipe="transformer",
)
def build(problem: Problem) -> nn.Module:
    """Recurrent convolutions on three views, fused by attention."""
    return MultiModule(len(problem.outputs))
