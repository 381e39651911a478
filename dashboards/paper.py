"""Draw ECG on paper as SVG: pink grid of 1 and 5 mm, calibration pulse, speed and gain in print,
the trace through every sample.

Used by the report of a patient and by `ecgwatch evaluate`. One user unit of the drawing is a
hundredth of a millimetre, and the drawing says its width and height in mm, so that a print at 100 %
can be measured with a ruler. The drawing uses only attributes, no <style> and no ids, because it
must work under a strict content-security policy and beside others in one page.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np
import numpy.typing as npt

from ingest.packing import MISSING

UNIT = 100  # user units per mm
MARGIN_MM, HEAD_MM, ROW_MM = 10, 5, 5  # calibration pulse; caption; a row of letters
LEAST_MM, MOST_MM = 30, 60  # height of the grid
THIN, THICK, INK, TEXT = "#f7c6c6", "#e58f8f", "#111111", "#333333"
SPAN = "#ffe08a"
PULSE_S = 0.2

Mark = tuple[float, str, str]  # seconds since the strip's first sample, letter or word, colour
Floats = npt.NDArray[np.float64]


def millivolts(counts: npt.NDArray[np.int16], counts_per_mv: float) -> Floats:
    """Convert samples (n,) to mV, NaN for missing ones (ingest.packing)."""
    mv: Floats = np.where(counts == MISSING, np.nan, counts / counts_per_mv)
    return mv


def strip_svg(
    mv: npt.ArrayLike,
    fs_hz: float,
    *,
    start_label: str = "",
    marks: Sequence[Mark] = (),
    marks_below: Sequence[Mark] = (),
    span: tuple[float, float] | None = None,
    speed_mm_s: float = 25.0,
    gain_mm_mv: float = 10.0,
) -> str:
    """An <svg> element of the samples `mv` (n,), NaN for missing ones.

    `marks` stand above the grid and `marks_below` under it (reference above, ours below, say),
    `span` (from, to; s) is shaded. The strip is as wide as the samples need; values that do not fit
    into 60 mm of height are clipped. Raises ValueError for values that cannot be drawn.
    """
    samples = np.asarray(mv, dtype=np.float64)
    if samples.ndim != 1 or not (fs_hz > 0 and speed_mm_s > 0 and gain_mm_mv > 0):
        raise ValueError(
            f"cannot draw samples of shape {samples.shape} at {fs_hz} Hz, {speed_mm_s} mm/s, {gain_mm_mv} mm/mV"
        )
    paper = _Paper(samples, fs_hz, speed_mm_s, gain_mm_mv, below=bool(marks_below))
    parts = [
        paper.frame(),
        paper.shade(span) if span else "",
        paper.grid(),
        paper.pulse(),
        paper.caption(start_label),
        paper.trace(),
        *(paper.mark(m, below=False) for m in marks),
        *(paper.mark(m, below=True) for m in marks_below),
        "</svg>",
    ]
    return "".join(parts)


class _Paper:
    """Measures of the sheet, and each of its parts as SVG."""

    def __init__(self, mv: Floats, fs_hz: float, speed: float, gain: float, *, below: bool) -> None:
        self.mv, self.fs_hz, self.speed, self.gain = mv, fs_hz, speed, gain
        known = mv[np.isfinite(mv)]
        self.low, high = (float(known.min()), float(known.max())) if known.size else (-1.0, 1.0)
        needed = 5 * math.ceil((high - self.low) * gain / 5 + 1)
        self.grid_mm = min(MOST_MM, max(LEAST_MM, needed))
        middle = (
            (self.low + high) / 2
            if needed <= MOST_MM or not known.size
            else float(np.median(known))
        )
        # distance of 0 mV from the top
        self.zero_mm = HEAD_MM + ROW_MM + self.grid_mm / 2 + middle * gain
        self.width_mm = MARGIN_MM + 5 * max(1, math.ceil(len(mv) / fs_hz * speed / 5))
        self.height_mm = HEAD_MM + ROW_MM + self.grid_mm + (ROW_MM if below else 1)
        self.top = HEAD_MM + ROW_MM

    def x(self, t_s: float) -> int:
        return round((MARGIN_MM + t_s * self.speed) * UNIT)

    def frame(self) -> str:
        w, h = self.width_mm, self.height_mm
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="strip" role="img" aria-label="ECG strip" width="{w}mm" height="{h}mm" '
            f'viewBox="0 0 {w * UNIT} {h * UNIT}"><rect width="{w * UNIT}" height="{h * UNIT}" fill="#ffffff"/>'
        )

    def shade(self, span: tuple[float, float]) -> str:
        a, b = (min(max(self.x(t), MARGIN_MM * UNIT), self.width_mm * UNIT) for t in span)
        size = f'width="{max(0, b - a)}" height="{self.grid_mm * UNIT}"'
        return f'<rect x="{a}" y="{self.top * UNIT}" {size} fill="{SPAN}" fill-opacity="0.5"/>'

    def grid(self) -> str:
        return self._lines(1, THIN, 8) + self._lines(5, THICK, 14)

    def _lines(self, step: int, colour: str, width: int) -> str:
        w, h, top = self.width_mm * UNIT, self.grid_mm * UNIT, self.top * UNIT
        upright = "".join(f"M{i * UNIT} {top}v{h}" for i in range(0, self.width_mm + 1, step))
        flat = "".join(f"M0 {top + i * UNIT}h{w}" for i in range(0, self.grid_mm + 1, step))
        return f'<path d="{upright}{flat}" fill="none" stroke="{colour}" stroke-width="{width}"/>'

    def pulse(self) -> str:
        """1 mV for 0.2 s, in the margin, around the middle of the grid."""
        high, wide = round(self.gain * UNIT), round(PULSE_S * self.speed * UNIT)
        side = max(0, (MARGIN_MM * UNIT - wide) // 2)
        y = round((self.top + (self.grid_mm + self.gain) / 2) * UNIT)
        return f'<path d="M0 {y}h{side}v{-high}h{wide}v{high}h{side}" fill="none" stroke="{INK}" stroke-width="25"/>'

    def caption(self, label: str) -> str:
        scale = f"{self.speed:g} mm/s · {self.gain:g} mm/mV"
        y = round(0.7 * HEAD_MM * UNIT)
        font = f'y="{y}" font-family="sans-serif" font-size="300" fill="{TEXT}"'
        return (
            f'<text x="{MARGIN_MM * UNIT}" {font}>{escape(_printable(label))}</text>'
            f'<text x="{self.width_mm * UNIT - 50}" text-anchor="end" {font}>{scale}</text>'
        )

    def trace(self) -> str:
        """Straight lines from sample to sample; a new line after missing samples."""
        w, h, top = (self.width_mm - MARGIN_MM) * UNIT, self.grid_mm * UNIT, self.top * UNIT
        x = np.round(np.arange(len(self.mv)) * (self.speed * UNIT / self.fs_hz)).astype(int)
        known = np.isfinite(self.mv)
        down_mm = self.zero_mm - self.top - np.where(known, self.mv, 0) * self.gain
        y = np.round(np.clip(down_mm * UNIT, -1e6, 1e6)).astype(int)
        edges = np.flatnonzero(np.diff(known.astype(int), prepend=0, append=0))
        d = "".join(_line(x[a:b], y[a:b]) for a, b in zip(edges[::2], edges[1::2], strict=True))
        window = (
            f'<svg x="{MARGIN_MM * UNIT}" y="{top}" width="{w}" height="{h}" overflow="hidden">'
        )
        return f'{window}<path d="{d}" fill="none" stroke="{INK}" stroke-width="25" stroke-linejoin="round"/></svg>'

    def mark(self, mark: Mark, *, below: bool) -> str:
        t_s, letter, colour = mark
        grid_end = self.top + self.grid_mm
        y_text, y_tick = (
            (grid_end + 0.75 * ROW_MM, grid_end)
            if below
            else (self.top - 0.3 * ROW_MM, self.top - 1)
        )
        x, fill = self.x(t_s), escape(_printable(colour))
        return (
            f'<path d="M{x} {round(y_tick * UNIT)}v{UNIT}" stroke="{fill}" stroke-width="30"/><text x="{x}" y="{round(y_text * UNIT)}" '
            f'text-anchor="middle" font-family="sans-serif" font-size="280" fill="{fill}">{escape(_printable(letter))}</text>'
        )


def _line(x: npt.NDArray[np.int_], y: npt.NDArray[np.int_]) -> str:
    """Consecutive points as one relative path; a single point as a very short line."""
    steps = "".join(
        f"l{dx} {dy}" for dx, dy in zip(np.diff(x).tolist(), np.diff(y).tolist(), strict=True)
    )
    return f"M{x[0]} {y[0]}" + (steps or "h1")


def _printable(text: str) -> str:
    """The text without the control characters that XML cannot hold."""
    return "".join(c for c in text if c.isprintable() or c == " ")
