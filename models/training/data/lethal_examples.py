"""Training examples of T4, the lethal rhythms: the last seconds of a segment as windows, and the
rhythms that its newest second may have.

Few patients have lethal rhythms (fibrillation: six), so most of a batch is synthetic: other leads,
gains and rates of the existing episodes, surrogates, tachycardias made of other patients' beats.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.signal.conditioning import FS_HZ
from models.signal.windows import BEAT_SPEC, level, scale
from models.training.data.lethal_data import (
    ASYSTOLE,
    NONE,
    SPAN,
    VF,
    VT,
    WINDOWS,
    LethalStrip,
    SegmentPool,
    Sets,
    mixture,
)
from models.training.data.lethal_disturb import disturb, recorded
from models.training.data.lethal_synthesis import (
    BeatBank,
    flutter,
    slow_wave,
    splice,
    stillness,
    surrogate,
    waves,
)
from models.training.data.records import Floats, Noise

SHARES = {
    "VF": 0.17,
    "VF surrogate": 0.05,
    "waves": 0.04,
    "VT": 0.14,
    "VT made": 0.10,
    "SVT made": 0.07,
    "asystole": 0.03,
    "stillness": 0.07,
    "vfdb": 0.13,
    "mitdb": 0.08,
    "wearable": 0.09,
    "noise": 0.03,
}
# which of a regular, broad wave's rates are flutter's
REGULAR = {"flutter": 0.55, "slow wave": 0.35, "stillness": 0.10}
# of slow waves: none of the lethal rhythms up to the second, doubtful above
SLOW_BPM, TACHYCARDIA_BPM, BROAD_BPM = 75.0, 100.0, 130.0
# share of segments played faster or slower, log of the largest factor
STRETCHED, STRETCH = 0.5, 0.2
ONSET = 0.25  # share of made or fibrillating segments that begin within the segment
LATE = 0.1  # share that has fewer seconds than WINDOWS: a stream's first


class LethalExamples:
    """Segments by their shares, disturbed, as windows; the target is the set of rhythms that the
    newest second may be."""

    def __init__(
        self,
        records: Sequence[LethalStrip],
        wearables: Sequence[LethalStrip],
        noises: Sequence[Noise],
    ) -> None:
        vfdb = [s for s in records if s.name.startswith("vfdb")]
        mitdb = [s for s in records if s.name.startswith("mitdb")]
        self._noises = noises
        self._pools = {
            "VF": SegmentPool(records, {1 << VF}),
            "VT": SegmentPool(records, {1 << VT, 1 << VT | 1 << VF}),
            "asystole": SegmentPool(vfdb, {1 << ASYSTOLE}),
            "vfdb": SegmentPool(vfdb),
            "mitdb": SegmentPool(mitdb),
            "wearable": SegmentPool(wearables),
        }
        self._v, self._n = BeatBank(mitdb, "V"), BeatBank(mitdb, "N")

    def draw(
        self, rng: np.random.Generator, size: int, shares: Mapping[str, float] = SHARES
    ) -> list[Tensor]:
        """Examples of the kinds that `shares` names.

        Returns: (B, WINDOWS, 320) windows in half precision, (B, WINDOWS) levels, (B, WINDOWS)
        which exist, (B,) sets."""
        kinds = rng.choice(
            len(shares), size, p=np.array(list(shares.values())) / sum(shares.values())
        )
        x, sets = np.zeros((size, SPAN), np.float32), np.zeros((size, SPAN), np.uint8)
        for i, kind in enumerate(kinds):
            x[i], sets[i] = self.segment(list(shares)[kind], rng)
            x[i] = disturb(x[i], sets[i], self._noises, rng)
        late = np.where(rng.random(size) < LATE, rng.integers(1, WINDOWS, size), 0)
        for row in np.flatnonzero(late):
            x[row, : SPAN - BEAT_SPEC.after - BEAT_SPEC.hop * (WINDOWS - late[row])] = 0
        cut, mv, known = windows(x, late)
        second = sets[:, SPAN - BEAT_SPEC.after - BEAT_SPEC.hop : SPAN - BEAT_SPEC.after]
        unknown = (second == 0).any(axis=1)
        target = np.where(unknown, 0, np.bitwise_or.reduce(second, axis=1))
        return [
            torch.from_numpy(part)
            for part in (cut.astype(np.float16), mv, known, target.astype(np.int64))
        ]

    def segment(self, kind: str, rng: np.random.Generator) -> tuple[Floats, Sets]:
        """A segment of one of SHARES or REGULAR, and its sets."""
        factor = float(np.exp(rng.uniform(-STRETCH, STRETCH))) if rng.random() < STRETCHED else 1.0
        if kind in self._pools:
            pool = self._pools[kind] or self._pools["vfdb"]
            return pool.draw(rng, factor)
        if kind == "noise":
            return recorded(self._noises, rng) * np.float32(
                np.exp(rng.uniform(np.log(0.02), np.log(2)))
            ), _all(NONE)
        x, sets = self._made(kind, rng, factor)
        return self._after_onset(x, sets, rng) if rng.random() < ONSET else (x, sets)

    def _made(self, kind: str, rng: np.random.Generator, factor: float) -> tuple[Floats, Sets]:
        if kind == "VF surrogate":
            x, sets = self._pools["VF"].draw(rng, factor)
            wholly = (sets & 1 << VF).all()
            return (surrogate(x, rng), _all(VF)) if wholly else (x, sets)
        if kind == "waves":
            return waves(rng), _all(VF)
        if kind == "flutter":
            return flutter(rng), _all(VF)
        if kind == "slow wave":
            if rng.random() < 0.5:
                return slow_wave(rng, SLOW_BPM, TACHYCARDIA_BPM), _all(NONE)
            return slow_wave(rng, TACHYCARDIA_BPM, BROAD_BPM), _all(NONE) | _all(VT)
        if kind == "stillness":
            return stillness(rng), _all(ASYSTOLE)
        bank, fastest, what = (self._v, 240.0, VT) if kind == "VT made" else (self._n, 210.0, NONE)
        return bank.tachycardia(rng, mixture(2, rng), fastest), _all(what)

    def _after_onset(self, x: Floats, sets: Sets, rng: np.random.Generator) -> tuple[Floats, Sets]:
        """Put a harmless rhythm before the segment's; the new rhythm is doubtful for its first
        second, asystole for its first three."""
        older, before = self._pools["mitdb" if rng.random() < 0.5 else "vfdb"].draw(rng)
        at = int(rng.integers(SPAN // 3, SPAN))
        doubt = 3 * FS_HZ if sets[-1] == 1 << ASYSTOLE else FS_HZ
        mixed = np.where(np.arange(SPAN) < at, before, sets)
        border = slice(max(0, at - FS_HZ // 2), at + doubt)
        mixed[border] = before[border] | sets[border]
        return splice(older, x, at), mixed


def _all(what: int) -> Sets:
    return np.full(SPAN, 1 << what, np.uint8)


def windows(x: Floats, late: npt.NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Segments (B, SPAN) cut as in serving: (B, WINDOWS, 320), levels (B, WINDOWS), which
    exist (B, WINDOWS)."""
    cut, levels = [], []
    for i in range(WINDOWS):
        end = SPAN - (WINDOWS - 1 - i) * BEAT_SPEC.hop
        history = x[:, end - BEAT_SPEC.scale : end]
        begun = np.argmax(history != 0, axis=1)
        valid = np.where(
            (history != 0).any(axis=1), BEAT_SPEC.scale - begun, BEAT_SPEC.scale
        ).astype(np.int64)
        cut.append(scale(history, valid, BEAT_SPEC))
        levels.append(level(history, valid, BEAT_SPEC))
    known = (np.arange(WINDOWS) >= late[:, None]).astype(np.float32)
    return np.stack(cut, axis=1), np.stack(levels, axis=1), known
