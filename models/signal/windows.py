"""Input windows of the networks: their samples of the conditioned signal, and their scale. The ONE
definition for training and serving."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import BLOCK, FS_HZ
from models.signal.stage import LEAD_OFF, STILL, ArrayStage, Field, Rows, Slab, State

Floats = npt.NDArray[np.float32]
K = TypeVar("K", int, npt.NDArray[np.int64])
RECENT = 4 * FS_HZ  # samples of a window in mV, from which movement is measured
PART = 1250  # samples written between cuts of windows, so that a push may have any length


@dataclass(frozen=True)
class InputSpec:
    """A window on the conditioned signal (models/signal/conditioning.py), in samples at 125 Hz. It
    is stored with the weights.

    Window k answers for the samples [k*hop + offset, k*hop + offset + hop) and covers `before`
    samples before these and `after` samples after them. The signal is divided by its root mean
    square over the last `scale` samples up to the window's end (those that exist), at least
    `floor_mv`, and clipped to +-`clip`. A window is cut once there are `least` samples of signal.
    At the end of a stream missing samples are zero, but a window that only looks back (`after` 0)
    ends with the signal.
    """

    before: int
    hop: int
    after: int
    offset: int
    scale: int = 10 * FS_HZ
    least: int = 0
    floor_mv: float = 0.01
    clip: float = 12.0
    fs_hz: int = FS_HZ

    @property
    def length(self) -> int:
        """Samples in a window."""
        return self.before + self.hop + self.after

    @property
    def history(self) -> int:
        """Samples needed to make a window, those that scale it included."""
        return max(self.length, self.scale)

    def end(self, k: K) -> K:
        """Return one past the last sample of window k."""
        return k * self.hop + self.offset + self.hop + self.after

    def as_dict(self) -> dict[str, float]:
        """Return the fields as plain data, for the artifact."""
        return asdict(self)


# One second of new signal, 1.04 s before and 0.52 s after it. The grid is shifted by 88 ms so that
# a window's end plus the conditioner's 64 ms stays within a multiple of half a second: with chunks
# of half a second or one a window never waits for the chunk that follows.
BEAT_SPEC = InputSpec(before=130, hop=125, after=65, offset=-11)


# mean and standard deviation of the log of a window's scale in mV, for networks that read it
LEVEL_MEAN, LEVEL_SD = -1.4, 1.0


# Thirty seconds every five, as the signal grows from 9 s on.
RHYTHM_SPEC = InputSpec(before=3125, hop=625, after=0, offset=0, scale=3750, least=9 * FS_HZ)

# Ten seconds every five: the window on which the systems of the zoo are compared.
PIECE_SPEC = InputSpec(before=625, hop=625, after=0, offset=0, scale=10 * FS_HZ, least=9 * FS_HZ)

# One beat as a row: 0.32 s before its R peak, 0.44 s after it; window k is that of an R peak at
# sample k.
BEAT_ROW_SPEC = InputSpec(before=40, hop=1, after=55, offset=0)


def level(history: Floats, valid: npt.NDArray[np.int64], spec: InputSpec) -> Floats:
    """Return the scale of each window (B,), mV: the root mean square of its last `spec.scale`
    samples, of which `valid` (B,) are signal."""
    recent = history[:, -spec.scale :]
    power = np.einsum("ij,ij->i", recent, recent, dtype=np.float64) / np.clip(valid, 1, spec.scale)
    return np.asarray(np.maximum(np.sqrt(power), spec.floor_mv), dtype=np.float32)


def scale(history: Floats, valid: npt.NDArray[np.int64], spec: InputSpec) -> Floats:
    """Cut and scale windows.

    Args:
        history: (B, spec.history) mV up to the windows' ends; zeros for missing signal.
        valid: (B,) number of signal samples among those that scale the window.

    Returns (B, spec.length) float32.
    """
    return _divided(history, level(history, valid, spec), spec)


def _divided(history: Floats, mv: Floats, spec: InputSpec) -> Floats:
    return np.asarray(
        np.clip(
            history[:, -spec.length :] / mv[:, None], np.float32(-spec.clip), np.float32(spec.clip)
        )
    )


def cut(signal: Floats, ends: npt.NDArray[np.int64], spec: InputSpec) -> Floats:
    """Cut windows from a conditioned record (n,), mV, as the stream would: (B, length). `ends`
    (B,): one past each window's last sample; zeros outside the record."""
    at = ends[:, None] + np.arange(-spec.history, 0)
    inside = (at >= 0) & (at < len(signal))
    history = np.where(inside, signal[np.clip(at, 0, len(signal) - 1)], np.float32(0))
    return scale(history, inside[:, -spec.scale :].sum(axis=1), spec)


class Windows(NamedTuple):
    """Windows of one InputSpec that have come due, in order of time within each row."""

    rows: Rows  # (B,)
    k: npt.NDArray[np.int64]  # (B,) index on the grid
    end: npt.NDArray[np.int64]  # (B,) one past the window's last sample
    # (B,) one past the last sample of signal: less than `end` only at the end of a stream
    written: npt.NDArray[np.int64]
    x: Floats  # (B, length) scaled
    mv: Floats  # (B,) mV of one unit of x
    still_s: Floats  # (B,) seconds up to the end without a change of the raw samples, at most 10
    lead_off: npt.NDArray[np.bool_]  # (B,) the device reports an electrode off
    # (B,) mV between the highest and the lowest mean over 0.4 s of the last 2.4 s, before the
    # high-pass
    swing: Floats
    recent: Floats  # (B, RECENT) mV up to the end, zeros for missing signal


class Windower(ArrayStage):
    """Stage that takes slabs of conditioned signal and returns due windows. Its ring is the only
    store of recent signal."""

    def __init__(self, spec: InputSpec) -> None:
        self._spec, self._keep = spec, spec.history
        self._size = BLOCK * -(-(self._keep + PART + spec.length) // BLOCK)
        super().__init__(
            ring=Field(np.float32, (self._size,)),
            flags=Field(np.uint8, (self._size // BLOCK,)),
            base=Field(np.float32, (self._size // BLOCK,), fresh=np.nan),
            origin=Field(np.int64),  # first sample of signal since open or restart
            written=Field(np.int64),  # one past the last
            due=Field(np.int64),  # next window
        )

    def restart(self, row: int, sample: int) -> int:
        """Go on at a later sample, as after a gap: the signal before it counts as missing. The grid
        of windows stays."""
        t = self._rows
        t.ring[row], t.flags[row], t.base[row] = 0, 0, np.nan
        t.origin[row] = t.written[row] = sample
        t.due[row] = max(0, (sample - self._spec.offset) // self._spec.hop)
        return sample

    def snapshot(self, row: int) -> State:
        t, written = self._rows, int(self._rows.written[row])
        recent = np.arange(written - self._keep, written) % self._size
        blocks = np.arange(written // BLOCK - self._keep // BLOCK, -(-written // BLOCK)) % (
            self._size // BLOCK
        )
        return {
            "origin": int(t.origin[row]),
            "written": written,
            "due": int(t.due[row]),
            "signal": t.ring[row, recent].tobytes(),
            "flags": t.flags[row, blocks].tobytes(),
            "base": t.base[row, blocks].tobytes(),
        }

    def restore(self, row: int, state: State) -> None:
        t, written = self._rows, int(state["written"])
        t.ring[row], t.flags[row], t.base[row] = 0, 0, np.nan
        t.origin[row], t.written[row], t.due[row] = state["origin"], written, state["due"]
        recent = np.arange(written - self._keep, written) % self._size
        blocks = np.arange(written // BLOCK - self._keep // BLOCK, -(-written // BLOCK)) % (
            self._size // BLOCK
        )
        t.ring[row, recent] = np.frombuffer(state["signal"], np.float32)
        t.flags[row, blocks] = np.frombuffer(state["flags"], np.uint8)
        t.base[row, blocks] = np.frombuffer(state["base"], np.float32)

    def push(self, batch: list[Slab]) -> list[Windows]:
        """Return the windows that these slabs complete."""
        due: list[Windows] = []
        for slab in batch:
            for first in range(0, slab.values.shape[1], PART):
                self._write(slab, first)
                due += self._cut_due(slab.rows)
        return due

    def flush(self, rows: Rows) -> list[Windows]:
        """Return windows for the samples that no window has answered for yet."""
        return [window for row in rows for window in self._cut_last(int(row))]

    def _write(self, slab: Slab, first: int) -> None:
        t, values = self._rows, slab.values[:, first : first + PART]
        part = slice(first // BLOCK, (first + PART) // BLOCK)
        start = slab.start + first
        blocks = (start[:, None] // BLOCK + np.arange(slab.flags[:, part].shape[1])) % (
            self._size // BLOCK
        )
        t.ring[slab.rows[:, None], (start[:, None] + np.arange(values.shape[1])) % self._size] = (
            values
        )
        t.flags[slab.rows[:, None], blocks] = slab.flags[:, part]
        t.base[slab.rows[:, None], blocks] = slab.base[:, part]
        t.written[slab.rows] = start + values.shape[1]

    def _cut_due(self, rows: Rows) -> list[Windows]:
        t, spec, found = self._rows, self._spec, []
        while len(rows):
            k = t.due[rows]
            end = spec.end(k)
            rows, k, end = rows[ready := end <= t.written[rows]], k[ready], end[ready]
            t.due[rows] += 1
            enough = end - t.origin[rows] >= spec.least
            if enough.any():
                found.append(self._cut(rows[enough], k[enough], end[enough]))
        return found

    def _cut_last(self, row: int) -> list[Windows]:
        t, spec, found = self._rows, self._spec, []
        one, written = np.array([row], dtype=np.intp), int(t.written[row])
        while (
            spec.end(k := int(t.due[row])) - spec.after - spec.hop < written
            and written > t.origin[row]
        ):
            end = spec.end(k) if spec.after else written
            self._blank(row, written, end)
            found.append(self._cut(one, np.array([k]), np.array([end])))
            t.due[row] += 1
        return found

    def _blank(self, row: int, written: int, end: int) -> None:
        """Write zeros from the signal's end to the window's, over the ring's older samples."""
        self._rows.ring[row, np.arange(written, end) % self._size] = 0
        self._rows.flags[
            row, np.arange(-(-written // BLOCK), -(-end // BLOCK)) % (self._size // BLOCK)
        ] = 0

    def _cut(self, rows: Rows, k: npt.NDArray[np.int64], end: npt.NDArray[np.int64]) -> Windows:
        t, spec = self._rows, self._spec
        written = np.minimum(end, t.written[rows])
        history = t.ring[rows[:, None], (end[:, None] + np.arange(-spec.history, 0)) % self._size]
        valid = written - np.maximum(t.origin[rows], end - spec.scale)
        mv = level(history, valid, spec)
        x = _divided(history, mv, spec)
        blocks = (written[:, None] // BLOCK + np.arange(-10 * FS_HZ // BLOCK, 0)) % (
            self._size // BLOCK
        )
        flags = t.flags[rows[:, None], blocks]
        moved = (flags[:, ::-1] & STILL) == 0
        run = np.where(moved.any(axis=1), moved.argmax(axis=1), flags.shape[1])
        still_s = (run * BLOCK / FS_HZ).astype(np.float32)
        # NaN before the signal began
        means = t.base[rows[:, None], blocks[:, -60:]].reshape(-1, 6, 10).mean(axis=2)
        swing = np.nan_to_num(np.fmax.reduce(means, axis=1) - np.fmin.reduce(means, axis=1))
        lead_off = (flags[:, -1] & LEAD_OFF) != 0
        recent = history[:, -RECENT:]
        return Windows(rows, k, end, written, x, mv, still_s, lead_off, swing, recent)
