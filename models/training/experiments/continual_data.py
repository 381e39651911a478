"""Windows of the continual-learning experiments: 10.24 s at 62.5 Hz, from the serving stage's
signal, each scaled by its root mean square.

Three sources: MITDB and LUDB with a target per sample (QRS), CinC 2017 with a label per record,
VFDB with a label per section. Test records are of other patients than the training records; in CinC
2017, where patients are not public, of other records.
"""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import signal as dsp

from models.architectures.ecgcl_paper import LENGTH
from models.signal import conditioning
from models.training.data import cinc2017
from models.training.data import records as data
from models.training.data.records import (
    FIBRILLATION,
    QRS,
    UNKNOWN,
    YES,
    Noise,
    Track,
    load_ludb,
    load_mitdb,
    load_noise,
    load_vfdb,
)

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Generator = np.random.Generator

FS_HZ = 62.5
QRS_HALF_WIDTH = 3  # samples either side of the R peak that are QRS: 48 ms
MITDB_FOLDS, CINC_FOLDS, VFDB_FOLDS = 3, 5, 3
CLIP = 12.0
FLOOR_MV = 0.01
INVERSION, RECORDED, WHITE = 0.3, 0.3, 0.2  # chances of each change of a training window
SNR_DB = (0.0, 20.0)


@dataclass(frozen=True)
class TaskStrip:
    """A stretch of one channel."""

    record: str
    patient: str
    signal: Floats  # (n,) mV
    label: int = 0  # class of the whole strip
    targets: npt.NDArray[np.uint8] | None = None  # (n,) code per sample: 0 no, 1 yes, 3 unknown
    beats: npt.NDArray[np.float64] | None = None  # (m,) R peaks in samples
    flutter: npt.NDArray[np.float64] | None = None  # (k, 2) sections without reference


@dataclass(frozen=True)
class ExperimentRecords:
    """All that the experiments use."""

    mitdb: list[TaskStrip]
    ludb: list[TaskStrip]
    # sections of 10.24 s or more with one label: 1 for ventricular fibrillation or flutter
    vfdb: list[TaskStrip]
    cinc: list[TaskStrip]
    noises: list[Floats]  # each with a root mean square of 1


def load(folder: Path, runs: Path) -> ExperimentRecords:
    """Read the sets in `folder`; the result is cached in `runs` as long as the code that reads and
    conditions stays the same."""
    cache = runs / "cache" / f"continual-{_fingerprint()}.pkl"
    if cache.exists():
        return pickle.loads(cache.read_bytes())
    records = _read(folder, runs)
    cache.write_bytes(pickle.dumps(records))
    return records


def _fingerprint() -> str:
    sources = (conditioning.__file__, data.__file__, __file__)
    return hashlib.sha256(b"".join(Path(source).read_bytes() for source in sources)).hexdigest()[
        :12
    ]


def _read(folder: Path, runs: Path) -> ExperimentRecords:
    recordings = cinc2017.load(folder / "cinc2017", runs / "cache" / "cinc2017.npz")
    cinc = [
        TaskStrip(str(n), str(n), halve(recordings.signal(i)), int(recordings.labels[i]))
        for i, n in enumerate(recordings.names)
    ]
    noises = [_unit(noise) for noise in load_noise(folder)]
    vfdb = [section for track in load_vfdb(folder) for section in sections(track)]
    return ExperimentRecords(
        [_strip(t) for t in load_mitdb(folder)],
        [_strip(t) for t in load_ludb(folder)],
        vfdb,
        cinc,
        noises,
    )


def halve(signal: Floats) -> Floats:
    """125 Hz to 62.5 Hz: (n,) to (ceil(n / 2),)."""
    return np.asarray(dsp.resample_poly(signal, 1, 2), np.float32)


def _unit(noise: Noise) -> Floats:
    x = halve(noise.signal)
    return x / np.sqrt(np.mean(x**2))


def _strip(track: Track) -> TaskStrip:
    signal = halve(track.signal)
    targets = np.where(track.targets[QRS, ::2] == UNKNOWN, UNKNOWN, 0).astype(np.uint8)
    beats = track.beats / 2
    near = np.rint(beats).astype(int)[:, None] + np.arange(-QRS_HALF_WIDTH, QRS_HALF_WIDTH + 1)
    targets[near[(near >= 0) & (near < len(targets))]] = 1
    return TaskStrip(track.name, track.patient, signal, 0, targets, beats, track.flutter / 2)


def sections(track: Track) -> list[TaskStrip]:
    """Stretches of a VFDB track with one label, long enough for a window."""
    codes = track.targets[FIBRILLATION]
    edges = [0, *(np.flatnonzero(np.diff(codes)) + 1), len(codes)]
    parts = [(a, b) for a, b in pairwise(edges) if codes[a] != UNKNOWN and b - a >= 2 * LENGTH]
    name = f"{track.name}/{track.channel}"
    return [
        TaskStrip(name, track.patient, halve(track.signal[a:b]), int(codes[a] == YES))
        for a, b in parts
    ]


def patient_folds(strips: Sequence[TaskStrip], count: int) -> Ints:
    """Fold of each strip. Patients take turns by how much of their signal has label 1, then by
    name, so that every fold has some."""
    marked: dict[str, int] = {}
    for strip in strips:
        marked[strip.patient] = marked.get(strip.patient, 0) + strip.label * len(strip.signal)
    order = sorted(marked, key=lambda patient: (-marked[patient], patient))
    fold = {patient: i % count for i, patient in enumerate(order)}
    return np.array([fold[strip.patient] for strip in strips])


def window(signal: Floats, start: int) -> Floats:
    """LENGTH samples from `start`; zeros on the left if the signal is shorter."""
    piece = signal[start : start + LENGTH]
    return np.pad(piece, (LENGTH - len(piece), 0))


def scaled(windows: Floats) -> Floats:
    """(B, LENGTH) divided by each window's root mean square over its signal, clipped."""
    power = (windows**2).sum(axis=1) / np.maximum((windows != 0).sum(axis=1), 1)
    level = np.maximum(np.sqrt(power), FLOOR_MV)[:, None]
    return np.asarray(np.clip(windows / level, -CLIP, CLIP), np.float32)


class Draw:
    """Training windows: strips with a label, or with a target per sample.

    Classes are drawn by the square root of their share of time, and time evenly within a class.
    """

    def __init__(self, strips: Sequence[TaskStrip], noises: Sequence[Floats]) -> None:
        self._strips, self._noises = strips, noises
        labels = np.array([s.label for s in strips])
        self._members = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        lengths = np.array([len(s.signal) for s in strips], np.float64)
        self._until = [np.cumsum(lengths[m]) for m in self._members]
        share = np.sqrt([until[-1] for until in self._until])
        self._share = share / share.sum()

    def __call__(self, rng: Generator, size: int) -> tuple[Floats, Ints | Floats]:
        """(size, LENGTH) windows, and their labels (size,) or their targets (size, LENGTH)."""
        x = np.zeros((size, LENGTH), np.float32)
        y = []
        for row in range(size):
            strip, start = self._pick(rng)
            x[row] = self._varied(window(strip.signal, start), rng)
            y.append(strip.label if strip.targets is None else _targets(strip, start))
        return scaled(x), np.array(y)

    def _pick(self, rng: Generator) -> tuple[TaskStrip, int]:
        kind = int(rng.choice(len(self._share), p=self._share))
        until = self._until[kind]
        strip = self._strips[
            self._members[kind][np.searchsorted(until, rng.uniform(0, until[-1]), side="right")]
        ]
        return strip, int(rng.integers(max(0, len(strip.signal) - LENGTH) + 1))

    def _varied(self, x: Floats, rng: Generator) -> Floats:
        level = float(np.sqrt(np.mean(x**2))) + 1e-6
        here = x != 0
        if rng.random() < INVERSION:
            x = -x
        if rng.random() < RECORDED:
            noise = self._noises[int(rng.integers(len(self._noises)))]
            start = rng.integers(len(noise) - LENGTH)
            x = x + noise[start : start + LENGTH] * here * level * 10 ** (
                -rng.uniform(*SNR_DB) / 20
            )
        if rng.random() < WHITE:
            x = x + rng.standard_normal(LENGTH, np.float32) * here * level * rng.uniform(0.02, 0.2)
        return np.asarray(x, np.float32)


def _targets(strip: TaskStrip, start: int) -> npt.NDArray[np.uint8]:
    assert strip.targets is not None
    piece = strip.targets[start : start + LENGTH]
    return np.pad(piece, (LENGTH - len(piece), 0), constant_values=UNKNOWN)
