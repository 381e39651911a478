"""Signal without labels, for pretraining: wearable records of CinC 2017 outside a fold, and half
hours of the PAF prediction challenge.

CinC 2017: Clifford et al. 2017 (DOI 10.22489/CinC.2017.065-469), a record counts as a patient.
afpdb: Moody et al. 2001 (Computers in Cardiology 28:113), one channel each; records there come in
pairs of which only odd ones are used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.signal.windows import PIECE_SPEC, cut
from models.training.data import cinc2017
from models.training.data.records import read_channels, record_names
from models.training.tasks.rhythm.train import split

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
HALF_HOURS = 0.2  # share of the windows that come from half-hour records


@dataclass(frozen=True)
class Unlabelled:
    """One-lead signals of at least ten seconds; the last `long` of them last half an hour."""

    signals: Sequence[Floats]
    long: int

    def draw(self, rng: np.random.Generator, patients: int, each: int) -> tuple[Floats, Ints]:
        """Draw `each` windows of ten seconds of this number of patients: (patients * each, 1250),
        and the patient of each window."""
        count = len(self.signals)
        odds = np.full(count, (1 - HALF_HOURS) / (count - self.long) if self.long else 1 / count)
        if self.long:
            odds[count - self.long :] = HALF_HOURS / self.long
        chosen = rng.choice(count, patients, replace=False, p=odds / odds.sum())
        windows = [self._windows(rng, int(k), each) for k in chosen]
        return np.concatenate(windows), np.repeat(chosen, each)

    def _windows(self, rng: np.random.Generator, which: int, each: int) -> Floats:
        signal = self.signals[which]
        ends = rng.integers(PIECE_SPEC.length, len(signal) + 1, each)
        first = max(0, int(ends.min()) - PIECE_SPEC.history)
        return cut(signal[first : int(ends.max())], ends - first, PIECE_SPEC)


def load(data: Path, cache: Path, fold: int) -> Unlabelled:
    """Records of CinC 2017 outside test fold `fold`, and all of afpdb."""
    recordings = cinc2017.load(data / "cinc2017", cache / "cinc2017.npz")
    members = split(recordings.labels, fold).train
    short = [recordings.signal(int(r)) for r in members]
    long = [read_channels(data, n, [0])[1][0] for n in record_names(data, "afpdb_unlabelled")]
    return Unlabelled([s for s in short if len(s) >= PIECE_SPEC.length] + long, len(long))
