"""Load reference records as the network's input signal: conditioned at 125 Hz by the serving stage,
with per-sample targets.

Sets (PhysioNet, ODC-BY 1.0): mitdb (Moody and Mark 2001, DOI 10.1109/51.932724), nstdb (Moody et
al. 1984), vfdb (Greenwald 1986), ludb (Kalyakulina et al. 2020, DOI 10.1109/ACCESS.2020.3029211).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

from models.signal.conditioning import FS_HZ, condition

Floats = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]

NO, HALF, YES, UNKNOWN = 0, 1, 2, 3  # codes of a per-sample target; UNKNOWN is left out of the loss
QRS, VENTRICULAR, FIBRILLATION = range(3)  # rows of Track.targets, channels of the network
TARGET_HALF_WIDTH = 6  # samples either side of the R peak: 48 ms

AAMI = (
    dict.fromkeys("NLRBejn", "N")
    | dict.fromkeys("AaJS", "S")
    | dict.fromkeys("VE", "V")
    | {"F": "F"}
    | dict.fromkeys("/fQ?", "Q")
)
FIBRILLATORY = {"VF", "VFL", "VFIB"}
WITHOUT_QRS = FIBRILLATORY | {"ASYS"}
SAME_PATIENT = {"mitdb/202": "mitdb/201"}
NOISE_FOR_TRAINING_MIN = 17  # noise after this minute is reserved for the noisy tests


@dataclass(frozen=True)
class Track:
    """One channel of one record."""

    name: str  # mitdb/208
    patient: str
    channel: int
    signal: Floats  # (n,) mV
    targets: Codes  # (3, n) codes
    beats: npt.NDArray[np.float64]  # (m,) R peaks, in samples at 125 Hz
    classes: str  # one AAMI letter per beat; empty where beats have no class
    flutter: npt.NDArray[np.float64]  # (k, 2) sections without QRS reference
    height_mv: float  # median QRS height, peak to peak; an estimate if there is no reference


@dataclass(frozen=True)
class Noise:
    """A stretch of recorded noise, and its size before conditioning in mV (root mean square)."""

    kind: str
    signal: Floats
    rms_mv: float


def data_folder() -> Path:
    """The folder of the unpacked sets: $ECG_DATA, else ~/.cache/ecg-data."""
    return Path(os.environ.get("ECG_DATA") or Path.home() / ".cache" / "ecg-data")


def record_names(folder: Path, data_set: str) -> list[str]:
    """Names such as mitdb/208 of the existing records, in order."""
    return [
        f"{data_set}/{path.stem}"
        for path in sorted((folder / data_set).glob("*.hea"), key=lambda p: (len(p.stem), p.stem))
    ]


def read_channels(folder: Path, name: str, channels: Sequence[int]) -> tuple[float, list[Floats]]:
    """Sampling frequency, and the conditioned signal of each channel."""
    record = wfdb.rdrecord(str(folder / name), channels=list(channels), physical=False)
    counts = record.d_signal - np.array(record.baseline)
    return float(record.fs), [
        condition(
            np.clip(counts[:, i], -32768, 32767).astype(np.int16), record.fs, record.adc_gain[i]
        )
        for i in range(len(channels))
    ]


def load_mitdb(
    folder: Path,
    names: Sequence[str] | None = None,
    channels: Sequence[int] = (0, 1),
    prefix: str = "mitdb",
) -> list[Track]:
    """MITDB, or NSTDB's copies of record 118 (prefix nstdb): beats with their classes; flutter
    sections without QRS reference."""
    tracks = []
    for name in names or record_names(folder, prefix):
        fs, signals = read_channels(folder, name, channels)
        notes = wfdb.rdann(str(folder / name), "atr")
        at = np.asarray(notes.sample) * FS_HZ / fs
        symbols = np.array(notes.symbol)
        is_beat = np.array([s in AAMI for s in symbols])
        flutter = np.stack([at[symbols == "["], at[symbols == "]"]], axis=1)
        classes = "".join(AAMI[s] for s in symbols[is_beat])
        for channel, signal in zip(channels, signals, strict=True):
            targets = beat_targets(len(signal), at[is_beat], classes)
            for begin, end in flutter.astype(int):
                targets[:2, begin:end] = UNKNOWN
                targets[FIBRILLATION, begin:end] = YES
            height = qrs_height(signal, at[is_beat])
            patient = "mitdb/118" if prefix == "nstdb" else SAME_PATIENT.get(name, name)
            tracks.append(
                Track(
                    name, patient, channel, signal, targets, at[is_beat], classes, flutter, height
                )
            )
    return tracks


def load_ludb(folder: Path, names: Sequence[str] | None = None) -> list[Track]:
    """LUDB's 12 leads as one track each; targets are unknown outside the annotated beats, and
    classes everywhere."""
    leads = ["i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"]
    tracks = []
    for name in names or record_names(folder, "ludb"):
        fs, signals = read_channels(folder, name, range(len(leads)))
        for channel, signal in enumerate(signals):
            notes = wfdb.rdann(str(folder / name), leads[channel])
            at = np.asarray(notes.sample) * FS_HZ / fs
            beats = at[np.array(notes.symbol) == "N"]
            targets = beat_targets(len(signal), beats, "")
            targets[:2, : max(0, int(beats[0]) - 30)] = targets[:2, int(beats[-1]) + 40 :] = UNKNOWN
            height = qrs_height(signal, beats)
            tracks.append(
                Track(name, name, channel, signal, targets, beats, "", np.zeros((0, 2)), height)
            )
    return tracks


def load_vfdb(
    folder: Path, names: Sequence[str] | None = None, channels: Sequence[int] = (0, 1)
) -> list[Track]:
    """VFDB: rhythms only. No QRS in fibrillation, flutter and asystole; elsewhere the QRS is
    unknown."""
    tracks = []
    for name in names or record_names(folder, "vfdb"):
        fs, signals = read_channels(folder, name, channels)
        for channel, signal in enumerate(signals):
            targets = np.full((3, len(signal)), UNKNOWN, np.uint8)
            for begin, end, rhythm in rhythms(folder, name, fs, len(signal)):
                targets[FIBRILLATION, begin:end] = YES if rhythm in FIBRILLATORY else NO
                targets[QRS, begin:end] = NO if rhythm in WITHOUT_QRS else UNKNOWN
            height = max(0.05, 4 * float(signal.std()))  # no beats to measure
            tracks.append(
                Track(
                    name, name, channel, signal, targets, np.zeros(0), "", np.zeros((0, 2)), height
                )
            )
    return tracks


def rhythms(folder: Path, name: str, fs: float, length: int) -> Iterator[tuple[int, int, str]]:
    """The record's rhythm sections: begin, end (samples at 125 Hz), label without its parenthesis."""
    notes = wfdb.rdann(str(folder / name), "atr")
    changes = [
        (int(s * FS_HZ / fs), a.strip("\x00 ")[1:])
        for s, a in zip(notes.sample, notes.aux_note, strict=True)
        if a.startswith("(")
    ]
    for (begin, rhythm), (end, _) in zip(changes, [*changes[1:], (length, "")], strict=True):
        yield begin, min(end, length), rhythm


def load_noise(folder: Path) -> list[Noise]:
    """NSTDB's baseline wander and muscle noise, and its electrode motion rebuilt as 118e_6 minus
    118; only the first minutes of each."""
    parts = []
    for kind in ("bw", "ma"):
        record = wfdb.rdrecord(
            str(folder / "nstdb" / kind), physical=False, sampto=NOISE_FOR_TRAINING_MIN * 60 * 360
        )
        parts += [
            (kind, record.d_signal[:, channel] - record.baseline[channel]) for channel in (0, 1)
        ]
    noisy = wfdb.rdrecord(str(folder / "nstdb" / "118e_6"), physical=False).d_signal.astype(
        np.int64
    )
    motion = noisy - wfdb.rdrecord(str(folder / "mitdb" / "118"), physical=False).d_signal
    for minute in range(5, NOISE_FOR_TRAINING_MIN - 2, 4):  # it is on for two minutes in four
        section = motion[(minute * 60 + 1) * 360 : ((minute + 2) * 60 - 1) * 360]
        parts += [("em", section[:, channel]) for channel in (0, 1)]
    noises = []
    for kind, counts in parts:
        counts = counts - int(np.mean(counts[:360]))
        signal = condition(np.clip(counts, -32768, 32767).astype(np.int16), 360, 200.0)
        noises.append(Noise(kind, signal, float(np.std(counts / 200.0))))
    return noises


def beat_targets(length: int, beats: npt.NDArray[np.float64], classes: str) -> Codes:
    """(3, length) codes: a QRS around each beat, its class there only, no fibrillation."""
    targets = np.zeros((3, length), np.uint8)
    targets[VENTRICULAR] = UNKNOWN
    near = np.rint(beats).astype(int)[:, None] + np.arange(
        -TARGET_HALF_WIDTH, TARGET_HALF_WIDTH + 1
    )
    inside = (near >= 0) & (near < length)
    targets[QRS, near[inside]] = YES
    if classes:
        code = np.array([{"V": YES, "F": HALF}.get(c, NO) for c in classes], np.uint8)
        targets[VENTRICULAR, near[inside]] = np.broadcast_to(code[:, None], near.shape)[inside]
    return targets


def qrs_height(signal: Floats, beats: npt.NDArray[np.float64]) -> float:
    """Median peak-to-peak amplitude within 50 ms of the beats, in mV; 1 without beats."""
    if not len(beats):
        return 1.0
    near = np.rint(beats).astype(int)[:, None] + np.arange(
        -TARGET_HALF_WIDTH, TARGET_HALF_WIDTH + 1
    )
    near = np.clip(near, 0, len(signal) - 1)
    return max(0.05, float(np.median(np.ptp(signal[near], axis=1))))
