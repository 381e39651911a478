"""What a network sees: which samples of the conditioned signal, and how they are scaled. The ONE definition for training and serving."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import numpy as np
import numpy.typing as npt

from models.conditioning import FS_HZ
from models.stage import Field, Rows, Slab, State, Table

Floats = npt.NDArray[np.float32]
RING = 6144  # samples kept per row (49 s): the longest window plus the longest push


@dataclass(frozen=True)
class InputSpec:
    """A window on the conditioned signal (models/conditioning.py), in samples at 125 Hz; it travels with the weights.

    Window k answers for the samples [k*hop + offset, k*hop + offset + hop) and sees `before` samples before these and `after` after them.
    The signal is divided by its root mean square over the last `scale` samples up to the window's end (those that exist), at least
    `floor_mv`, and clipped to +-`clip`.
    """

    before: int
    hop: int
    after: int
    offset: int
    scale: int = 10 * FS_HZ
    floor_mv: float = 0.01
    clip: float = 12.0
    fs_hz: int = FS_HZ

    @property
    def length(self) -> int:
        """Samples in a window."""
        return self.before + self.hop + self.after

    @property
    def history(self) -> int:
        """Samples needed to make a window: itself and what scales it."""
        return max(self.length, self.scale)

    def end(self, k: int) -> int:
        """One past the last sample of window k."""
        return k * self.hop + self.offset + self.hop + self.after

    def as_dict(self) -> dict[str, float]:
        """Plain data, for the artifact."""
        return asdict(self)


# One second of new signal, 1.04 s before and 0.52 s after it. The grid is shifted by 88 ms so that a window's end plus the conditioner's 64 ms
# stays within a multiple of half a second: with half-second or one-second chunks a window never waits for the chunk that follows.
BEAT_SPEC = InputSpec(before=130, hop=125, after=65, offset=-11)


def scale(history: Floats, valid: npt.NDArray[np.int64], spec: InputSpec) -> Floats:
    """Cut and scale windows.

    Args:
        history: (B, spec.history) mV, ending at the windows' ends; zeros where there was no signal.
        valid: (B,) how many samples, of those that scale the window, are signal.

    Returns: (B, spec.length) float32.
    """
    recent = history[:, -spec.scale :]
    power = np.einsum("ij,ij->i", recent, recent, dtype=np.float64) / np.clip(valid, 1, spec.scale)
    level = np.maximum(np.sqrt(power), spec.floor_mv).astype(np.float32)
    return np.clip(history[:, -spec.length :] / level[:, None], -spec.clip, spec.clip)


def cut(signal: Floats, ends: npt.NDArray[np.int64], spec: InputSpec) -> Floats:
    """Windows of one conditioned record that end before the given samples, as the stream would see them (zeros outside the record): (B, length)."""
    at = ends[:, None] + np.arange(-spec.history, 0)
    inside = (at >= 0) & (at < len(signal))
    history = np.where(inside, signal[np.clip(at, 0, len(signal) - 1)], np.float32(0))
    return scale(history, inside[:, -spec.scale :].sum(axis=1), spec)
