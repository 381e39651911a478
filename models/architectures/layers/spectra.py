"""Fixed filters inside the network: exported with it, never trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import torch
from scipy import signal
from torch import Tensor, nn
from torch.nn import functional

from models.signal.conditioning import FS_HZ


class Bands(nn.Module):
    """The signal in bands: (B, 1, T) to (B, bands, T).

    A band is (low, high) in Hz, None for no bound; linear-phase FIR filters (Hamming window), so
    that beats stay where they are.
    """

    def __init__(
        self, bands: Sequence[tuple[float | None, float | None]], taps: int = 63, fs_hz: int = FS_HZ
    ) -> None:
        super().__init__()
        kernels = [_band(low, high, taps, fs_hz) for low, high in bands]
        self.register_buffer(
            "kernels", torch.tensor(np.stack(kernels)[:, None, None], dtype=torch.float32)
        )

    def forward(self, x: Tensor) -> Tensor:
        kernels = cast(Tensor, self.kernels)
        return functional.conv2d(
            x.unsqueeze(2), kernels, padding=(0, kernels.shape[3] // 2)
        ).squeeze(2)


class Derivative(nn.Module):
    """First difference, as long as the signal: (B, C, T) to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.pad(x[:, :, 1:] - x[:, :, :-1], (1, 0))


class Stft(nn.Module):
    """Log power of short-time spectra as fixed convolutions: (B, 1, T) to (B, 1, size / 2 + 1,
    frames); frames of `size`, `hop` apart.

    The window is Hann's. frames = 1 + (T - size) // hop.
    """

    def __init__(self, size: int, hop: int) -> None:
        super().__init__()
        turns = np.outer(np.arange(size // 2 + 1), np.arange(size)) * 2 * np.pi / size
        window = signal.get_window("hann", size)
        basis = np.concatenate([np.cos(turns) * window, -np.sin(turns) * window]) / np.sqrt(
            np.sum(window**2)
        )
        self.hop, self.bins = hop, size // 2 + 1
        self.register_buffer("basis", torch.tensor(basis[:, None, None], dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:
        # (B, 2 bins, frames)
        parts = functional.conv2d(
            x.unsqueeze(2), cast(Tensor, self.basis), stride=(1, self.hop)
        ).squeeze(2)
        power = parts[:, : self.bins].square() + parts[:, self.bins :].square()
        return torch.log(power + 1e-4).unsqueeze(1)


def _band(
    low: float | None, high: float | None, taps: int, fs_hz: int
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if low is None and high is None:
        return np.asarray(np.arange(taps) == taps // 2, np.float64)  # as it is
    if low is None or high is None:
        return np.asarray(signal.firwin(taps, low or high, fs=fs_hz, pass_zero=low is None))
    return np.asarray(signal.firwin(taps, [low, high], fs=fs_hz, pass_zero=False))
