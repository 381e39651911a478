"""How good a rhythm network is: F1 on CinC 2017 records, and the share of AF time found in long records (MIT-BIH Arrhythmia Database)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.conditioning import FS_HZ, condition
from models.training.cinc2017 import CLASSES, Recordings
from models.training.rhythm_windows import record_windows, short_windows
from models.windows import RHYTHM_SPEC, cut

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Network = Callable[[Floats], Floats]  # (B, 3750) windows to (B, 4) logits

AF = CLASSES.index("A")
AT_ONCE = 16  # windows per call
SEGMENT = RHYTHM_SPEC.hop
MITDB = (
    *("101", "102", "104", "106", "107", "108", "109", "112", "114", "115", "116", "118", "119"),
    *("122", "124", "201", "203", "205", "207", "208", "209", "215", "217", "220", "223", "230"),
)


def softmax(logits: Floats) -> Floats:
    """(..., C) to the same."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def run(network: Network, windows: Floats) -> Floats:
    """(W, 3750) to (W, 4) logits, a few at a time."""
    return np.concatenate([network(windows[i : i + AT_ONCE]) for i in range(0, len(windows), AT_ONCE)])


def f1(truth: Ints, chosen: Ints) -> Floats:
    """Of each class: (4,)."""
    hits = np.array([np.sum((truth == c) & (chosen == c)) for c in range(len(CLASSES))])
    total = np.array([np.sum(truth == c) + np.sum(chosen == c) for c in range(len(CLASSES))])
    return (2 * hits / np.maximum(total, 1)).astype(np.float32)


def challenge_score(truth: Ints, chosen: Ints) -> float:
    """Mean F1 of N, A and O: the score of the challenge."""
    return float(f1(truth, chosen)[:3].mean())


def record_probabilities(network: Network, recordings: Recordings, members: Ints) -> Floats:
    """Class probabilities of whole records, averaged over their windows: (R, 4)."""
    return _averaged(network, [record_windows(recordings.signal(int(r))) for r in members])


def piece_probabilities(network: Network, recordings: Recordings, members: Ints, seconds: float) -> tuple[Ints, Floats]:
    """Of every piece of so many seconds by itself: the label of its record, (P,), and class probabilities, (P, 4)."""
    pieces = [short_windows(recordings.signal(int(r)), seconds) for r in members]
    truth = np.repeat(recordings.labels[members], [len(p) for p in pieces])
    return truth, softmax(run(network, np.concatenate(pieces)))


def _averaged(network: Network, windows: Sequence[Floats]) -> Floats:
    probabilities = softmax(run(network, np.concatenate(windows)))
    starts = np.cumsum([0] + [len(w) for w in windows[:-1]])
    return np.add.reduceat(probabilities, starts) / np.array([[len(w)] for w in windows])


@dataclass(frozen=True)
class LongRecord:
    """A record with rhythm annotations; one label per 5-s segment, by its middle."""

    name: str
    signal: Floats  # (n,) mV at 125 Hz
    rhythm: list[str]  # (n // SEGMENT,) MIT-BIH names: N, AFIB, AFL, B, ...


def load_mitdb(folder: Path, names: Sequence[str] = MITDB) -> list[LongRecord]:
    """MIT-BIH Arrhythmia Database (Moody and Mark 2001, DOI 10.1109/51.932724), first channel."""
    return [_load_long(folder / name) for name in names]


def _load_long(path: Path) -> LongRecord:
    import wfdb

    record = wfdb.rdrecord(str(path), physical=False, channels=[0])
    notes = wfdb.rdann(str(path), "atr")
    counts = (record.d_signal[:, 0] - record.adc_zero[0]).astype(np.int16)
    signal = condition(counts, record.fs, record.adc_gain[0])
    changes = [(s / record.fs, a.rstrip("\0")[1:]) for s, a in zip(notes.sample, notes.aux_note, strict=True) if a.startswith("(")]
    middles = (np.arange(len(signal) // SEGMENT) + 0.5) * SEGMENT / FS_HZ
    at = np.searchsorted([seconds for seconds, _ in changes], middles, side="right") - 1
    return LongRecord(path.name, signal, [changes[max(i, 0)][1] for i in at])


def segment_probabilities(network: Network, signal: Floats) -> Floats:
    """Of each 5-s segment, from the two windows that have it in their middle: (segments, 4); known 15 s after the segment."""
    segments = len(signal) // SEGMENT
    ends = np.arange(1, segments + 1) * SEGMENT
    ends = ends[ends >= RHYTHM_SPEC.least]
    probabilities = softmax(run(network, cut(signal, ends, RHYTHM_SPEC)))
    first = segments - len(ends)  # segments that end before the first window does
    # window w ends where segment w does; the windows that end 3 and 4 hops after segment s starts hold it in their middle
    nearest = np.clip(np.arange(segments)[:, None] + np.array([2, 3]), first, segments - 1) - first
    return probabilities[nearest].mean(axis=1)


def af_time(truth: Sequence[str], said_af: npt.NDArray[np.bool_]) -> tuple[int, int, int, int, int, int]:
    """Segments of AFIB and how many were called AF; the same of AFL, and of all else."""
    names = np.array(truth)
    kinds = (names == "AFIB", names == "AFL", (names != "AFIB") & (names != "AFL"))
    counts = [n for kind in kinds for n in (int(kind.sum()), int((kind & said_af).sum()))]
    return counts[0], counts[1], counts[2], counts[3], counts[4], counts[5]
