"""Conditioning of samples of any rate to one signal: 125 Hz, 0.5-45 Hz, in mV, 64 ms late. The ONE
definition for training and serving.

The resampler is a windowed sinc evaluated on the output grid. Its coefficients are integers (times
2**-20) and so are the samples, and float64 sums of such products are exact: the result cannot
depend on how many rows or samples a call holds, whatever order BLAS sums in. The high-pass is a
second-order Butterworth at 0.5 Hz, run causally: it adds no latency, and its phase shifts ST and T
slightly, which no stage measures.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from models.signal.stage import LEAD_OFF, STILL, Field, Rows, Slab, State, Table

FS_HZ = 125
BLOCK = 5  # output samples per block
BLOCKS_AT_ONCE = 13  # blocks in one matrix product; larger matrices hold more zeros
HALF_WIDTH_S = 0.064  # half width of the resampling kernel, which is the delay
CUTOFF_HZ = 45.0
HIGH_PASS_HZ = 0.5
SCALE = 2**20
TAIL = 256  # raw samples kept per row: two half-widths, a block and one more at 1000 Hz


class Raw(NamedTuple):
    """New consecutive samples of one row, which follow those pushed before."""

    row: int
    counts: npt.NDArray[np.int16]
    lead_off: bool = False


@lru_cache(maxsize=4096)
def _kernel(fs: Fraction, block: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Return the kernel of the block with this index in its cycle: offset of its first input from
    the block's origin, and weights (inputs, BLOCK)."""
    half = HALF_WIDTH_S * float(fs)
    step = fs / FS_HZ
    position = block * BLOCK * step
    # in input samples, from floor(position)
    at = [float(position - int(position) + k * step) for k in range(BLOCK)]
    first, last = int(np.ceil(at[0] - half)), int(np.floor(at[-1] + half))
    tau = (np.arange(first, last + 1)[:, None] - np.array(at)[None, :]) / float(fs)
    window = np.where(
        np.abs(tau) < HALF_WIDTH_S, 0.5 + 0.5 * np.cos(np.pi * tau / HALF_WIDTH_S), 0.0
    )
    weights = np.sinc(2 * CUTOFF_HZ * tau) * window
    return first, np.rint(weights / weights.sum(axis=0) * SCALE)


@lru_cache(maxsize=256)
def _bank(fs: Fraction, phase: int, blocks: int) -> tuple[int, npt.NDArray[np.float64]]:
    """Return the kernels of consecutive blocks: offset of the first input from their origin, and
    one matrix (inputs, blocks * BLOCK)."""
    start, _ = _kernel(fs, phase)
    bank = np.zeros((_reach(fs, phase + blocks - 1) - _origin(fs, phase) - start, blocks * BLOCK))
    for b in range(blocks):
        offset, weights = _kernel(fs, (phase + b) % _cycle(fs))
        at = _origin(fs, phase + b) - _origin(fs, phase) + offset - start
        bank[at : at + len(weights), b * BLOCK : (b + 1) * BLOCK] = weights
    return start, bank


@lru_cache(maxsize=4096)
def _whole_blocks(fs: Fraction, phase: int, samples: int) -> int:
    """Return how many blocks, from `phase` on, need no more than these raw samples of the grid."""
    blocks = 0
    while _reach(fs, phase + blocks) <= samples:
        blocks += 1
    return blocks


@lru_cache(maxsize=256)
def _cycle(fs: Fraction) -> int:
    """Return the number of blocks after which the output grid has the same phase to the input
    again."""
    return (BLOCK * fs / FS_HZ).denominator


def _origin(fs: Fraction, block: int) -> int:
    """Return the index of the raw sample at or before the block's first output."""
    return block * BLOCK * fs.numerator // (fs.denominator * FS_HZ)


def _reach(fs: Fraction, block: int) -> int:
    """Return one past the last raw sample that an output block needs."""
    first, weights = _kernel(fs, block % _cycle(fs))
    return _origin(fs, block) + first + len(weights)


@cache
def _high_pass() -> tuple[
    Any, npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]
]:
    """Return scipy's lfilter, numerator, denominator and settled memory of the high-pass. Imported
    here because scipy.signal takes longer to import than most commands run."""
    from scipy import signal as dsp

    b, a = dsp.butter(2, HIGH_PASS_HZ, "highpass", fs=FS_HZ)
    return dsp.lfilter, b, a, dsp.lfilter_zi(b, a)


class _Grid(NamedTuple):
    """Block k begins at raw sample k * numerator // denominator; after `cycle` blocks the output
    grid has the same phase to the input again. Plain numbers, for a Fraction is slow to hash."""

    numerator: int
    denominator: int
    cycle: int


class Conditioner:
    """Stage that takes raw counts of any rate and returns slabs of conditioned signal in mV
    (float32, 125 Hz). Output sample 0 is the time of the stream's sample 0."""

    def __init__(self) -> None:
        self._lfilter, self._b, self._a, self._settled = _high_pass()
        self._fs: dict[int, Fraction] = {}
        self._grid: dict[int, _Grid] = {}
        self._rows = Table(
            per_mv=Field(np.float64, fresh=1.0),
            received=Field(np.int64),  # raw samples so far, missing ones counted
            block=Field(np.int64),  # next output block
            fresh=Field(np.bool_, fresh=True),  # no sample since open or restart
            unsettled=Field(np.bool_, fresh=True),  # no output since then
            tail=Field(np.int16, (TAIL,)),  # the last raw samples
            filter=Field(np.float64, (2,)),  # high-pass memory
        )

    def open(self, patient: str, fs: float) -> int:
        """Take a row for a stream of fs Hz (100-1000); counts are taken as mV until `set_gain`."""
        row = self._rows.open()
        self._set_rate(row, Fraction(fs).limit_denominator(1000))
        return row

    def set_gain(self, row: int, counts_per_mv: float) -> None:
        """Set the gain of the row's samples, counts per mV."""
        self._rows.per_mv[row] = counts_per_mv

    def restart(self, row: int, sample: int) -> int:
        """Go on at a later raw sample; nothing before it is used any more. The output grid stays.

        Returns the first output sample that follows.
        """
        fs = self._fs[row]
        self._rows.fresh[row] = self._rows.unsettled[row] = True
        self._rows.received[row] = sample
        self._rows.block[row] = -(-sample * FS_HZ // (fs * BLOCK))
        return int(self._rows.block[row]) * BLOCK

    def close(self, row: int) -> None:
        del self._fs[row], self._grid[row]
        self._rows.close(row)

    def snapshot(self, row: int) -> State:
        return {
            "fs": [self._fs[row].numerator, self._fs[row].denominator],
            "rows": self._rows.snapshot(row),
        }

    def restore(self, row: int, state: State) -> None:
        self._set_rate(row, Fraction(*state["fs"]))
        self._rows.restore(row, state["rows"])

    def push(self, batch: Iterable[Raw]) -> list[Slab]:
        """Return slabs for every row with a whole new block; a row may occur once per call."""
        raws = [raw for raw in batch if len(raw.counts)]
        rows = [raw.row for raw in raws]
        blocks, received = self._rows.block[rows].tolist(), self._rows.received[rows].tolist()
        alike: dict[tuple[_Grid, int, int, int], list[Raw]] = defaultdict(list)
        for raw, block, n in zip(raws, blocks, received, strict=True):
            grid = self._grid[raw.row]
            origin = block * grid.numerator // grid.denominator
            alike[grid, block % grid.cycle, n - origin, len(raw.counts)].append(raw)
        slabs = [self._push_alike(key, group) for key, group in alike.items()]
        return [slab for slab in slabs if slab.values.shape[1]]

    def flush(self, rows: Rows) -> list[Slab]:
        """Return the last outputs of each row, as if its last sample continued. The row can only be
        closed or restarted afterwards."""
        slabs = []
        for row in rows:
            fs = self._fs[int(row)]
            if self._rows.fresh[row]:
                continue
            received = int(self._rows.received[row])
            end = int(-(-received * FS_HZ // fs))  # outputs in all
            missing = _reach(fs, -(-end // BLOCK)) - received
            for slab in self.push([Raw(int(row), np.repeat(self._rows.tail[row, -1:], missing))]):
                keep = end - int(slab.start[0])
                blocks = -(-keep // BLOCK)
                slabs.append(
                    slab._replace(
                        values=slab.values[:, :keep],
                        flags=slab.flags[:, :blocks],
                        base=slab.base[:, :blocks],
                    )
                )
        return [slab for slab in slabs if slab.values.shape[1]]

    def _set_rate(self, row: int, fs: Fraction) -> None:
        self._fs[row] = fs
        self._grid[row] = _Grid(BLOCK * fs.numerator, fs.denominator * FS_HZ, _cycle(fs))

    def _push_alike(self, key: tuple[_Grid, int, int, int], raws: list[Raw]) -> Slab:
        """Process raws that share rate, place in the grid's cycle, number of raw samples pending
        and number of new ones as one array."""
        _, phase, pending, new = key
        fs = self._fs[raws[0].row]
        t = self._rows
        rows = np.array([raw.row for raw in raws], dtype=np.intp)
        x = np.concatenate([t.tail[rows], np.stack([raw.counts for raw in raws])], axis=1)
        fresh = t.fresh[rows]
        if fresh.any():
            # a signal is taken as constant before its first sample
            x[fresh, :TAIL] = x[fresh, TAIL : TAIL + 1]
        start = t.block[rows] * BLOCK
        # column of raw sample 0 of a grid that starts at `phase`
        base = TAIL - pending - _origin(fs, phase)
        blocks = _whole_blocks(fs, phase, TAIL + new - base)
        y = _resample(x, fs, phase, base, blocks) / (SCALE * t.per_mv[rows, None])
        still = _unchanged(x, np.array([base + _origin(fs, phase + b) for b in range(blocks + 1)]))
        flags = STILL * still + LEAD_OFF * np.array(
            [[raw.lead_off] for raw in raws], dtype=np.uint8
        )
        t.tail[rows] = x[:, -TAIL:]
        t.fresh[rows] = False
        t.received[rows] += new
        t.block[rows] += blocks
        base = y.reshape(len(rows), blocks, BLOCK).mean(axis=2).astype(np.float32)
        return Slab(
            rows, start, self._high_pass(rows, y) if blocks else y.astype(np.float32), flags, base
        )

    def _high_pass(self, rows: Rows, y: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        t = self._rows
        memory = np.where(t.unsettled[rows, None], self._settled * y[:, :1], t.filter[rows])
        out, t.filter[rows] = self._lfilter(self._b, self._a, y, axis=1, zi=memory)
        t.unsettled[rows] = False
        return np.asarray(out, dtype=np.float32)


def _resample(
    x: npt.NDArray[np.int16], fs: Fraction, phase: int, base: int, blocks: int
) -> npt.NDArray[np.float64]:
    """Compute output blocks from raw samples x (B, n), whose column `base` is sample 0 of the grid:
    (B, BLOCK * blocks), in counts times SCALE."""
    exact = x.astype(np.float64)
    y = np.empty((len(x), blocks * BLOCK))
    for first in range(0, blocks, BLOCKS_AT_ONCE):
        last = min(first + BLOCKS_AT_ONCE, blocks)
        offset, bank = _bank(fs, (phase + first) % _cycle(fs), last - first)
        column = base + _origin(fs, phase + first) + offset
        np.matmul(
            exact[:, column : column + len(bank)], bank, out=y[:, first * BLOCK : last * BLOCK]
        )
    return y


def _unchanged(x: npt.NDArray[np.int16], edges: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """Return 1 for each span between consecutive edges (columns of x) in which every sample equals
    the one before it: (B, len(edges) - 1)."""
    if len(edges) == 1:  # no span: after a restart the next block may begin beyond the samples
        return np.zeros((len(x), 0), dtype=np.uint8)
    # column i: changes among samples 0..i+1
    changes = np.cumsum(x[:, 1:] != x[:, :-1], axis=1, dtype=np.int32)
    return np.asarray(np.diff(changes[:, edges - 2], axis=1) == 0, dtype=np.uint8)


def condition(
    counts: npt.NDArray[np.int16], fs_hz: float, counts_per_mv: float
) -> npt.NDArray[np.float32]:
    """Condition a whole record by the same stage: counts (n,) to mV (m,) at 125 Hz, m = ceil(n *
    125 / fs_hz)."""
    stage = Conditioner()
    row = stage.open("", fs_hz)
    stage.set_gain(row, counts_per_mv)
    slabs = stage.push([Raw(row, counts)]) + stage.flush(np.array([row]))
    return np.concatenate([slab.values[0] for slab in slabs] or [np.zeros(0, np.float32)])
