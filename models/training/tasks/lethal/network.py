"""The network of T4 as it is trained: the frozen trunk, a column, a decoder of the last seconds; its
features and answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.ecgcl import STEPS_PER_SECOND, WIDTHS, Column, SequenceDecoder, second
from models.signal.windows import BEAT_SPEC, LEVEL_MEAN, LEVEL_SD, level, scale
from models.training.data.lethal_data import CLASSES, WINDOWS
from models.training.data.records import Floats
from models.training.sequence import every_step
from models.training.tasks.qrs.metrics import AT_ONCE, window_ends
from models.training.tasks.qrs.train import trained

COLUMN = (8, 16, 24)
HIDDEN = 16


class Lethal(nn.Module):
    """Windows of the last seconds to the rhythm of the newest: the frozen trunk, a column, a
    decoder."""

    def __init__(
        self, trunk: nn.Module, widths: tuple[int, int, int] = COLUMN, hidden: int = HIDDEN
    ) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False)
        self.column = Column(WIDTHS, widths)
        self.decoder = SequenceDecoder(widths[-1] + 1, hidden, len(CLASSES))

    def train(self, mode: bool = True) -> Lethal:
        """Set the training mode of column and decoder; the trunk and its BatchNorm stay frozen."""
        super().train(mode)
        self.trunk.eval()
        return self

    def steps(self, x: Tensor, mv: Tensor, branches: Sequence[Tensor]) -> Tensor:
        """Windows (B, 1, 1, 320), their levels in mV (B,) and trunk features to the steps of their
        seconds: (B, 4, C + 1), the last one the level."""
        features = second(self.column(x, branches))
        size = ((mv.log() - LEVEL_MEAN) / LEVEL_SD)[:, None, None].expand(-1, STEPS_PER_SECOND, 1)
        return torch.cat([features, size], dim=2)

    def forward(self, x: Tensor, mv: Tensor, known: Tensor, *branches: Tensor) -> Tensor:
        """The rhythm of the last of WINDOWS seconds: (B, 4) logits of CLASSES.

        Args: (B, WINDOWS, 320) windows; (B, WINDOWS) levels in mV; (B, WINDOWS) 1 where there is a
        window; the trunk's branches of each window but the finest, (B, WINDOWS, C, T), as
        `features` gives them.
        """
        seen = [b.float().flatten(0, 1).unsqueeze(2) for b in branches]
        flat = x.float().flatten(0, 1)[:, None, None]
        # a column reads no finest branch
        steps = (
            self.steps(flat, mv.flatten(), [seen[0], *seen]).unflatten(0, mv.shape).flatten(1, 2)
        )
        return self.decoder(steps, every_step(known))


def decoder_inputs(net: Lethal, drawn: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Inputs and targets of the decoder for these examples: (B, 4 * WINDOWS, C + 1), (B, 4 *
    WINDOWS, 1), (B,)."""
    x, mv, known, target = drawn
    parts = []
    with torch.no_grad():
        for some, size in zip(x.split(64), mv.split(64), strict=True):
            flat = (
                some.float()
                .flatten(0, 1)[:, None, None]
                .contiguous(memory_format=torch.channels_last)
            )
            parts.append(
                net.steps(flat, size.flatten(), net.trunk(flat))
                .unflatten(0, size.shape)
                .flatten(1, 2)
            )
    return torch.cat(parts), every_step(known), target


def features(trunk: nn.Module, x: Tensor) -> list[Tensor]:
    """Windows (B, WINDOWS, 320) to the trunk's branches but the finest, each (B, WINDOWS, C, T) in
    half precision."""
    trunk.eval()
    parts: list[list[Tensor]] = []
    with torch.no_grad():
        for some in x.split(64):
            branches = trunk(
                some.float()
                .flatten(0, 1)[:, None, None]
                .contiguous(memory_format=torch.channels_last)
            )[1:]
            parts.append([b.squeeze(2).half().unflatten(0, some.shape[:2]) for b in branches])
    return [torch.cat(branch) for branch in zip(*parts, strict=True)]


def answers(net: Lethal, signal: Floats) -> Floats:
    """A whole record through the windows of the stream: (windows, 4) logits."""
    ends = window_ends(len(signal))
    steps = [torch.zeros(WINDOWS - 1, STEPS_PER_SECOND, net.decoder.gru.input_size)]
    with torch.no_grad():
        for some in np.split(ends, range(AT_ONCE, len(ends), AT_ONCE)):
            at = some[:, None] + np.arange(-BEAT_SPEC.scale, 0)
            inside = (at >= 0) & (at < len(signal))
            history = np.where(inside, signal[np.clip(at, 0, len(signal) - 1)], np.float32(0))
            x, mv = (
                torch.from_numpy(f(history, inside.sum(axis=1), BEAT_SPEC)) for f in (scale, level)
            )
            x = x[:, None, None].contiguous(memory_format=torch.channels_last)
            steps.append(net.steps(x, mv, net.trunk(x)))
        together = torch.cat(steps)
        known = torch.ones(len(together), STEPS_PER_SECOND, 1)
        known[: WINDOWS - 1] = 0
        last = torch.arange(len(ends))[:, None] + torch.arange(WINDOWS)
        logits: Floats = net.decoder(
            together[last].flatten(1, 2), known[last].flatten(1, 2)
        ).numpy()
    return logits


def save(net: Lethal, path: Path, temperature: float = 1.0) -> None:
    """Save the file that export reads: calibrated states of column and decoder, and the arguments
    to build them."""
    decoder = net.decoder.state_dict() | {"temperature": torch.tensor(temperature)}
    about = {
        "widths": list(COLUMN),
        "hidden": HIDDEN,
        "windows": WINDOWS,
        "level_mean": LEVEL_MEAN,
        "level_sd": LEVEL_SD,
    }
    torch.save({"column": net.column.state_dict(), "decoder": decoder, **about}, path)


def load_trunk(path: Path) -> nn.Module:
    """The trunk of a trained T1."""
    return trained(path).trunk.to(memory_format=torch.channels_last)
