"""Stand-ins without parameters for what `System.ablate` takes out."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class StandIn(nn.Module):
    """A map of the shape that a convolution would give, learned from nothing: (B, C, R, T) to (B,
    outputs, R, ceil(T / stride)).

    Means of `stride` samples; channels repeated, or left out.
    """

    def __init__(self, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.outputs, self.stride = outputs, stride

    def forward(self, x: Tensor) -> Tensor:
        if self.stride > 1:
            x = functional.avg_pool2d(
                functional.pad(x, (0, -x.shape[3] % self.stride)), (1, self.stride)
            )
        return x.repeat(1, -(-self.outputs // x.shape[1]), 1, 1)[:, : self.outputs]
