"""Shapes of ventricular beats for simulated tachycardias: drawn ones, and the mean V beat of each
available patient of MITDB, as Gaussian kernels (ingest/simulator/morphology.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import wfdb

from ingest.simulator.morphology import render

Shape = tuple[tuple[float, float, float, float], ...]
Doubles = npt.NDArray[np.float64]

# Height (mV), centre (s from the R peak), widths before and after it (s)
DRAWN: dict[str, Shape] = {
    "monophasic": ((1.2, 0.0, 0.045, 0.045), (-0.35, 0.21, 0.05, 0.04)),
    "QS": ((-1.3, 0.0, 0.050, 0.042), (0.45, 0.20, 0.06, 0.045)),
    "RS": ((0.9, -0.03, 0.030, 0.026), (-1.1, 0.045, 0.030, 0.038), (0.25, 0.2, 0.05, 0.05)),
    "triphasic": (
        (-0.4, -0.06, 0.018, 0.018),
        (1.0, 0.0, 0.028, 0.026),
        (-0.7, 0.07, 0.026, 0.034),
        (0.3, 0.22, 0.05, 0.045),
    ),
    "nearly a sine": ((1.0, 0.0, 0.070, 0.070), (-0.9, 0.16, 0.070, 0.070)),
}
LEAST_BEATS = 5
BEFORE_S, AFTER_S = 0.16, 0.30
KERNELS = 6
CENTRES_S = np.arange(-0.14, 0.29, 0.02)
WIDTHS_S = (0.016, 0.028, 0.05, 0.085)


def of_patients(folder: Path) -> dict[str, Shape]:
    """The mean V beat of each record of MITDB that has at least LEAST_BEATS, by the record's name,
    its largest deflection 1.2 mV; none if the folder does not exist."""
    found: dict[str, Shape] = {}
    for header in sorted(folder.glob("*.hea")):
        path = str(header.with_suffix(""))
        notes = wfdb.rdann(path, "atr")
        at = [s for s, symbol in zip(notes.sample, notes.symbol, strict=True) if symbol == "V"]
        if len(at) < LEAST_BEATS:
            continue
        record = wfdb.rdrecord(path, channels=[0])
        found[header.stem] = _fitted(_mean_beat(record.p_signal[:, 0], at, float(record.fs)))
    return found


def _mean_beat(signal_mv: Doubles, at: list[int], fs_hz: float) -> tuple[Doubles, Doubles]:
    """Times from the R peak and the median of the beats, less the level at its ends."""
    before, after = round(BEFORE_S * fs_hz), round(AFTER_S * fs_hz)
    cut = [signal_mv[i - before : i + after] for i in at if before < i < len(signal_mv) - after]
    beat = np.median(np.array(cut), axis=0)
    times = np.arange(-before, after) / fs_hz
    level = np.interp(times, times[[0, -1]], [beat[:8].mean(), beat[-8:].mean()])
    return times, np.asarray(beat - level)


def _fitted(mean: tuple[Doubles, Doubles]) -> Shape:
    """The beat as KERNELS Gaussians, chosen one after the other (matching pursuit)."""
    times, beat = mean
    grid = [(1.0, c, w, w) for c in CENTRES_S.tolist() for w in WIDTHS_S]
    waves = np.array([render(np.array([row]), times) for row in grid])
    unit = waves / np.linalg.norm(waves, axis=1, keepdims=True)
    chosen: list[int] = []
    heights = np.zeros(0)
    left = beat
    for _ in range(KERNELS):
        chosen.append(int(np.argmax(np.abs(unit @ left))))
        heights = np.linalg.lstsq(waves[chosen].T, beat, rcond=None)[0]
        left = beat - heights @ waves[chosen]
    fitted = heights @ waves[chosen]
    scale = 1.2 / np.abs(fitted).max()
    peak = float(times[np.argmax(np.abs(fitted))])
    rows = [
        (float(h * scale), grid[i][1] - peak, grid[i][2], grid[i][3])
        for h, i in zip(heights, chosen, strict=True)
    ]
    return tuple(sorted(rows, key=lambda row: row[1]))
