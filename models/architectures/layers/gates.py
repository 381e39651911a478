"""Gates: a feature map multiplied by weights made of itself."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class SqueezeExcite(nn.Module):
    """One weight per channel, the same at all times: (B, C, R, T) to the same. Hu et al. 2018, DOI
    10.1109/CVPR.2018.00745.

    `per_row`: a weight of each row's own, made of that row alone.
    """

    def __init__(self, channels: int, reduction: int = 4, per_row: bool = False) -> None:
        super().__init__()
        self.over = (3,) if per_row else (2, 3)
        hidden = max(4, channels // reduction)
        self.squeeze, self.excite = nn.Conv2d(channels, hidden, 1), nn.Conv2d(hidden, channels, 1)

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, 1, 1), or (B, C, R, 1) if per row, in (0, 1)."""
        return torch.sigmoid(
            self.excite(functional.relu(self.squeeze(x.mean(dim=self.over, keepdim=True))))
        )

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weights(x)


class CoordinateAttention(nn.Module):
    """A weight per channel times a weight per channel and moment: (B, C, 1, T) to the same.

    Hou et al. 2021, DOI 10.1109/CVPR46437.2021.01350, with one axis: the mean over time and the map
    itself go through one squeeze.
    """

    def __init__(self, channels: int, reduction: int = 16, least: int = 8) -> None:
        super().__init__()
        hidden = max(least, channels // reduction)
        self.squeeze = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False), nn.BatchNorm2d(hidden), nn.Hardswish()
        )
        self.of_channel, self.of_time = (
            nn.Conv2d(hidden, channels, 1),
            nn.Conv2d(hidden, channels, 1),
        )

    def weights(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, 1, 1) and (B, C, 1, T), in (0, 1)."""
        squeezed = self.squeeze(torch.cat([x.mean(dim=3, keepdim=True), x], dim=3))
        return torch.sigmoid(self.of_channel(squeezed[..., :1])), torch.sigmoid(
            self.of_time(squeezed[..., 1:])
        )

    def forward(self, x: Tensor) -> Tensor:
        channel, time = self.weights(x)
        return x * channel * time
