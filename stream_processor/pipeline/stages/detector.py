"""QRS detection: due windows through the backbone, to analysed seconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ingest.messages import Noise
from models.beats.decoding import SEARCH, Peaks, decode, r_peak, uncertainty
from models.beats.morphology import around
from models.beats.searchback import FIELDS, WEAK, choose
from models.beats.spikes import is_spike
from models.serving.runtime import Model, size
from models.signal import quality
from models.signal.movement import Movement, movement
from models.signal.stage import ArrayStage, Rows
from models.signal.windows import Floats, InputSpec, Windows
from stream_processor.pipeline.stages.seconds import AnalysedSecond, Complex

# A second is unreadable by models/signal/quality.py, where its successive samples differ nearly as
# much as independent ones would (ratio 1.41; a clean ECG: 0.2-0.5), or where it swings as no heart
# does.
NOISE_RATIO = 0.9
RANGE_MV = 10.0
UNREADABLE = 0.5
WHOLE = 25  # first samples of the last 4 s, which are all zero if that much signal is not there yet
# A second without a QRS is unsure where the baseline has just moved as no heart moves it, or where
# the signal still moves about as quickly as with QRS complexes. In true asystoles of CinC 2015 the
# steps are below 0.021 mV; in the ventricular flutter of MIT-BIH 207 above 0.046.
SWING_MV = 1.0
# root mean square of successive differences, in mV and as a share of the last 10 s
STEP_MV, STEP_RATIO = 0.045, 0.1


class BeatDetector(ArrayStage):
    """Stage: windows in, AnalysedSeconds out; each complex once, at its R peak."""

    def __init__(self, model: Model) -> None:
        self.model = model
        super().__init__(**FIELDS)

    def use(self, model: Model) -> None:
        """Use another model from now on, whose QRS detection is the same."""
        self.model = model

    def flush(self, rows: Rows) -> list[AnalysedSecond]:
        """Return nothing: a window answers for its second completely."""
        return []

    def push(self, batch: list[Windows]) -> list[AnalysedSecond]:
        """Seconds in the order of the windows."""
        if not batch:
            return []
        w = Windows(*(np.concatenate(column) for column in zip(*batch, strict=True)))
        spec = self.model.input
        mask, features = self.model.segment(np.nan_to_num(w.x))
        complexes, spiked = self._complexes(w, mask)
        until = np.minimum(w.end - spec.after, w.written)
        moves = movement(w.recent)
        noisy, restless = _signal(w, spec)
        readable, noises = _readable(w, moves, noisy)
        unsure = [
            restive and not found and i not in spiked
            for i, (restive, found) in enumerate(zip(restless.tolist(), complexes, strict=True))
        ]
        return [
            AnalysedSecond(*values)
            for values in zip(
                w.rows.tolist(),
                w.k.tolist(),
                until.tolist(),
                w.written.tolist(),
                complexes,
                [0.0] * len(unsure),
                [noise != "" for noise in noises],
                unsure,
                w.still_s.tolist(),
                w.lead_off.tolist(),
                _packed(w.mv, features),
                [0.0] * len(unsure),
                [0.0] * len(unsure),
                *(column.tolist() for column in moves),
                readable,
                noises,
                strict=True,
            )
        ]

    def _complexes(self, w: Windows, mask: Floats) -> tuple[list[tuple[Complex, ...]], set[int]]:
        """Return the QRS complexes of each window, and which windows have a pacing spike without
        one."""
        peaks = decode(mask, threshold=WEAK)
        inside = r_peak(w.x, peaks.row, peaks.position)
        at = (w.end - w.x.shape[1])[peaks.row] + inside
        # the step where a signal ends is no QRS
        before = np.where(w.end > w.written, w.written - SEARCH, w.written)[peaks.row]
        spike = is_spike(w.x, peaks.row, inside)
        spiked = set(peaks.row[spike].tolist())
        there = np.flatnonzero((at >= 0) & (at < before) & ~spike)
        peaks = Peaks(
            peaks.row[there], peaks.position[there], peaks.confidence[there], peaks.ahead[there]
        )
        inside, at = inside[there], at[there]
        beats = choose(self._rows, w.rows, uncertainty(mask), peaks, at)
        window = peaks.row[beats]
        shapes = around(w.x, window, inside[beats]) * w.mv[window, None]
        found: list[list[Complex]] = [[] for _ in range(len(w.rows))]
        for place, position, confidence, shape in zip(
            window.tolist(),
            at[beats].tolist(),
            peaks.confidence[beats].tolist(),
            shapes,
            strict=True,
        ):
            found[place].append(Complex(position, confidence, shape.tobytes()))
        return [tuple(complexes) for complexes in found], spiked


def _packed(mv: Floats, features: Floats) -> list[bytes]:
    """Return `AnalysedSecond.steps` of each window."""
    sizes = np.broadcast_to(size(mv)[:, None, None], (*features.shape[:2], 1))
    return [step.tobytes() for step in np.concatenate([sizes, features], axis=2).astype(np.float16)]


def _readable(
    w: Windows, moves: Movement, noisy: npt.NDArray[np.bool_]
) -> tuple[list[float], list[Noise]]:
    """Return, for each window's own second, the probability that it can be read, and what disturbs
    it. Before there are 4 s of signal, a second counts as readable unless it is noisy."""
    found = quality.features(w.recent, moves)
    whole = w.recent[:, :WHOLE].any(axis=1)
    readable = np.where(whole, quality.readable(found, quality.weights()), 1.0)
    readable = np.where(noisy, 0.0, readable)
    causes = quality.noise(found)
    return readable.tolist(), [
        cause if p < UNREADABLE else "" for p, cause in zip(readable.tolist(), causes, strict=True)
    ]


def _signal(w: Windows, spec: InputSpec) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Return, for each window's own second, whether it is noisy, and whether it would be unsure if
    it had no QRS; shape (B,) each."""
    x = w.x[:, spec.before : spec.before + spec.hop].astype(np.float64)
    steps = np.sqrt(np.mean(np.square(np.diff(x, axis=1)), axis=1))
    size = np.sqrt(np.mean(np.square(x), axis=1))
    noisy = (steps > NOISE_RATIO * np.maximum(size, 1e-6)) | (np.ptp(x, axis=1) * w.mv > RANGE_MV)
    restless = (w.swing >= SWING_MV) | ((steps >= STEP_RATIO) & (steps * w.mv >= STEP_MV))
    return np.asarray(noisy), np.asarray(restless)
