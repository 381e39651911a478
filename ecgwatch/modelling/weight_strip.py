"""Signal with the weights of a network's answer below it, as inline SVG."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

WIDTH, LEFT, TRACE, ROW = 1150, 130, 160, 26
INK, FOR, AGAINST = "#111111", "#c0392b", "#3b6ea5"


def weight_strip(title: str, signal: Floats, weights: Mapping[str, Floats]) -> str:
    """Draw the samples (n,) and a row of equal parts for each explanation, oldest first; the
    darker, the greater the weight; negative weights in blue."""
    height = TRACE + ROW * len(weights) + 10
    parts = [_trace(signal)]
    for i, (name, values) in enumerate(weights.items()):
        parts.append(_row(name, values, TRACE + i * ROW))
    return (
        f'<figure class="wide"><figcaption>{escape(title)}</figcaption>'
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="12" fill="{INK}">'
        f"{''.join(parts)}</svg></figure>"
    )


def _trace(signal: Floats) -> str:
    low, high = float(signal.min()), float(signal.max())
    x = LEFT + np.arange(len(signal)) * (WIDTH - LEFT) / len(signal)
    y = 10 + (high - signal) / max(high - low, 1e-6) * (TRACE - 25)
    points = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, y, strict=True))
    return f'<polyline points="{points}" fill="none" stroke="{INK}"/>'


def _row(name: str, values: Floats, top: int) -> str:
    wide = (WIDTH - LEFT) / len(values)
    most = max(float(np.abs(values).max()), 1e-9)
    boxes = "".join(
        f'<rect x="{LEFT + i * wide:.1f}" y="{top}" width="{wide + 0.3:.1f}" height="{ROW - 6}" '
        f'fill="{FOR if value >= 0 else AGAINST}" fill-opacity="{abs(value) / most:.2f}"/>'
        for i, value in enumerate(values.tolist())
    )
    return f'<text x="0" y="{top + 14}">{escape(name)}</text>{boxes}'
