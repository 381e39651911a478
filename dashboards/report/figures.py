"""Figures of a report as SVG: heart rate over the period, the rhythm beneath it, and a Poincare
plot."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from markupsafe import Markup

from dashboards.report.beats import BeatArrays
from dashboards.report.rhythm import ClippedEpisode
from dashboards.words import RHYTHMS
from stream_processor.pipeline.stages.variability import NN_MS

WIDTH, HEIGHT, LEFT = 720, 150, 40
COLUMNS = 340
BAND = 14
COLOURS = {"N": "#9fb3a6", "AFIB": "#2f6fc4", "VT": "#d9731a", "VFL": "#d9731a", "VF": "#c0262d"}
OTHER, UNREADABLE = "#2a9184", "#dddddd"
POINTS = 4000  # dots of the Poincare plot; of more beats, this many are drawn
_STEPS_S = (60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600, 24 * 3600)
SIDE = 230


def overview(
    beats: BeatArrays, rhythm: Sequence[ClippedEpisode], start_ns: int, end_ns: int
) -> Markup:
    """Lowest to highest and mean heart rate (from RR intervals) of each column, the rhythm as a
    band, and its legend. Empty if there are no intervals."""
    kept = np.isfinite(beats.rr_ms) & (beats.rr_ms > 0)
    if not kept.any():
        return Markup("")
    rate = 60_000 / beats.rr_ms[kept]
    column = ((beats.time_ns[kept] - start_ns) * COLUMNS // (end_ns - start_ns)).astype(np.int64)
    top = max(120.0, float(np.ceil(np.percentile(rate, 99.5) / 20) * 20))
    bottom = min(40.0, float(np.floor(np.percentile(rate, 0.5) / 20) * 20))
    scale = (HEIGHT - 20) / (top - bottom)
    wide = (WIDTH - LEFT) / COLUMNS

    def y(bpm: float) -> float:
        return 10 + (top - min(max(bpm, bottom), top)) * scale

    parts = [
        f'<path d="M{LEFT} {y(v):.1f}H{WIDTH}" stroke="#ddd"/>'
        f'<text x="{LEFT - 5}" y="{y(v) + 4:.1f}" text-anchor="end">{v:.0f}</text>'
        for v in np.linspace(bottom, top, 3)
    ]
    points = []
    for k in np.unique(column):
        within = rate[column == k]
        x = LEFT + (float(k) + 0.5) * wide
        parts.append(
            f'<path d="M{x:.1f} {y(within.min()):.1f}V{y(within.max()):.1f}" stroke="#b9d8c4"/>'
        )
        points.append(f"{x:.1f},{y(float(np.median(within))):.1f}")
    parts.append(
        f'<polyline points="{" ".join(points)}" fill="none" stroke="#14713c" stroke-width="1.3"/>'
    )
    parts += _times(start_ns, end_ns) + _band(rhythm, start_ns, end_ns)
    return _svg(WIDTH, HEIGHT + BAND + 18, "Heart rate and rhythm", parts)


def poincare(beats: BeatArrays) -> Markup:
    """Each interval between normal beats over the one before, ms. Empty if there are fewer than
    20."""
    normal = beats.label == "N"
    good = normal & np.r_[False, normal[:-1]] & _sinus(beats.rr_ms)
    at = np.flatnonzero(good[1:] & good[:-1]) + 1
    if at.size < 20:
        return Markup("")
    at = at[:: max(1, at.size // POINTS)]
    low, high = NN_MS
    scale = (SIDE - 30) / (high - low)

    def place(ms: float) -> float:
        return (ms - low) * scale

    dots = "".join(
        f'<circle cx="{30 + place(a):.1f}" cy="{SIDE - 20 - place(b):.1f}" r=".9"/>'
        for a, b in zip(beats.rr_ms[at - 1].tolist(), beats.rr_ms[at].tolist(), strict=True)
    )
    frame = (
        f'<path d="M30 0V{SIDE - 20}H{SIDE}M30 {SIDE - 20}L{SIDE} 0" fill="none" stroke="#bbb"/>'
    )
    words = (
        f'<text x="{SIDE}" y="{SIDE - 6}" text-anchor="end">RR, {low:.0f} to {high:.0f} ms</text>'
        '<text x="34" y="12">next RR</text>'
    )
    return _svg(SIDE, SIDE, "Poincare plot", [frame, f'<g fill="#14713c">{dots}</g>', words])


def _sinus(rr_ms: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    return (rr_ms >= NN_MS[0]) & (rr_ms <= NN_MS[1])


def _times(start_ns: int, end_ns: int) -> list[str]:
    span_s = (end_ns - start_ns) / 1e9
    step = next((s for s in _STEPS_S if span_s / s <= 8), _STEPS_S[-1])
    step_ns = step * 10**9
    parts = []
    for t in range(-(-start_ns // step_ns) * step_ns, end_ns, step_ns):
        x = LEFT + (t - start_ns) / (end_ns - start_ns) * (WIDTH - LEFT)
        hours, minutes = divmod(t // (60 * 10**9) % 1440, 60)
        parts.append(
            f'<path d="M{x:.1f} 10V{HEIGHT - 10}" stroke="#eee"/>'
            f'<text x="{x:.1f}" y="{HEIGHT + 2}" text-anchor="middle">{hours:02}:{minutes:02}</text>'
        )
    return parts


def _band(rhythm: Sequence[ClippedEpisode], start_ns: int, end_ns: int) -> list[str]:
    y = HEIGHT + 8
    scale = (WIDTH - LEFT) / (end_ns - start_ns)
    parts = []
    for one in rhythm:
        colour = UNREADABLE if one.label == "~" else COLOURS.get(one.label, OTHER)
        x, wide = LEFT + (one.start_ns - start_ns) * scale, (one.end_ns - one.start_ns) * scale
        name = RHYTHMS[one.label].full
        parts.append(
            f'<rect x="{x:.1f}" y="{y}" width="{max(wide, 0.8):.1f}" height="{BAND}" fill="{colour}" aria-label="{name}"/>'
        )
        if wide > 60:
            parts.append(f'<text x="{x + 4:.1f}" y="{y + 11}">{name}</text>')
    return parts


def _svg(width: int, height: int, title: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{title}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="10" fill="#222">{"".join(parts)}</svg>'
    )
