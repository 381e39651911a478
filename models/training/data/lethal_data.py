"""References of task T4, the lethal rhythms, and segments of records to train it on.

The reference of a sample is the set of rhythms that it may be, one bit each. Mostly that is
one rhythm. Some sections of VFDB carry a label that the signal contradicts (DOUBTFUL: coarse,
irregular waves without any QRS called VT; fine waves called asystole): training then accepts
either, while every figure is taken against the label as it stands.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC
from models.training.data import cinc2017
from models.training.data.records import Floats, Track, rhythms

CLASSES = ("none", "VT", "VF", "asystole")
NONE, VT, VF, ASYSTOLE = range(4)
Sets = npt.NDArray[np.uint8]  # bit c: may be class c; 0: nothing is known

WINDOWS = 4  # seconds from which an answer is made
# samples needed by these windows and their scaling
SPAN = BEAT_SPEC.scale + (WINDOWS - 1) * BEAT_SPEC.hop
# VFDB; all others are none of these
OF_RHYTHM = {"VF": VF, "VFL": VF, "VFIB": VF, "VT": VT, "ASYS": ASYSTOLE}
DOUBTFUL = {
    ("vfdb/423", "VT"): (VT, VF),
    ("vfdb/427", "VT"): (VT, VF),
    ("vfdb/614", "VT"): (VT, VF),  # its second half
    ("vfdb/424", "ASYS"): (ASYSTOLE, VF),
    ("vfdb/607", "ASYS"): (ASYSTOLE, VF),
    ("vfdb/427", "ASYS"): (ASYSTOLE, NONE),  # escape beats
    ("vfdb/430", "ASYS"): (ASYSTOLE, NONE),
    ("vfdb/430", "HGEA"): (NONE, VT),  # high-grade ectopy: runs are not marked
    ("vfdb/610", "HGEA"): (NONE, VT),
}
# of a ventricular tachycardia in MITDB: V beats, and the longest interval between them (100 a
# minute)
RUN_BEATS, RUN_RR_S = 3, 0.6
BORDER = FS_HZ  # samples around a change of rhythm in which either is right


@dataclass(frozen=True)
class LethalStrip:
    """A record: all its channels on one clock."""

    name: str
    patient: str
    signal: npt.NDArray[np.floating]  # (channels, n) mV
    truth: npt.NDArray[np.int8]  # (n,) class by the label as it stands, -1 if unlabelled
    label: npt.NDArray[np.int8]  # (n,) the label itself, index into `labels`
    labels: tuple[str, ...]
    allowed: Sets  # (n,)
    beats: npt.NDArray[np.float64]  # (m,) R peaks; empty without beat annotations
    classes: str  # (m,)


def strips(tracks: Sequence[Track], folder: Path) -> list[LethalStrip]:
    """MITDB and VFDB tracks (all channels) as strips."""
    by_name: dict[str, list[Track]] = {}
    for track in tracks:
        by_name.setdefault(track.name, []).append(track)
    return [_strip(channels, folder) for channels in by_name.values()]


def _strip(channels: Sequence[Track], folder: Path) -> LethalStrip:
    first = channels[0]
    n = len(first.signal)
    sections = _vfdb(first, folder) if first.name.startswith("vfdb") else _mitdb(first)
    labels = ("", *sorted({name for _, _, name, _ in sections if name}))
    truth, allowed, label = np.full(n, -1, np.int8), np.zeros(n, np.uint8), np.zeros(n, np.int8)
    for begin, end, name, classes in sections:
        truth[begin:end] = classes[0]
        allowed[begin:end] = sum(1 << c for c in classes)
        label[begin:end] = labels.index(name)
    signal = np.stack([track.signal for track in channels])
    return LethalStrip(
        first.name,
        first.patient,
        signal,
        truth,
        label,
        labels,
        soften(allowed),
        first.beats,
        first.classes,
    )


def _vfdb(track: Track, folder: Path) -> list[tuple[int, int, str, tuple[int, ...]]]:
    """Return sections: begin, end, label, classes that it may be, the labelled one first."""
    found = []
    for begin, end, rhythm in rhythms(folder, track.name, 250, len(track.signal)):
        labelled = OF_RHYTHM.get(rhythm, NONE)
        doubt = DOUBTFUL.get((track.name, rhythm), ())
        found.append((begin, end, rhythm, (labelled, *(c for c in doubt if c != labelled))))
    return found


def _mitdb(track: Track) -> list[tuple[int, int, str, tuple[int, ...]]]:
    """Return the sections of a MIT-BIH record: flutter as annotated, tachycardias from runs of V
    beats."""
    flutter = [(int(begin), int(end), "VFL", (VF,)) for begin, end in track.flutter]
    runs = [
        (int(track.beats[i] - 12), int(track.beats[j] + 38), "VT", (VT,))
        for i, j in v_runs(track.beats, track.classes)
    ]
    return [(0, len(track.signal), "", (NONE,)), *runs, *flutter]


def v_runs(beats: npt.NDArray[np.float64], classes: str) -> list[tuple[int, int]]:
    """First and last beat of each run of at least RUN_BEATS ventricular beats with intervals up to
    RUN_RR_S."""
    runs, begin = [], None
    for i in range(len(classes) + 1):
        inside = (
            i < len(classes)
            and classes[i] == "V"
            and (begin is None or beats[i] - beats[i - 1] <= RUN_RR_S * FS_HZ)
        )
        if inside:
            begin = i if begin is None else begin
            continue
        if begin is not None and i - begin >= RUN_BEATS:
            runs.append((begin, i - 1))
        begin = i if i < len(classes) and classes[i] == "V" else None
    return runs


def soften(allowed: Sets) -> Sets:
    """Accept either rhythm within BORDER of a change: annotations are not exact to the second."""
    soft = allowed.copy()
    for at in np.flatnonzero(np.diff(allowed)) + 1:
        soft[max(0, at - BORDER) : at + BORDER] |= allowed[at - 1] | allowed[at]
    return soft


def wearable(records: cinc2017.Recordings) -> list[LethalStrip]:
    """CinC 2017 as strips, those long enough: one lead, wearable, none of the lethal rhythms."""
    found = []
    for r in range(len(records)):
        n = int(records.bounds[r + 1] - records.bounds[r])
        if n >= SPAN:
            name, zeros = f"cinc2017/{records.names[r]}", np.zeros(n, np.int8)
            # half precision, made float32 as it is read
            signal = records.samples[None, records.bounds[r] : records.bounds[r + 1]]
            found.append(
                LethalStrip(
                    name, name, signal, zeros, zeros, ("",), np.ones(n, np.uint8), np.zeros(0), ""
                )
            )
    return found


class SegmentPool:
    """A pool of segments of one kind: drawn evenly over patients, then evenly over their strips and
    places."""

    def __init__(self, strips: Sequence[LethalStrip], wanted: Collection[int] = ()) -> None:
        """`wanted`: the label sets that a chosen place may have; by default any."""
        by_patient: dict[str, list[tuple[LethalStrip, npt.NDArray[np.int64]]]] = {}
        for strip in strips:
            grid = np.arange(0, strip.signal.shape[1], 25)
            if wanted:
                grid = grid[np.isin(strip.allowed[grid], list(wanted))]
            if len(grid):
                by_patient.setdefault(strip.patient, []).append((strip, grid))
        self._patients = list(by_patient.values())

    def __bool__(self) -> bool:
        return bool(self._patients)

    def draw(self, rng: np.random.Generator, factor: float = 1.0) -> tuple[Floats, Sets]:
        """A segment (SPAN,) whose last second holds a chosen place, its channels mixed, read at
        `factor` samples per sample; its sets."""
        places = self._patients[rng.integers(len(self._patients))]
        weights = np.sqrt([len(grid) for _, grid in places])
        strip, grid = places[rng.choice(len(places), p=weights / weights.sum())]
        end = int(grid[rng.integers(len(grid))]) + int(
            rng.integers(BEAT_SPEC.after, BEAT_SPEC.after + BEAT_SPEC.hop)
        )
        return read(strip, end, factor, mixture(strip.signal.shape[0], rng))


def mixture(channels: int, rng: np.random.Generator) -> Floats:
    """Weights of a record's channels: mostly one alone, else another lead made of them."""
    weights = np.zeros(channels, np.float32)
    weights[0 if rng.random() < 0.6 else rng.integers(channels)] = 1
    return weights if rng.random() < 0.6 else np.asarray(rng.normal(0, 0.7, channels), np.float32)


def read(strip: LethalStrip, end: int, factor: float, weights: Floats) -> tuple[Floats, Sets]:
    """The SPAN samples up to `end`, by cubic interpolation (Catmull and Rom); zero, and unknown,
    outside the record."""
    position = end - 1 - np.arange(SPAN - 1, -1, -1) * factor
    first, last = int(np.floor(position[0])) - 1, end + 3
    inside = slice(max(first, 0), min(last, strip.signal.shape[1]))
    before, after = inside.start - first, last - inside.stop
    piece = np.pad(weights @ strip.signal[:, inside].astype(np.float32), (before, after))
    sets = np.pad(strip.allowed[inside], (before, after))
    at = np.floor(position).astype(np.int64) - first
    if factor == 1.0:
        return piece[at], sets[at]
    t = (position - np.floor(position)).astype(np.float32)
    a, b, c, d = (piece[at + k] for k in (-1, 0, 1, 2))
    return b + 0.5 * t * (
        c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a))
    ), sets[at]
