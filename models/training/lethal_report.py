"""Tables of T4 over folds, and its calibration: a temperature, fitted on records that the network never saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from models.training.lethal_data import ASYSTOLE, CLASSES, VF, VT
from models.training.lethal_metrics import (
    NEGATIVES,
    Rate,
    Score,
    Seconds,
    asystole,
    by_label,
    episodes,
    false_episodes,
    fibrillation,
    shockable,
    tachycardia,
    windows_rate,
)

THRESHOLD = 0.5
ARRAYS = ("logits", "truth", "label", "steady", "section", "certain")  # of Seconds
TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
BINS = 10  # of confidence


QUESTIONS: tuple[tuple[str, set[int], Score, str], ...] = (
    ("VF or VFL", {VF}, fibrillation, "all"),
    ("VF or VFL", {VF}, fibrillation, "all but doubtful labels"),
    ("VF or VFL", {VF}, fibrillation, "VFDB without noise"),
    ("VF or VFL", {VF}, fibrillation, "all but VT"),
    ("VF or VFL", {VF}, fibrillation, "VT"),
    ("VF, VFL or VT", {VF, VT}, shockable, "all"),
    ("VF, VFL or VT", {VF, VT}, shockable, "VFDB without noise"),
    ("VT", {VT}, tachycardia, "all"),
    ("VT", {VT}, tachycardia, "all but VF"),
    ("asystole", {ASYSTOLE}, asystole, "all"),
)


def calibrate(records: Sequence[Seconds]) -> float:
    """The temperature (Guo et al. 2017, arXiv 1706.04599) with the least cross-entropy; 1 without records.

    One number and no offsets: on patients as few as these, an offset of VF that suits some folds ruins the others.
    """
    return min(TEMPERATURES, key=lambda t: _entropy([tempered(r, t) for r in records])) if records else 1.0


def tempered(record: Seconds, temperature: float) -> Seconds:
    """The record with logits divided by the temperature."""
    return replace(record, logits=np.asarray(record.logits / temperature, np.float32))


def calibration_error(records: Sequence[Seconds]) -> float:
    """Expected calibration error of the likeliest rhythm, in percent: how far confidence is from the share that is right."""
    right = np.concatenate([r.probability[r.steady & r.certain].argmax(axis=1) == r.truth[r.steady & r.certain] for r in records])
    sure = np.concatenate([r.probability[r.steady & r.certain].max(axis=1) for r in records])
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [abs(float(right[bins == b].sum() - sure[bins == b].sum())) for b in range(BINS)]
    return 100 * sum(gaps) / len(sure)


def _entropy(records: Sequence[Seconds]) -> float:
    """Mean over classes of the mean of minus the logarithm of the right class's probability."""
    truth = np.concatenate([r.truth[r.steady & r.certain] for r in records])
    p = np.concatenate([r.probability[r.steady & r.certain] for r in records])
    right = -np.log(np.maximum(p[np.arange(len(p)), truth], 1e-6))
    return float(np.mean([right[truth == c].mean() for c in np.unique(truth)]))


def write_seconds(records: Sequence[Seconds], path: Path) -> None:
    """All records in one file of arrays."""
    table = [[r.name, r.fold, len(r.truth)] for r in records]
    parts = {key: np.concatenate([getattr(r, key) for r in records]) for key in ARRAYS}
    np.savez(path, allow_pickle=False, table=np.array(json.dumps(table)), **parts)


def read_seconds(path: Path) -> list[Seconds]:
    """What write_seconds wrote."""
    with np.load(path) as stored:
        parts = [stored[key] for key in ARRAYS]
        table = json.loads(str(stored["table"]))
    records, at = [], 0
    for name, fold, count in table:
        records.append(Seconds(name, fold, *(part[at : at + count] for part in parts)))
        at += count
    return records


def report(records: Sequence[Seconds], temperatures: Mapping[int, float]) -> str:
    """Everything as markdown."""
    by_fold = [[r for r in records if r.fold == k] for k in temperatures]
    chosen = ", ".join(f"fold {k}: {t}" for k, t in temperatures.items())
    lines = [
        "# Lethal rhythms, cross-validation over patients", "",
        "`python -m models.training.tasks.lethal fold0 fold1 fold2 --report`: MITDB and VFDB, first channel, 4-s windows, threshold 0.5.",
        f"Temperature as it suits the other folds ({chosen}); calibration error {calibration_error(records):.1f} %.", "",
        "| what | against | Se | Sp | Se over folds | Sp over folds | windows of it | windows of others |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(records, by_fold, *question) for question in QUESTIONS), "",
        "| VT episodes of 3 s or more, called | found | of | false, per hour |", "|---|---|---|---|",
        *(_episode_line(records, title, score) for title, score in (("VT", tachycardia), ("VT or VF", shockable))), "",
        "| threshold on VF | Se | Sp | Sp without doubtful labels |", "|---|---|---|---|",
        *(_threshold_line(records, t) for t in (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)), "",
        "| record | fold | label | windows | " + " | ".join(f"called {c}, %" for c in CLASSES) + " |",
        "|---|---|---|---|---|---|---|---|",
        *(line for r in records for line in _record_lines(r)), "",
    ]  # fmt: skip
    return "\n".join(lines)


def _line(records: Sequence[Seconds], by_fold: Sequence[Sequence[Seconds]], title: str, classes: set[int], score: Score, rest: str) -> str:
    def rates(some: Sequence[Seconds]) -> tuple[Rate, Rate]:
        yes = windows_rate(some, classes, score, THRESHOLD, NEGATIVES["all"], True)
        return yes, windows_rate(some, classes, score, THRESHOLD, NEGATIVES[rest], False)

    (se, sp), folds = rates(records), [rates(some) for some in by_fold]
    spread = " | ".join(_spread([pair[i].percent for pair in folds]) for i in (0, 1))
    return f"| {title} | {rest} | {se.percent:.2f} | {sp.percent:.2f} | {spread} | {se.count} | {sp.count} |"


def _spread(values: Sequence[float]) -> str:
    there = [v for v in values if v == v]
    return f"{np.mean(there):.1f} ± {np.std(there):.1f}" if there else "-"


def _episode_line(records: Sequence[Seconds], title: str, score: Score) -> str:
    found, (runs, hours) = episodes(records, score, THRESHOLD), false_episodes(records, score, THRESHOLD)
    return f"| {title} | {found.right} ({found.percent:.1f} %) | {found.count} | {runs / max(hours, 1e-9):.2f} ({runs} in {hours:.1f} h) |"


def _threshold_line(records: Sequence[Seconds], threshold: float) -> str:
    se = windows_rate(records, {VF}, fibrillation, threshold, NEGATIVES["all"], True)
    sp, certain = (windows_rate(records, {VF}, fibrillation, threshold, NEGATIVES[n], False) for n in ("all", "all but doubtful labels"))
    return f"| {threshold} | {se.percent:.2f} | {sp.percent:.2f} | {certain.percent:.2f} |"


def _record_lines(record: Seconds) -> list[str]:
    """A line per label; of records without lethal rhythms only if something is called so."""
    lines = []
    for label, (count, shares) in by_label(record).items():
        if record.name.startswith("vfdb") or label or shares[0] < 0.999:
            called = " | ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {record.name} | {record.fold} | {label or '-'} | {count} | {called} |")
    return lines
