"""Report the performance of the beat head: V and S by record and over all, as ANSI/AAMI EC57 counts
them, with missed beats; and its calibration.

Of V, reference F and Q called V are neither; of S, reference Q called S is neither
(stream_processor/scoring/beats.py). The first five minutes are left out, paced records are left out
of the sums.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.signal.conditioning import FS_HZ
from models.training.tasks.beat_class.beats import BIT, EXTRA, UNKNOWN, AnnotatedBeats, S, V

PACED = {"mitdb/102", "mitdb/104", "mitdb/107", "mitdb/217"}
LEARNING = 300 * FS_HZ
NEUTRAL = {"V": (BIT["F"], BIT["Q"]), "S": (BIT["Q"],)}
INDEX = {"V": V, "S": S}
Count = tuple[int, int, int]  # found, missed, false


@dataclass(frozen=True)
class ReportVerdict:
    """A network's answers for one track: probabilities and classes."""

    track: AnnotatedBeats
    probability: npt.NDArray[np.float64]  # (n, 5)
    called: npt.NDArray[np.intp]  # (n,)


def count(verdict: ReportVerdict, letter: str) -> Count:
    """Found, missed and false beats of a class."""
    t = verdict.track
    later, ours = t.at >= LEARNING, verdict.called == INDEX[letter]
    is_it = t.allowed == BIT[letter]
    other = ~is_it & (t.allowed != UNKNOWN) & ~np.isin(t.allowed, NEUTRAL[letter])
    lost = sum(c == letter and at >= LEARNING for c, at in zip(t.missed, t.missed_at, strict=True))
    return (
        int((later & is_it & ours).sum()),
        int((later & is_it & ~ours).sum()) + lost,
        int((later & other & ours).sum()),
    )


def total(counts: Sequence[Count]) -> Count:
    """Sums."""
    found, missed, false = (sum(c[i] for c in counts) for i in range(3))
    return found, missed, false


def found_beats(verdict: ReportVerdict) -> Count:
    """Found, missed and false QRS complexes."""
    t = verdict.track
    later = t.at >= LEARNING
    lost = int((t.missed_at >= LEARNING).sum())
    return (
        int((later & (t.allowed != UNKNOWN) & (t.allowed != EXTRA)).sum()),
        lost,
        int((later & (t.allowed == EXTRA)).sum()),
    )


def by_fold(verdicts: Sequence[ReportVerdict]) -> dict[str, list[float]]:
    """One value per fold, %: F1 of QRS, Se and +P of V and S (without paced records)."""
    results: dict[str, list[float]] = {}
    for fold in sorted({v.track.fold for v in verdicts}):
        mine = [v for v in verdicts if v.track.fold == fold]
        found, missed, false = total([found_beats(v) for v in mine])
        results.setdefault("QRS F1, %", []).append(200 * found / max(1, 2 * found + missed + false))
        for name, value in class_figures([v for v in mine if v.track.patient not in PACED]).items():
            results.setdefault(name, []).append(value)
    return results


def class_figures(verdicts: Sequence[ReportVerdict]) -> dict[str, float]:
    """Se and +P of V and S, %."""
    results = {}
    for letter in "VS":
        found, missed, false = total([count(v, letter) for v in verdicts])
        results[f"{letter} Se, %"] = float(100 * found / max(1, found + missed))
        results[f"{letter} +P, %"] = float(100 * found / max(1, found + false))
    return results


def rates(c: Count) -> str:
    """Se and +P, %."""
    found, missed, false = c
    se = f"{100 * found / (found + missed):.1f}" if found + missed else "-"
    ppv = f"{100 * found / (found + false):.1f}" if found + false else "-"
    return f"{se} / {ppv}"


def calibration_error(
    verdicts: Sequence[ReportVerdict], bins: int = 15
) -> tuple[float, list[tuple[float, float, int]]]:
    """Expected calibration error (Guo et al. 2017, arXiv 1706.04599) of the likeliest class, and
    per bin its mean probability, its accuracy, and the number of beats."""
    sure, right = [], []
    for v in verdicts:
        known = np.isin(v.track.allowed, list(BIT.values()))
        sure.append(v.probability[known].max(axis=1))
        right.append((v.track.allowed[known] >> v.probability[known].argmax(axis=1)) & 1)
    p, ok = np.concatenate(sure), np.concatenate(right)
    which = np.minimum((p * bins).astype(int), bins - 1)
    rows = [
        (float(p[which == b].mean()), float(ok[which == b].mean()), int((which == b).sum()))
        for b in range(bins)
        if (which == b).any()
    ]
    return sum(n * abs(a - b) for a, b, n in rows) / len(p), rows


def report(by_seed: Mapping[int, Sequence[ReportVerdict]]) -> str:
    """Tables in Markdown: over all by seed and fold, by record for the first seed, reliability."""
    lines = ["| seed | fold | V Se / +P | S Se / +P |", "|---|---|---|---|"]
    for seed, verdicts in by_seed.items():
        for fold in [0, 1, 2, None]:
            mine = [
                v
                for v in verdicts
                if v.track.patient not in PACED and (fold is None or v.track.fold == fold)
            ]
            results = [rates(total([count(x, letter) for x in mine])) for letter in "VS"]
            lines.append(f"| {seed} | {'all' if fold is None else fold} | {' | '.join(results)} |")
    first = next(iter(by_seed.values()))
    lines += [
        "",
        "| record | V Se / +P | found, missed, false | S Se / +P | found, missed, false |",
        "|---|---|---|---|---|",
    ]
    for x in first:
        v, s = count(x, "V"), count(x, "S")
        lines.append(
            f"| {x.track.name[6:]} | {rates(v)} | {v[0]}, {v[1]}, {v[2]} | {rates(s)} | {s[0]}, {s[1]}, {s[2]} |"
        )
    error, rows = calibration_error(first)
    lines += [
        "",
        f"Expected calibration error {100 * error:.2f} %.",
        "",
        "| probability | right | beats |",
        "|---|---|---|",
    ]
    lines += [f"| {p:.3f} | {ok:.3f} | {n} |" for p, ok, n in rows]
    return "\n".join(lines)
