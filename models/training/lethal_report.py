"""Tables of T4 over folds, and its calibration: temperature and one offset per class, fitted on records that the network never saw."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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
SPECIFICITY = 98.0  # percent, of VF and flutter against all else over 4 s: where calibration puts 0.5
ARRAYS = ("logits", "truth", "label", "steady", "section")  # of Seconds
TEMPERATURES = (0.7, 1.0, 1.4, 2.0, 2.8)


@dataclass(frozen=True)
class Calibration:
    """Calibrated logits are (logits + bias) / temperature."""

    temperature: float
    bias: tuple[float, ...]

    def apply(self, record: Seconds) -> Seconds:
        """The record with calibrated logits."""
        return replace(record, logits=np.asarray((record.logits + np.array(self.bias)) / self.temperature, np.float32))


AS_IT_IS = Calibration(1.0, (0.0,) * len(CLASSES))
QUESTIONS: tuple[tuple[str, set[int], Score, str], ...] = (
    ("VF or VFL", {VF}, fibrillation, "all"),
    ("VF or VFL", {VF}, fibrillation, "VFDB without noise"),
    ("VF or VFL", {VF}, fibrillation, "neither VT"),
    ("VF or VFL", {VF}, fibrillation, "VT"),
    ("VF, VFL or VT", {VF, VT}, shockable, "all"),
    ("VF, VFL or VT", {VF, VT}, shockable, "VFDB without noise"),
    ("VT", {VT}, tachycardia, "all"),
    ("asystole", {ASYSTOLE}, asystole, "all"),
)


def calibrate(records: Sequence[Seconds]) -> Calibration:
    """The offset of VF that keeps SPECIFICITY at 0.5, and the temperature with the least cross-entropy of VF beside it."""
    if not records:
        return AS_IT_IS
    best = (np.inf, AS_IT_IS)
    for temperature in TEMPERATURES:
        low, high = -8.0, 8.0
        for _ in range(12):
            bias = (low + high) / 2
            some = [_offset(temperature, bias).apply(r) for r in records]
            specific = windows_rate(some, {VF}, fibrillation, THRESHOLD, NEGATIVES["all"], False).percent >= SPECIFICITY
            low, high = (bias, high) if specific else (low, bias)
        chosen = _offset(temperature, low)
        best = min(best, (_entropy([chosen.apply(r) for r in records]), chosen), key=lambda pair: pair[0])
    return best[1]


def _offset(temperature: float, bias: float) -> Calibration:
    return Calibration(temperature, tuple(bias if c == VF else 0.0 for c in range(len(CLASSES))))


def _entropy(records: Sequence[Seconds]) -> float:
    """Mean over classes of the mean of minus the logarithm of the right class's probability."""
    truth = np.concatenate([r.truth[r.steady] for r in records])
    p = np.concatenate([r.probability[r.steady] for r in records])
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
        logits, truth, label, steady, section = (part[at : at + count] for part in parts)
        records.append(Seconds(name, fold, logits, truth, label, steady, section))
        at += count
    return records


def report(records: Sequence[Seconds], calibrations: Mapping[int, Calibration]) -> str:
    """Everything as markdown."""
    by_fold = [[r for r in records if r.fold == k] for k in calibrations]
    offsets = "; ".join(f"fold {k}: T {c.temperature}, VF {c.bias[VF]:+.2f}" for k, c in calibrations.items())
    lines = [
        "# Lethal rhythms, cross-validation over patients", "",
        "`python -m models.training.tasks.lethal fold0 fold1 fold2 --report`: MITDB and VFDB, first channel, 4-s windows, threshold 0.5.",
        f"Calibrated on the other folds ({offsets}).", "",
        "| what | against | Se | Sp | Se over folds | Sp over folds | windows of it | windows of others |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(records, by_fold, *question) for question in QUESTIONS), "",
        "| VT episodes of 3 s or more, called | found | of | false, per hour |", "|---|---|---|---|",
        *(_episode_line(records, title, score) for title, score in (("VT", tachycardia), ("VT or VF", shockable))), "",
        "| threshold on VF | Se | Sp |", "|---|---|---|",
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
    sp = windows_rate(records, {VF}, fibrillation, threshold, NEGATIVES["all"], False)
    return f"| {threshold} | {se.percent:.2f} | {sp.percent:.2f} |"


def _record_lines(record: Seconds) -> list[str]:
    """A line per label; of records without lethal rhythms only if something is called so."""
    lines = []
    for label, (count, shares) in by_label(record).items():
        if record.name.startswith("vfdb") or label or shares[0] < 0.999:
            called = " | ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {record.name} | {record.fold} | {label or '-'} | {count} | {called} |")
    return lines
