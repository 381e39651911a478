"""The beat network: QRS, ventricular beats and fibrillatory waves of one lead, sample by sample, from a window of 2.56 s."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.architectures.unet import WIDTHS, UNet

CHANNELS = ("qrs", "ventricular", "fibrillation")


class BeatNet(UNet):
    """(B, 1, T) scaled signal at 125 Hz, T a multiple of 8, to (B, 3, T) logits: QRS, ventricular (given a QRS), fibrillatory wave."""

    def __init__(self, widths: tuple[int, int, int, int] = WIDTHS) -> None:
        super().__init__(len(CHANNELS), widths)


def multiplications(net: nn.Module, length: int) -> int:
    """Multiply-accumulates of one window of `length` samples, counted by running it."""
    total = 0

    def count(layer: nn.Conv2d, _: object, out: Tensor) -> None:
        nonlocal total
        total += layer.weight.numel() * out.shape[-1]

    hooks = [m.register_forward_hook(count) for m in net.modules() if isinstance(m, nn.Conv2d)]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 1, length))
    for hook in hooks:
        hook.remove()
    return total
