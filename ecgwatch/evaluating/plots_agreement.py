"""Plots of how two sides agree, as inline SVG: a confusion matrix, and heart rates after Bland and
Altman."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape

from ecgwatch.evaluating.plots import BLUE, GREY, LEFT, RED, RIGHT, WIDTH, drawing
from stream_processor.scoring.rates import RatePair

CELL, CELL_HEIGHT, HEAD = 74, 26, 30
# Points are counted in cells: a page with every second of a database would be megabytes.
RATE_BPM, ERROR_BPM, MOST_ERROR_BPM = 5, 2, 40
LIMITS_OF_AGREEMENT = 1.96  # standard deviations: 95 % of normally distributed differences


def confusion(
    title: str, labels: Sequence[str], counts: Mapping[tuple[str, str], float], unit: str
) -> str:
    """A matrix: rows are the reference's labels, columns ours. The shade of a cell is its share of
    its row; the number is the count, with the share beneath the pointer."""
    parts = [
        f'<text x="{LEFT + i * CELL + CELL / 2:.0f}" y="22" text-anchor="middle">{escape(label)}</text>'
        for i, label in enumerate(labels)
    ]
    for j, true in enumerate(labels):
        whole = sum(counts.get((true, ours), 0.0) for ours in labels)
        y = HEAD + j * CELL_HEIGHT
        parts.append(
            f'<text x="{LEFT - 6}" y="{y + 17}" text-anchor="end">{escape(true)} ({whole:,.0f})</text>'
        )
        for i, ours in enumerate(labels):
            n = counts.get((true, ours), 0.0)
            share = n / whole if whole else 0.0
            colour, ink = (BLUE if true == ours else RED), "#ffffff" if share > 0.5 else "#222222"
            x = LEFT + i * CELL
            said = f"{escape(true)} called {escape(ours)}: {n:,.0f} {unit}, {share:.1%}"
            parts.append(
                f'<g><title>{said}</title><rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL_HEIGHT - 2}" fill="#f4f4f4"/>'
                f'<rect x="{x}" y="{y}" width="{CELL - 2}" height="{CELL_HEIGHT - 2}" fill="{colour}" fill-opacity="{share:.3f}"/>'
                + (
                    f'<text x="{x + CELL / 2 - 1:.0f}" y="{y + 17}" text-anchor="middle" fill="{ink}">{n:,.0f}</text></g>'
                    if n
                    else "</g>"
                )
            )
    axes = f"{unit}; rows: reference, columns: ours; shade: share of the row"
    width = max(WIDTH, LEFT + len(labels) * CELL)
    return drawing(f"{title} ({axes})", HEAD + len(labels) * CELL_HEIGHT, parts, width)


def bland_altman(title: str, pairs: Sequence[RatePair]) -> str:
    """Differences of heart rates (ours - reference) over their means, as counts of seconds, with
    the mean difference and the limits of agreement (Bland and Altman 1986, DOI
    10.1016/S0140-6736(86)90837-8). Differences beyond 40 bpm are drawn at the edge."""
    errors = [p.ours - p.reference for p in pairs]
    bias, spread = statistics.fmean(errors), statistics.pstdev(errors)
    cells = Counter(
        (
            int((p.ours + p.reference) / 2 // RATE_BPM),
            int(max(-MOST_ERROR_BPM, min(MOST_ERROR_BPM, e)) // ERROR_BPM),
        )
        for p, e in zip(pairs, errors, strict=True)
    )
    low = min(x for x, _ in cells) * RATE_BPM
    high = (max(x for x, _ in cells) + 1) * RATE_BPM
    height, top = 300, 12
    wide = (WIDTH - LEFT - RIGHT) / (high - low)
    tall = (height - 50) / (2 * MOST_ERROR_BPM + ERROR_BPM)

    def y_of(error: float) -> float:
        return top + (MOST_ERROR_BPM + ERROR_BPM - error) * tall

    most = max(cells.values())
    parts = [
        f'<rect x="{LEFT + (x * RATE_BPM - low) * wide:.1f}" y="{y_of((y + 1) * ERROR_BPM):.1f}" width="{RATE_BPM * wide:.1f}" '
        f'height="{ERROR_BPM * tall:.1f}" fill="{BLUE}" fill-opacity="{0.15 + 0.85 * (n / most) ** 0.3:.2f}"><title>{n} s</title></rect>'
        for (x, y), n in sorted(cells.items())
    ]
    for error, text in (
        (bias, f"mean {bias:+.2f}"),
        (
            bias + LIMITS_OF_AGREEMENT * spread,
            f"+1.96 SD {bias + LIMITS_OF_AGREEMENT * spread:+.1f}",
        ),
        (
            bias - LIMITS_OF_AGREEMENT * spread,
            f"-1.96 SD {bias - LIMITS_OF_AGREEMENT * spread:+.1f}",
        ),
    ):
        if abs(error) > MOST_ERROR_BPM:
            continue
        y, end = y_of(error), WIDTH - RIGHT
        dash = "" if error == bias else ' stroke-dasharray="5 3"'
        # the three lines are close together if the heart rate is good: the words stand apart
        shift = 4 if error == bias else -6 if error > bias else 14
        parts.append(
            f'<path d="M{LEFT} {y:.1f}H{end}" stroke="{RED}"{dash}/><text x="{end + 4}" y="{y + shift:.1f}">{text}</text>'
        )
    for error in (-MOST_ERROR_BPM, -20, 0, 20, MOST_ERROR_BPM):
        y = y_of(error)
        parts.append(
            f'<path d="M{LEFT - 4} {y:.1f}H{LEFT}" stroke="{GREY}"/><text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{error:+d}</text>'
        )
    for rate in range(low + -low % 20, high + 1, 20):
        x = LEFT + (rate - low) * wide
        parts.append(f'<text x="{x:.1f}" y="{height - 16}" text-anchor="middle">{rate}</text>')
    axes = f"ours - reference, bpm, over their mean; {len(pairs):,} s, the darker the more"
    return drawing(f"{title} ({axes})", height, parts, WIDTH + 60)
