"""Small plots as inline SVG: bars, cumulative curves, scatter. Plain attributes, no scripts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, ROW, LEFT, RIGHT = 720, 18, 200, 70
BLUE, RED, GREY, INK = "#3b6ea5", "#c0392b", "#dddddd", "#222222"


class Bar(NamedTuple):
    """A value and the bad part of it."""

    label: str
    value: float
    bad: float = 0.0


def bars(title: str, rows: Sequence[Bar], unit: str, low: float = 0.0) -> str:
    """Horizontal bars from `low` to the largest value, the bad part of each in red."""
    top = max([row.value for row in rows if row.value > low] or [low + 1])
    scale = (WIDTH - LEFT - RIGHT) / (top - low)
    parts = []
    for i, row in enumerate(rows):
        y, length = 10 + i * ROW, max(0.0, row.value - low) * scale
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 11}" text-anchor="end">{escape(row.label)}</text>'
            f'<rect x="{LEFT}" y="{y}" width="{length:.1f}" height="{ROW - 5}" fill="{BLUE}"/>'
            f'<rect x="{LEFT}" y="{y}" width="{min(length, row.bad * scale):.1f}" height="{ROW - 5}" fill="{RED}"/>'
            f'<text x="{LEFT + length + 5:.1f}" y="{y + 11}">{row.value:.2f}</text>'
        )
    return drawing(f"{title} ({unit})", 10 + len(rows) * ROW, parts)


def reached(title: str, values: Sequence[float], limits: Sequence[float], unit: str) -> str:
    """Cumulative distribution of the values, with lines at the limits."""
    ordered, height = sorted(values), 200
    end = max([*ordered, *limits]) * 1.05
    scale = (WIDTH - LEFT - RIGHT) / end

    def at(value: float, share: float) -> str:
        return f"{LEFT + value * scale:.1f} {10 + (1 - share) * (height - 40):.1f}"

    steps = "".join(
        f"L{at(v, i / len(ordered))}L{at(v, (i + 1) / len(ordered))}" for i, v in enumerate(ordered)
    )
    parts = [
        f'<path d="M{at(0, 0)}{steps}L{at(end, 1)}" fill="none" stroke="{BLUE}" stroke-width="2"/>'
    ]
    for limit in limits:
        x = LEFT + limit * scale
        parts.append(
            f'<path d="M{x:.1f} 10V{height - 30}" stroke="{RED}"/><text x="{x + 3:.1f}" y="{height - 34}">{limit:g}</text>'
        )
    for share in (0.0, 0.5, 1.0):
        y = 10 + (1 - share) * (height - 40)
        text = f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{share:.0%}</text>'
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{GREY}"/>{text}')
    return drawing(f"{title} ({unit})", height, parts)


class Point(NamedTuple):
    """A point with a cost and a figure; `best`: no cheaper point is better."""

    label: str
    cost: float
    figure: float
    best: bool


def scatter(title: str, points: Sequence[Point], cost: str, figure: str) -> str:
    """Figures over costs on a logarithmic scale; the best ones are joined by a line."""
    height, bottom = 360, 330
    least, most = (f(max(p.cost, 1e-3) for p in points) for f in (min, max))
    low, high = min(p.figure for p in points), max(p.figure for p in points)
    wide = max(math.log10(most / least), 1e-9)
    tall = max(high - low, 1e-9)

    def at(p: Point) -> tuple[float, float]:
        x = LEFT + math.log10(max(p.cost, 1e-3) / least) / wide * (WIDTH - LEFT - 2 * RIGHT)
        return x, 20 + (high - p.figure) / tall * (bottom - 40)

    front = sorted((p for p in points if p.best), key=lambda p: p.cost)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(at, front))
    parts = [f'<polyline points="{line}" fill="none" stroke="{RED}"/>']
    for p in points:
        x, y = at(p)
        colour = RED if p.best else BLUE
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
            f'<text x="{x + 6:.1f}" y="{y + 4:.1f}">{escape(p.label)}</text>'
        )
    for value in (low, high):
        y = 20 + (high - value) / tall * (bottom - 40)
        parts.append(f'<text x="{LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">{value:.3g}</text>')
    for value, x in ((least, LEFT), (most, WIDTH - 2 * RIGHT)):
        parts.append(f'<text x="{x}" y="{bottom + 14}" text-anchor="middle">{value:.3g}</text>')
    axes = f"{figure} over {cost}, logarithmic"
    return drawing(f"{title} ({axes})", height, parts)


def drawing(title: str, height: float, parts: Sequence[str], width: float = WIDTH) -> str:
    """A drawing under its title."""
    body = "".join(parts)
    return (
        f'<figure><figcaption>{escape(title)}</figcaption><svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{escape(title)}" '
        f'width="{width:.0f}" height="{height + 10:.0f}" font-family="sans-serif" font-size="11" fill="{INK}">{body}</svg></figure>'
    )
