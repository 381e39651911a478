"""The AF Classification Challenge 2017 data (Clifford et al. 2017, DOI 10.22489/CinC.2017.065-469):
single-lead wearable records, one label each.

Records are conditioned once by the very stage that serves and cached. The public set does not
identify patients, so splits are by record.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.signal import conditioning

CLASSES = ("N", "A", "O", "~")  # normal, atrial fibrillation, other rhythm, too noisy
FOLDS = 5
SPLIT_SEED = 2017

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recordings:
    """Conditioned records (mV, 125 Hz), held as one array."""

    names: npt.NDArray[np.str_]  # (R,)
    labels: npt.NDArray[np.int64]  # (R,) index into CLASSES
    bounds: npt.NDArray[np.int64]  # (R + 1,) record r is samples[bounds[r] : bounds[r + 1]]
    samples: npt.NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.names)

    def signal(self, record: int) -> Floats:
        """One record: (n,) mV."""
        return self.samples[self.bounds[record] : self.bounds[record + 1]].astype(np.float32)


def load(folder: Path, cache: Path) -> Recordings:
    """All records of `folder` (WFDB files and REFERENCE.csv); reads `cache` if it was made by the
    same conditioning and labels."""
    made_by = _fingerprint(folder)
    if cache.exists():
        with np.load(cache) as stored:
            if str(stored["made_by"]) == made_by:
                return Recordings(
                    stored["names"], stored["labels"], stored["bounds"], stored["samples"]
                )
    recordings = _condition_all(folder)
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(
        cache,
        made_by=np.array(made_by),
        names=recordings.names,
        labels=recordings.labels,
        bounds=recordings.bounds,
        samples=recordings.samples,
    )
    return recordings


def folds(
    labels: npt.NDArray[np.int64], count: int = FOLDS, seed: int = SPLIT_SEED
) -> npt.NDArray[np.int64]:
    """Fold of each record: (R,), every class spread evenly."""
    fold = np.empty(len(labels), np.int64)
    rng = np.random.default_rng(seed)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        fold[rng.permutation(members)] = np.arange(len(members)) % count
    return fold


def read_labels(folder: Path) -> dict[str, str]:
    """Label of each record."""
    with (folder / "REFERENCE.csv").open(newline="") as file:
        return {row[0]: row[1] for row in csv.reader(file) if len(row) > 1 and row[1] in CLASSES}


def _condition_all(folder: Path) -> Recordings:
    labels = read_labels(folder)
    names = sorted(labels)
    signals = [_read(folder / name).astype(np.float16) for name in names]
    bounds = np.cumsum([0] + [len(signal) for signal in signals])
    return Recordings(
        np.array(names),
        np.array([CLASSES.index(labels[name]) for name in names]),
        bounds,
        np.concatenate(signals),
    )


def _read(path: Path) -> Floats:
    import wfdb

    record = wfdb.rdrecord(str(path), physical=False, channels=[0])
    counts = (record.d_signal[:, 0] - record.adc_zero[0]).astype(np.int16)
    return conditioning.condition(counts, record.fs, record.adc_gain[0])


def _fingerprint(folder: Path) -> str:
    digest = hashlib.sha256((folder / "REFERENCE.csv").read_bytes())
    digest.update(Path(conditioning.__file__).read_bytes())
    return digest.hexdigest()
