"""A rhythm seen in its beats: intervals, and how far each beat's shape is from the usual one.

The backbone's steps (models/architectures/ecgcl.py) tell what the signal looks like every 250 ms.
Here the beats are the steps. They are laid on their common average, which has less noise than one
beat by the root of their number: what is left of a P wave, or how far one beat differs, is read
more surely than from any single second. Both views judge the same seconds, and their logits are
averaged, as Hong et al. (2017, DOI 10.22489/CinC.2017.178-245) joined expert features and networks;
we differ: these features are learned, but for the alignment.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.ecgcl import SequenceDecoder, pooled
from models.beats.morphology import P_PART, QRS_PART, SHAPE

SQUEEZE, WIDTH, HIDDEN, AVERAGE = 24, 12, 24, 16
TOGETHER = 32
NUMBERS = 9  # of a beat, beside its shapes
WHOLE = 6  # of all beats together
SHORTEST_S, LONGEST_S = 0.15, 3.0  # an interval outside says nothing
LEAST_MV = 0.01


class _Laid(NamedTuple):
    """Beats (B, K, SHAPE) and what they have in common."""

    beats: Tensor  # mV, without their means
    average: Tensor  # (B, 1, SHAPE) mV
    height: Tensor  # (B, 1, 1) mV: root mean square of the average
    like: Tensor  # (B, K, 1) 2ab / (a^2 + b^2) of beat and average
    weight: Tensor  # (B, K, 1) share in the average


class _Intervals(NamedTuple):
    """Each (B, K), 0 where unknown; `mean` (B, 1)."""

    known: Tensor  # 0 or 1
    before: Tensor  # log of the interval before a beat, less the mean
    after: Tensor
    change: Tensor  # of `before` from the beat before
    mean: Tensor  # log of seconds


class BeatDecoder(nn.Module):
    """(B, K) seconds ago and (B, K, SHAPE) mV of models/beats/last_beats.py to (B, classes) logits."""

    def __init__(self, classes: int, dropout: float = 0.2) -> None:
        super().__init__()
        self.shape = nn.Sequential(nn.Linear(SHAPE, SQUEEZE), nn.ReLU(), nn.Linear(SQUEEZE, WIDTH))
        self.difference = nn.Sequential(
            nn.Linear(SHAPE, SQUEEZE), nn.ReLU(), nn.Linear(SQUEEZE, WIDTH)
        )
        self.join = nn.Linear(2 * WIDTH + NUMBERS, TOGETHER)
        self.gru = nn.GRU(TOGETHER, HIDDEN, batch_first=True, bidirectional=True)
        self.average = nn.Sequential(
            nn.Linear(2 * SHAPE, SQUEEZE), nn.ReLU(), nn.Linear(SQUEEZE, AVERAGE)
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(2 * (2 * HIDDEN + TOGETHER) + AVERAGE + WHOLE, classes)

    def forward(self, ago: Tensor, shapes: Tensor) -> Tensor:
        there = (ago >= 0).to(shapes.dtype).unsqueeze(2)  # (B, K, 1)
        laid, rr = _lay(shapes, there), _intervals(ago, there[:, :, 0])
        scale = 2 * laid.height
        difference = ((laid.beats - laid.average) / scale).clamp(-4, 4)
        seen = torch.cat(
            [
                _numbers(laid, rr),
                self.shape((laid.beats / scale).clamp(-4, 4)),
                self.difference(difference),
            ],
            dim=2,
        )
        steps = functional.relu(self.join(seen)) * there
        over_time, _ = self.gru(steps)
        together = pooled(torch.cat([steps, over_time], dim=2), there)
        return self.head(
            self.dropout(
                torch.cat([together, self._usual(laid, scale), _whole(laid, rr, there)], dim=1)
            )
        )

    def _usual(self, laid: _Laid, scale: Tensor) -> Tensor:
        """Return the average beat, and where beats differ from it: (B, AVERAGE)."""
        square = ((laid.beats - laid.average) / scale).square() * laid.weight
        spread = (square.sum(dim=1) / laid.weight.sum(dim=1).clamp(min=1e-6) + 1e-6).sqrt()
        return self.average(
            torch.cat([(laid.average / scale)[:, 0].clamp(-4, 4), 4 * spread.clamp(max=1)], dim=1)
        )


class RhythmDecoder(nn.Module):
    """A task that looks at the backbone's steps (B, S, C) of which `known` (B, S, 1) exist, and at
    the beats: to (B, classes) logits."""

    def __init__(self, steps: SequenceDecoder, beats: BeatDecoder) -> None:
        super().__init__()
        self.steps, self.beats = steps, beats
        self.register_buffer("temperature", torch.ones(()))

    def forward(self, steps: Tensor, known: Tensor, ago: Tensor, shapes: Tensor) -> Tensor:
        return (self.steps(steps, known) + self.beats(ago, shapes)) / (2 * self.temperature)


def _lay(shapes: Tensor, there: Tensor) -> _Laid:
    """The average of those beats that are like it. It begins with a mean in which large ones count
    less, for a few may be huge."""
    beats = (shapes - shapes.mean(dim=2, keepdim=True)) * there
    power = beats.square().mean(dim=2, keepdim=True)  # (B, K, 1)
    usual = (power.sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1)).clamp(
        min=1e-6
    )
    weight = there / (1 + power / usual).square()
    for _ in range(2):
        average = (beats * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True).clamp(
            min=1e-6
        )
        both = SHAPE * power + average.square().sum(dim=2, keepdim=True)
        like = 2 * (beats * average).sum(dim=2, keepdim=True) / both.clamp(min=1e-6)
        weight = there * (torch.sigmoid(12 * (like - 0.7)) + 1e-4)
    return _Laid(beats, average, _size(average).clamp(min=LEAST_MV), like, weight)


def _numbers(laid: _Laid, rr: _Intervals) -> Tensor:
    """Return the numbers of each beat: (B, K, NUMBERS)."""
    size = torch.log((_size(laid.beats) / laid.height)[:, :, 0] + 0.02)
    columns = [
        8 * rr.before,
        8 * rr.after,
        8 * rr.change,
        2 * rr.mean.expand_as(rr.before),
        rr.known,
        4 * (laid.like[:, :, 0] - 0.75),
        _correlation(laid, P_PART),
        _correlation(laid, QRS_PART),
        size,
    ]
    return torch.stack(columns, dim=2).clamp(-4, 4)


def _size(x: Tensor) -> Tensor:
    return x.square().mean(dim=2, keepdim=True).sqrt()


def _intervals(ago: Tensor, there: Tensor) -> _Intervals:
    rr = functional.pad(ago[:, :-1] - ago[:, 1:], (1, 0))
    known = functional.pad(there[:, :-1] * there[:, 1:], (1, 0)) * (rr < LONGEST_S).to(rr.dtype)
    log = torch.log(rr.clamp(SHORTEST_S, LONGEST_S)) * known
    mean = log.sum(dim=1, keepdim=True) / known.sum(dim=1, keepdim=True).clamp(min=1)
    before = (log - mean) * known
    change = functional.pad(before[:, 1:] - before[:, :-1], (1, 0))
    return _Intervals(known, before, functional.pad(before[:, 1:], (0, 1)), change, mean)


def _correlation(laid: _Laid, part: slice) -> Tensor:
    """Of a part of each beat with that of the average: (B, K).

    Summed over whole shapes, of which the part is left: ONNX Runtime adds up rows of 208 bytes
    alike wherever they lie, not so rows of 56.
    """
    inside = torch.zeros(SHAPE)
    inside[part] = 1
    a, b = laid.beats * inside, laid.average * inside
    a, b = ((x - x.sum(dim=2, keepdim=True) / inside.sum()) * inside for x in (a, b))
    return (a * b).sum(dim=2) / (a.square().sum(dim=2) * b.square().sum(dim=2) + 1e-8).sqrt()


def _whole(laid: _Laid, rr: _Intervals, there: Tensor) -> Tensor:
    """How irregular, how quick, how alike, how many, how large: (B, WHOLE)."""
    count = there.sum(dim=1).clamp(min=1)
    known = rr.known.sum(dim=1, keepdim=True).clamp(min=1)
    spread = (rr.before.square().sum(dim=1, keepdim=True) / known).sqrt()
    steps = (rr.change.abs() * rr.known).sum(dim=1, keepdim=True) / known
    like = (laid.like * there).sum(dim=1) / count
    columns = [
        8 * spread,
        8 * steps,
        2 * rr.mean,
        4 * (like - 0.75),
        count / 40 - 1,
        torch.log(laid.height[:, 0]),
    ]
    return torch.cat(columns, dim=1).clamp(-4, 4)
