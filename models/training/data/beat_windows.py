"""Training windows of the beat network: the sections of tracks that form a batch, with their ten
seconds of history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.signal.windows import BEAT_SPEC
from models.training.data.records import FIBRILLATION, NO, QRS, UNKNOWN, YES, Codes, Floats, Track

HISTORY = BEAT_SPEC.history  # samples per row
SHARES = {
    "beats": 0.48,
    "ventricular": 0.13,
    "ludb": 0.13,
    "vfdb": 0.10,
    "fibrillation": 0.08,
    "nothing": 0.08,
}
STRETCHED = 0.4  # share of rows played faster or slower
STRETCH = 0.2  # log of the largest factor
FIRST_CHANNEL = 0.7  # of the rows from MITDB and VFDB


@dataclass
class UnscaledRows:
    """A batch before scaling. Rows end where their windows end."""

    history: Floats  # (B, HISTORY) mV
    targets: Codes  # (B, 3, HISTORY)
    valid: npt.NDArray[np.int64]  # (B,) samples, counted from the end, that are signal
    height: Floats  # (B,) QRS height in mV


class Corpus:
    """Tracks as one long array, and the pools of window ends that batches draw from."""

    def __init__(self, tracks: Sequence[Track]) -> None:
        gap = np.zeros(2, np.float32)  # so that interpolation never leaves the array
        self.signal = np.concatenate([part for t in tracks for part in (gap, t.signal)] + [gap])
        gaps = np.full((3, 2), UNKNOWN, np.uint8)
        self.targets = np.concatenate(
            [part for t in tracks for part in (gaps, t.targets)] + [gaps], axis=1
        )
        lengths = np.array([len(t.signal) for t in tracks])
        self.end = np.cumsum(lengths + 2)
        self.begin = self.end - lengths
        self.height = np.array([t.height_mv for t in tracks], np.float32)
        self._pools = {kind: self._pool(tracks, kind) for kind in SHARES if kind != "nothing"}

    def _pool(
        self, tracks: Sequence[Track], kind: str
    ) -> list[list[tuple[int, npt.NDArray[np.int64]]]]:
        """For the first channel and for the others: (track, centres to choose from, in samples of
        the track)."""
        pool: list[list[tuple[int, npt.NDArray[np.int64]]]] = [[], []]
        for i, track in enumerate(tracks):
            centres = _centres(track, kind)
            if len(centres):
                pool[0 if track.channel == 0 or kind == "ludb" else 1].append((i, centres))
        return pool

    def draw(self, rng: np.random.Generator, size: int) -> UnscaledRows:
        """A batch: kinds by SHARES, tracks evenly within a kind, some stretched in time."""
        kinds = rng.choice(len(SHARES), size, p=list(SHARES.values()))
        picks = [self._pick(rng, list(SHARES)[k]) for k in kinds]
        track = np.array([p[0] for p in picks])
        end = np.array([p[1] for p in picks]) + self.begin[track]
        factor = np.where(
            rng.random(size) < STRETCHED, np.exp(rng.uniform(-STRETCH, STRETCH, size)), 1.0
        )
        rows = self._gather(track, end, factor)
        nothing = kinds == list(SHARES).index("nothing")
        rows.history[nothing] = 0
        rows.targets[nothing] = np.array([NO, UNKNOWN, NO], np.uint8)[:, None]
        rows.valid[nothing] = HISTORY
        rows.height[nothing] = 0
        return rows

    def _pick(self, rng: np.random.Generator, kind: str) -> tuple[int, int]:
        """Pick a track and the end of a window that has one of the track's centres in or near its
        answering part."""
        if kind == "nothing" or not any(self._pools[kind]):
            return 0, HISTORY
        first, others = self._pools[kind]
        pool = first if not others or (first and rng.random() < FIRST_CHANNEL) else others
        track, centres = pool[rng.integers(len(pool))]
        ahead = rng.integers(BEAT_SPEC.after - 30, BEAT_SPEC.after + BEAT_SPEC.hop + 30)
        return track, int(centres[rng.integers(len(centres))] + ahead)

    def _gather(
        self,
        track: npt.NDArray[np.int64],
        end: npt.NDArray[np.int64],
        factor: npt.NDArray[np.float64],
    ) -> UnscaledRows:
        """Rows that end at samples `end`, read at `factor` samples per sample, by cubic
        interpolation (Catmull and Rom)."""
        position = end[:, None] - 1 - np.arange(HISTORY - 1, -1, -1) * factor[:, None]
        begin, stop = self.begin[track][:, None], self.end[track][:, None]
        inside = (position >= begin) & (position <= stop - 1)
        position = np.clip(position, begin, stop - 1)
        at = np.floor(position).astype(np.int64)
        t = (position - at).astype(np.float32)
        a, b, c, d = (self.signal[at + k] for k in (-1, 0, 1, 2))
        history = b + 0.5 * t * (
            c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))
        )
        nearest = np.where(t > 0.5, at + 1, at)
        targets = np.moveaxis(self.targets[:, nearest], 0, 1).copy()
        targets[~np.broadcast_to(inside[:, None], targets.shape)] = UNKNOWN
        valid = np.minimum(((end - 1 - begin[:, 0]) / factor).astype(np.int64) + 1, HISTORY)
        return UnscaledRows(
            np.where(inside, history, np.float32(0)), targets, valid, self.height[track]
        )


def _centres(track: Track, kind: str) -> npt.NDArray[np.int64]:
    """Samples of a track that windows of a kind are drawn around."""
    data_set = track.name.split("/")[0]
    grid = np.arange(0, len(track.signal), 25)
    if kind == "beats" and data_set == "mitdb":
        return grid
    if kind == "ventricular" and data_set == "mitdb":
        return np.rint(track.beats[np.isin(list(track.classes), ["V", "F"])]).astype(np.int64)
    if kind == "ludb" and data_set == "ludb":
        return grid[track.targets[QRS, grid] != UNKNOWN]
    if kind == "vfdb" and data_set == "vfdb":
        return grid
    if kind == "fibrillation":
        return grid[track.targets[FIBRILLATION, grid] == YES]
    return np.zeros(0, np.int64)
