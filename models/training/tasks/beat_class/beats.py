"""Data of task T2, the beat class: the beats that a detector finds in the available records, with
their reference classes.

Beats are found by the streaming path with a network that never saw the patient, so that training
sees what serving sees; those that it misses are counted as missed. The reference of a beat is the
set of classes that it may have (ALLOWED): one class in MITDB; N in CinC 2017's records of normal
rhythm; N or V in those in atrial fibrillation, in which a short interval does not make an S; V in
VFDB's ventricular tachycardias.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from models.beats.decoding import r_peak
from models.beats.morphology import SHAPE, Doubles, Floats, around
from models.signal.conditioning import FS_HZ
from models.training.data import cinc2017
from models.training.data.records import Noise, Track, load_mitdb, load_noise, load_vfdb, rhythms
from models.training.tasks.qrs.metrics import Predict, find, match, run
from models.training.tasks.qrs.train import FOLDS, folds, trained

CLASSES = "NSVFQ"
N, S, V, F, Q = range(5)
# ALLOWED codes: nothing is known; a found beat that the reference does not have
UNKNOWN, EXTRA = 0, 64
BIT = {letter: 1 << i for i, letter in enumerate(CLASSES)}
SNR_DB = (3.0, 20.0)
VFDB_BEATS = {"N": BIT["N"], "AFIB": BIT["N"] | BIT["V"], "VT": BIT["V"], "VTHR": BIT["V"]}
CINC_NORMAL = 1200  # records
Codes = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class AnnotatedBeats:
    """The beats found in one track."""

    name: str  # mitdb/208, with "+noise" where noise was added
    patient: str
    fold: int  # of the patient; -1: in no fold
    channel: int
    at: Doubles  # (n,) R peaks, samples at 125 Hz
    shape: Floats  # (n, SHAPE) mV
    allowed: Codes  # (n,) sets of classes
    missed_at: Doubles  # (m,) reference beats that were not found
    missed: str  # (m,) their classes

    @property
    def clean(self) -> bool:
        """True for the first channel without added noise."""
        return self.channel == 0 and "+" not in self.name


def found_in(track: Track, detector: Predict) -> tuple[Doubles, Floats]:
    """R peaks and shapes as the stream finds them."""
    found = find(track, run(track, detector))
    zero = np.zeros(len(found), np.intp)
    at = r_peak(track.signal[None], zero, found)
    return at, around(track.signal[None], zero, at)


def beats_without_reference(name: str, signal: Floats) -> Track:
    """Beats of a signal without any reference."""
    return Track(
        name, "", 0, signal, np.zeros((3, 0), np.uint8), np.zeros(0), "", np.zeros((0, 2)), 1.0
    )


def annotated(track: Track, fold: int, detector: Predict) -> AnnotatedBeats:
    """Beats of a track of MITDB."""
    at, shape = found_in(track, detector)
    partner = match(track.beats, at)
    allowed = np.full(len(at), EXTRA, np.uint8)
    letters = np.array(list(track.classes))
    allowed[partner[partner >= 0]] = [BIT[c] for c in letters[partner >= 0]]
    for begin, end in track.flutter:
        allowed[(at >= begin) & (at <= end)] = UNKNOWN
    lost = (partner < 0) & ~_inside(track.beats, track.flutter)
    return AnnotatedBeats(
        track.name,
        track.patient,
        fold,
        track.channel,
        at,
        shape,
        allowed,
        track.beats[lost],
        "".join(letters[lost]),
    )


def _inside(at: Doubles, sections: Doubles) -> npt.NDArray[np.bool_]:
    return np.asarray(
        ((at[:, None] >= sections[:, 0]) & (at[:, None] < sections[:, 1])).any(axis=1)
    )


def noisy(track: Track, noises: Sequence[Noise], rng: np.random.Generator) -> Track:
    """The track with another piece of recorded noise every half minute, at SNR_DB (as NSTDB defines
    it), a quarter of it left clean."""
    signal = track.signal.copy()
    for begin in range(0, len(signal), 30 * FS_HZ):
        noise = noises[int(rng.integers(len(noises)))]
        n = min(30 * FS_HZ, len(signal) - begin)
        if rng.random() < 0.25 or n >= len(noise.signal):
            continue
        start = rng.integers(len(noise.signal) - n)
        power = track.height_mv**2 / 8 / 10 ** (rng.uniform(*SNR_DB) / 10)
        signal[begin : begin + n] += noise.signal[start : start + n] * np.float32(
            np.sqrt(power) / noise.rms_mv
        )
    return replace(track, signal=signal)


def collect(folder: Path, detectors: Path, cinc_cache: Path) -> Iterator[AnnotatedBeats]:
    """All tracks, with the detector of each patient's fold."""
    of_fold = detectors_of(detectors)
    rng, noises = np.random.default_rng(1), load_noise(folder)
    mitdb, vfdb = load_mitdb(folder), load_vfdb(folder)
    fold_of = folds([*mitdb, *vfdb])
    for track in mitdb:
        fold = fold_of[track.patient]
        yield annotated(track, fold, of_fold(fold))
        yield replace(
            annotated(noisy(track, noises, rng), fold, of_fold(fold)), name=f"{track.name}+noise"
        )
    for track in vfdb:
        yield _by_rhythm(track, folder, fold_of[track.patient], of_fold(fold_of[track.patient]))
    yield from _wearable(folder, cinc_cache, of_fold(0))


def detectors_of(runs: Path) -> Callable[[int], Predict]:
    """The first task as it was trained without each fold (models/training/tasks/qrs/train.py)."""
    networks = [detector(runs / f"qrs-fold{fold}.pt") for fold in range(FOLDS)]
    return lambda fold: networks[fold]


def detector(checkpoint: Path) -> Predict:
    """The first task of a checkpoint."""
    net = trained(checkpoint)

    def detect(windows: Floats) -> Floats:
        with torch.inference_mode():
            return np.asarray(net(torch.from_numpy(windows)).numpy())

    return detect


def _by_rhythm(track: Track, folder: Path, fold: int, detector: Predict) -> AnnotatedBeats:
    """VFDB: the classes that a rhythm allows for beats well inside it."""
    at, shape = found_in(track, detector)
    allowed = np.zeros(len(at), np.uint8)
    for begin, end, rhythm in rhythms(folder, track.name, 250, len(track.signal)):
        allowed[(at >= begin + FS_HZ // 2) & (at < end - FS_HZ // 2)] = VFDB_BEATS.get(
            rhythm, UNKNOWN
        )
    return AnnotatedBeats(
        track.name, track.patient, fold, track.channel, at, shape, allowed, np.zeros(0), ""
    )


def _wearable(folder: Path, cache: Path, detector: Predict) -> Iterator[AnnotatedBeats]:
    """CinC 2017: normal rhythm (CINC_NORMAL records) and atrial fibrillation."""
    records = cinc2017.load(folder / "cinc2017", cache)
    normal = np.flatnonzero(records.labels == 0)
    chosen = np.random.default_rng(2).permutation(normal)[:CINC_NORMAL]
    for r in [*chosen, *np.flatnonzero(records.labels == 1)]:
        track = beats_without_reference(f"cinc2017/{records.names[r]}", records.signal(int(r)))
        at, shape = found_in(track, detector)
        allowed = BIT["N"] if records.labels[r] == 0 else BIT["N"] | BIT["V"]
        if len(at) > 3:
            yield AnnotatedBeats(
                track.name,
                track.name,
                -1,
                0,
                at,
                shape,
                np.full(len(at), allowed, np.uint8),
                np.zeros(0),
                "",
            )


def save(found: Sequence[AnnotatedBeats], path: Path) -> None:
    """All tracks in one file of arrays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = [[b.name, b.patient, b.fold, b.channel, len(b.at), b.missed] for b in found]
    np.savez(
        path,
        table=np.array(json.dumps(table)),
        at=np.concatenate([b.at for b in found]),
        shape=np.concatenate([b.shape for b in found]).astype(np.float16),
        allowed=np.concatenate([b.allowed for b in found]),
        missed_at=np.concatenate([b.missed_at for b in found]),
    )


def load(path: Path) -> list[AnnotatedBeats]:
    """Load the file that `save` wrote."""
    with np.load(path) as stored:
        table = json.loads(str(stored["table"]))
        at, shape, allowed, missed_at = (
            stored[name] for name in ("at", "shape", "allowed", "missed_at")
        )
    found, i, j = [], 0, 0
    for name, patient, fold, channel, count, missed in table:
        part, lost = slice(i, i + count), slice(j, j + len(missed))
        values = shape[part].astype(np.float32).reshape(-1, SHAPE)
        found.append(
            AnnotatedBeats(
                name,
                patient,
                fold,
                channel,
                at[part],
                values,
                allowed[part],
                missed_at[lost],
                missed,
            )
        )
        i, j = i + count, j + len(missed)
    return found
