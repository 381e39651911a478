"""Shared parts of tasks that answer from the last seconds: a column and a sequence decoder beside a
frozen trunk, their training and evaluation.

The network sees a record as the stream does: as windows of BEAT_SPEC, one a second, each scaled by
the ten seconds before its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.ecgcl import STEPS_PER_SECOND, Column, SequenceDecoder, Trunk, second
from models.signal.windows import BEAT_SPEC, cut
from models.training.data.cinc2017 import Recordings
from models.training.data.rhythm_windows import Varied

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SMOOTHING = 0.05
AT_ONCE = 32  # windows per call when a record is judged


class Context(NamedTuple):
    """The context of a task, in seconds: at most, before its first answer, and between answers."""

    seconds: int
    least: int
    hop: int


class Young(NamedTuple):
    """Training for streams that are younger than the context: a part of the context is judged
    beside the whole."""

    share: float = 0.2  # of the loss
    most: float = 2 / 3  # of the context, at most


SELDOM = Young()


class SequenceLearner(nn.Module):
    """Frozen trunk, own column, own decoder: windows (B, S, 320) to the decoder's steps, (B, 4 S,
    C)."""

    def __init__(self, trunk: Trunk, column: Column, decoder: SequenceDecoder) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False)
        self.column = column
        self.decoder = decoder

    def train(self, mode: bool = True) -> SequenceLearner:
        """Set the training mode, but keep the trunk's statistics frozen."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, windows: Tensor) -> Tensor:  # (B, S, 320) -> (B, 4 S, C)
        count, seconds, length = windows.shape
        x = windows.reshape(count * seconds, 1, 1, length)
        with torch.no_grad():
            branches = self.trunk(x)
        return second(self.column(x, branches)).reshape(count, seconds * STEPS_PER_SECOND, -1)


def every_step(known: Tensor) -> Tensor:
    """Expand the mask of seconds, (B, S), to the mask of steps, (B, 4 S, 1)."""
    return known.repeat_interleave(STEPS_PER_SECOND, dim=1).unsqueeze(2)


def second_windows(signal: Floats) -> Floats:
    """One window per second of a record, as the stream cuts them to its end: (S, 320)."""
    count = -(-(len(signal) - BEAT_SPEC.offset) // BEAT_SPEC.hop)
    return cut(signal, BEAT_SPEC.end(np.arange(count)), BEAT_SPEC)


class SequenceBatches:
    """Records with one label each, varied; classes as they come, `weights` of them in the loss."""

    def __init__(
        self,
        recordings: Recordings,
        members: Ints,
        varied: Varied,
        context: Context,
        weights: Sequence[float],
        young: Young = SELDOM,
    ) -> None:
        self._recordings, self._members, self._varied, self._context, self._young = (
            recordings,
            members,
            varied,
            context,
            young,
        )
        self._weights = torch.tensor(tuple(weights))

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, S, 320); per row the class, how many of the last seconds exist, and first and
        last second of a part of them."""
        self._varied.use(rng)
        seconds, least, _ = self._context
        most = max(least, round(self._young.most * seconds))
        windows = np.zeros((size, seconds, BEAT_SPEC.length), np.float32)
        target = np.zeros((size, 4), np.int64)
        for row, record in enumerate(
            rng.choice(self._members, size, replace=size > len(self._members))
        ):
            cuts = second_windows(self._varied.piece(self._recordings.signal(int(record))))
            if rng.random() < 0.5:
                cuts = cuts[:-1]  # in the middle of a stream the newest window is whole
            cuts = cuts[-seconds:]
            windows[row, seconds - len(cuts) :] = cuts
            length = int(rng.integers(min(least, len(cuts)), min(most, len(cuts)) + 1))
            begin = seconds - len(cuts) + int(rng.integers(len(cuts) - length + 1))
            target[row] = self._recordings.labels[record], len(cuts), begin, begin + length
        return (torch.from_numpy(windows),), torch.from_numpy(target)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the whole and, so that young streams are answered well, of a part."""
        at = torch.arange(self._context.seconds)
        whole = (at >= self._context.seconds - target[:, 1:2]).float()
        part = ((at >= target[:, 2:3]) & (at < target[:, 3:4])).float()
        each = [
            self._entropy(net.decoder(answer, every_step(known)), target[:, 0])
            for known in (whole, part)
        ]
        return (1 - self._young.share) * each[0] + self._young.share * each[1]

    def _entropy(self, logits: Tensor, truth: Tensor) -> Tensor:
        return functional.cross_entropy(logits, truth, self._weights, label_smoothing=SMOOTHING)


def sequence_logits(net: SequenceLearner, windows: Floats, ends: Ints, seconds: int) -> Floats:
    """Answers (E, K) at the given numbers of seconds of one stream of windows (S, 320), each from
    `seconds` of context at most."""
    with torch.inference_mode():
        steps = torch.cat(
            [
                net(torch.from_numpy(windows[None, i : i + AT_ONCE]))[0]
                for i in range(0, len(windows), AT_ONCE)
            ]
        )
        held = torch.zeros(len(ends), seconds * STEPS_PER_SECOND, steps.shape[1])
        known = torch.zeros(len(ends), seconds)
        for row, end in enumerate(ends):
            n = min(int(end), seconds)
            held[row, (seconds - n) * STEPS_PER_SECOND :] = steps[
                (end - n) * STEPS_PER_SECOND : end * STEPS_PER_SECOND
            ]
            known[row, seconds - n :] = 1
        return np.asarray(net.decoder(held, every_step(known)).numpy())


def record_logits(net: SequenceLearner, signal: Floats, context: Context) -> Floats:
    """Mean answer over all full contexts of a record, a hop apart up to its end, or that of a
    shorter record: (K,)."""
    windows = second_windows(signal)
    ends = np.arange(len(windows), context.seconds - 1, -context.hop)
    ends = ends if len(ends) else np.array([len(windows)])
    return np.asarray(sequence_logits(net, windows, ends, context.seconds).mean(axis=0))


def temperature(logits: Floats, truth: Ints) -> float:
    """The divisor of logits (R, K) that gives the best-fitting probabilities (Guo et al. 2017,
    arXiv 1706.04599)."""
    candidates = np.exp(np.linspace(np.log(0.3), np.log(3), 93))
    x, y = torch.from_numpy(logits), torch.from_numpy(truth)
    return float(
        candidates[int(np.argmin([float(functional.cross_entropy(x / t, y)) for t in candidates]))]
    )
