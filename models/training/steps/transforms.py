"""Two ways to change a record that leave its label true (Le D. et al. 2023, DOI
10.1109/JBHI.2023.3246241).

Split and join: the beginning of one record and the end of another of the same label. Peak-aware
smoothing: the signal between QRS complexes is smoothed, the peaks are spared. Difference here: QRS
complexes are located by steepness instead of a detector.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

SMOOTH = 9  # samples averaged
NEAR = 13  # samples around a steep place that count as its QRS
STEEP = 0.4  # of a window's steepest place, from which on nothing is smoothed
BORDER = 0.2, 0.8  # share of the window between which records are joined


def averaged(x: Tensor, count: int) -> Tensor:
    """Centred moving mean of (B, R, T)."""
    return functional.avg_pool1d(
        functional.pad(x, (count // 2, count // 2), mode="replicate"), count, 1
    )


def steepness(x: Tensor) -> Tensor:
    """From 0 to 1 relative to each row's steepest place, spread over its surroundings: (B, R, T)."""
    slope = averaged(functional.pad((x[..., 1:] - x[..., :-1]).abs(), (1, 0)), 3)
    near = functional.max_pool1d(slope, NEAR, 1, NEAR // 2)
    return near / (near.amax(dim=2, keepdim=True) + 1e-6)


def smoothed(x: Tensor) -> Tensor:
    """Windows (B, R, T) smoothed where they are not steep."""
    spare = (steepness(x) / STEEP).clamp(max=1)
    return spare * x + (1 - spare) * averaged(x, SMOOTH)


def partners(sets: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw, for each record, another with exactly the same labels, or itself if there is none.
    Takes label sets of 0 and 1 (B, K), returns indices (B,).
    """
    same = (sets[:, None] == sets[None]).all(dim=2).float()
    alone = same.sum(dim=1) == 1
    weights = same - torch.eye(len(sets)) + torch.diag(alone.float())
    return torch.multinomial(weights, 1, generator=generator).flatten()


def joined(x: Tensor, sets: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The beginning of each window, and the end of one of the same labels, at its own size: (B, R,
    T).
    """
    other = x[partners(sets, generator)]
    size = (x.std(dim=2, keepdim=True) + 1e-6) / (other.std(dim=2, keepdim=True) + 1e-6)
    low, high = BORDER
    at = (low + (high - low) * torch.rand(len(x), 1, 1, generator=generator)) * x.shape[2]
    return torch.where(torch.arange(x.shape[2]) < at, x, other * size)
