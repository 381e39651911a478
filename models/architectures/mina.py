"""MINA: attention at three levels, each led by what cardiologists look at (Hong et al., IJCAI 2019,
DOI 10.24963/ijcai.2019/816).

The signal is split into frequency channels, each channel into short segments. Inside a segment,
attention over positions is led by the signal's slope (where a QRS is); over segments by their
standard deviation (whether a rhythm changes); over channels by their power.

We differ: bands of our own at 125 Hz (raw, 0.5-5, 5-40, above 40 Hz) by linear-phase filters inside
the network, 25 segments of 0.4 s in 10 s, half the widths, all softmaxes with max-shift, and logits
instead of a softmax before the loss. Published figures (PR-AUC 0.944, CinC 2017) are of windows
with AF oversampled about tenfold in the test as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures import Problem, architecture
from models.architectures.layers.attention import AdditiveAttention
from models.architectures.layers.spectra import Bands
from models.architectures.layers.system import System

BANDS = ((None, None), (0.5, 5.0), (5.0, 40.0), (40.0, None))  # Hz
SEGMENT, KERNEL, STRIDE = 50, 16, 2
POSITIONS = (SEGMENT - KERNEL) // STRIDE + 1
FILTERS, HIDDEN, SHORT, ATTENTION = 32, 24, 8, 8


class Plain(nn.Module):
    """The mean in place of attention, for the ablation."""

    def forward(self, things: Tensor, knowledge: Tensor) -> tuple[Tensor, Tensor]:
        return things.mean(dim=1), things.new_full(things.shape[:2], 1 / things.shape[1])


class Channel(nn.Module):
    """One frequency channel: (B, T) to its summary (B, SHORT) and the weights of positions (B, S,
    P) and of segments (B, S)."""

    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Conv2d(1, FILTERS, (1, KERNEL), (1, STRIDE))
        self.slope = nn.Conv2d(1, 1, (1, KERNEL), (1, STRIDE))
        # a mean of steepness to begin with: never silent behind its ReLU
        nn.init.uniform_(self.slope.weight, 0, 2 / KERNEL)
        nn.init.constant_(self.slope.bias, 0.1)
        self.beats: nn.Module = AdditiveAttention(FILTERS, 1, ATTENTION)
        self.lstm = nn.LSTM(FILTERS, HIDDEN, batch_first=True, bidirectional=True)
        self.rhythm: nn.Module = AdditiveAttention(2 * HIDDEN, 1, ATTENTION)
        self.out = nn.Linear(2 * HIDDEN, SHORT)
        self.dropout = nn.Dropout(0.2)

    def forward(self, x: Tensor, spread: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """`spread` (B, S, 1): the standard deviation of each segment."""
        segments = x.reshape(-1, 1, 1, SEGMENT)  # (B S, 1, 1, 50)
        steep = functional.pad((segments[..., 1:] - segments[..., :-1]).abs(), (1, 0))
        # (B S, P, 32)
        features = functional.relu(self.filters(segments)).squeeze(2).transpose(1, 2)
        slope = functional.relu(self.slope(steep)).squeeze(2).transpose(1, 2)  # (B S, P, 1)
        beat, alpha = self.beats(features, slope)
        over_time, _ = self.lstm(beat.reshape(x.shape[0], -1, FILTERS))  # (B, S, 48)
        whole, beta = self.rhythm(over_time, spread)
        return (
            self.dropout(functional.leaky_relu(self.out(whole))),
            alpha.reshape(x.shape[0], -1, POSITIONS),
            beta,
        )


class Mina(System):
    """(B, 1, T) scaled samples, T a multiple of 25, to (B, outputs) logits."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.bands = Bands(BANDS)
        self.channels = nn.ModuleList(Channel() for _ in BANDS)
        self.frequency: nn.Module = AdditiveAttention(SHORT, 1, 2)
        self.head = nn.Linear(SHORT, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.look(x)[0]

    def look(
        self, x: Tensor, spread: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Logits; weights of positions (B, 4, S, P), of segments (B, 4, S), of channels (B, 4).
        `spread` (B, 4, S, 1) overrides its own."""
        bands = self.bands(functional.pad(x, (0, -x.shape[2] % SEGMENT)))
        segments = bands.reshape(x.shape[0], len(BANDS), -1, SEGMENT)
        if spread is None:
            spread = (segments.var(dim=3, unbiased=False, keepdim=True) + 1e-6).sqrt()
        each = [channel(bands[:, c], spread[:, c]) for c, channel in enumerate(self.channels)]
        summaries, alpha, beta = (torch.stack(parts, dim=1) for parts in zip(*each, strict=True))
        power = torch.log(bands.square().mean(dim=2, keepdim=True) + 1e-4)
        whole, gamma = self.frequency(summaries, power)
        return self.head(whole), alpha, beta, gamma

    def ablate(self) -> Sequence[nn.Module]:
        """Replace all three attentions by means; the slope filters, which only lead attention, go
        with them."""
        gone: list[nn.Module] = [self.frequency]
        self.frequency = Plain()
        for channel in self.channels:
            gone += [channel.beats, channel.rhythm, channel.slope]
            channel.beats, channel.rhythm, channel.slope = (
                Plain(),
                Plain(),
                nn.MaxPool2d((1, KERNEL), (1, STRIDE)),
            )
        return gone

    def attention(self, x: Tensor) -> dict[str, Tensor]:
        """Beats: where in the signal; rhythm: which segments. Both over channels by the frequency
        attention."""
        _, alpha, beta, gamma = self.look(x)
        segments = (gamma.unsqueeze(2) * beta).sum(dim=1)
        beats = (gamma[:, :, None, None] * beta[:, :, :, None] * alpha).sum(dim=1).flatten(1)
        return {"beats": beats, "rhythm": segments}


@architecture(
    "mina",
    kinds=("classes",),
    source="Hong et al. 2019, DOI 10.24963/ijcai.2019/816",
    mechanism="attention over beats, rhythm and frequency channels, led by slope, spread and power",
)
def build(problem: Problem) -> nn.Module:
    """Four frequency channels under attention at three levels."""
    return Mina(len(problem.outputs))
