"""Train and judge the readability of models/signal/quality.py: `python -m models.training.quality`.

Data: the leads of cinc2011 that people have graded (PER_LEAD.csv), and the seconds of
motion_artefact whose last 4 s have grade 4 (not readable) or 1 and 2 (readable). Judged by
cross-validation over patients: FOLDS folds, two seeds; the weights that ship learn from all.
"""

from __future__ import annotations

import argparse
import csv
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import wfdb
from scipy.optimize import minimize

from ingest.sources.wfdb_record import WfdbSource
from models.signal import quality
from models.signal.conditioning import FS_HZ, condition
from models.signal.movement import movement
from models.signal.windows import RECENT

FOLDS, SEEDS = 6, (0, 1)
PENALTY = 1.0  # of squared weights
GOOD = 2.0  # weight of a readable second of motion_artefact: calling one unreadable costs more
FLOOR_S = RECENT // FS_HZ
Doubles = npt.NDArray[np.float64]


class Graded(NamedTuple):
    """Seconds of one lead."""

    patient: str
    found: Doubles  # (n, FEATURES)
    bad: Doubles  # (n,) 1 unreadable, 0 readable, NaN not known
    weight: float  # of its seconds


def lead(counts: npt.NDArray[np.int16], fs_hz: float, counts_per_mv: float) -> Doubles:
    """Return the features of each second of a lead from the fourth on (n, FEATURES)."""
    x = condition(counts, fs_hz, counts_per_mv)
    ends = range(RECENT, len(x) + 1, FS_HZ)
    recent = np.stack([x[end - RECENT : end] for end in ends]).astype(np.float32)
    return quality.features(recent, movement(recent))


def cinc2011(folder: Path) -> list[Graded]:
    """Read the graded leads of cinc2011."""
    found = []
    for row in _rows(folder / "PER_LEAD.csv"):
        path = folder / row["record"]
        if not path.with_suffix(".hea").exists():
            continue
        record = wfdb.rdrecord(str(path), physical=False)
        for name, counts, zero, gain in zip(
            record.sig_name, record.d_signal.T, record.baseline, record.adc_gain, strict=True
        ):
            if row.get(name):
                of = lead((counts - zero).astype(np.int16), float(record.fs), gain)
                found.append(Graded(row["record"], of, np.full(len(of), float(row[name])), 1.0))
    return found


def motion_artefact(folder: Path) -> list[Graded]:
    """Read the graded seconds of motion_artefact; its subjects are the patients."""
    found = []
    rows = _rows(folder / "SEGMENTS.csv")
    for name in sorted({row["record"] for row in rows}):
        source = WfdbSource(folder / name)
        counts = np.concatenate([block.counts for block in source.blocks()])
        of = lead(counts, source.fs_hz, source.counts_per_mv)
        grade = np.zeros(len(counts), np.int64)
        own = [row for row in rows if row["record"] == name]
        for row in own:
            grade[int(row["start"]) : int(row["end"])] = int(row["artefact"])
        bad = np.full(len(of), np.nan)
        for k in range(len(of)):
            last = grade[round(k * source.fs_hz) : round((k + FLOOR_S) * source.fs_hz)]
            if len(last) and (last == 4).all():
                bad[k] = 1.0
            elif len(last) and last.min() >= 1 and last.max() <= 2:
                bad[k] = 0.0
        found.append(Graded(own[0]["subject"], of, bad, GOOD))
    return found


def fit(graded: Sequence[Graded]) -> quality.QualityWeights:
    """Fit the logistic regression to these leads."""
    known = [~np.isnan(g.bad) for g in graded]
    found = np.concatenate([g.found[k] for g, k in zip(graded, known, strict=True)])
    bad = np.concatenate([g.bad[k] for g, k in zip(graded, known, strict=True)])
    weight = np.concatenate(
        [np.full(k.sum(), g.weight) for g, k in zip(graded, known, strict=True)]
    )
    mean, deviation = found.mean(axis=0), np.maximum(found.std(axis=0), 1e-6)
    z = np.clip((found - mean) / deviation, -quality.CLIP, quality.CLIP)
    z = np.concatenate([z, np.ones((len(z), 1))], axis=1)

    def loss(w: Doubles) -> tuple[float, Doubles]:
        logit = z @ w
        p = 1 / (1 + np.exp(-logit))
        slope = z.T @ (weight * (p - bad))
        slope[:-1] += PENALTY * w[:-1]
        misses = weight * (np.logaddexp(0, logit) - bad * logit)
        return float(misses.sum() + PENALTY / 2 * np.square(w[:-1]).sum()), slope

    w = minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B").x
    rounded = [np.round(values, 5).tolist() for values in (mean, deviation, w)]
    return quality.QualityWeights(
        list(quality.FEATURES), rounded[0], rounded[1], rounded[2][:-1], rounded[2][-1]
    )


def auc(score: Doubles, bad: Doubles) -> float:
    """Return the area under the ROC curve (Mann-Whitney), ties counted half."""
    _, inverse, counts = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = bad.sum()
    return float((rank[bad == 1].sum() - n * (n + 1) / 2) / (n * (len(bad) - n)))


def folds(graded: Sequence[Graded], seed: int) -> list[int]:
    """Give each lead the fold of its patient."""
    patients = sorted({g.patient for g in graded})
    order = np.random.default_rng(seed).permutation(len(patients))
    of = {patients[i]: place % FOLDS for place, i in enumerate(order.tolist())}
    return [of[g.patient] for g in graded]


def judge(sets: Sequence[Sequence[Graded]], seed: int) -> tuple[list[float], float, float]:
    """Cross-validate: the AUC over the leads of each fold of cinc2011, and over all folds the % of
    known seconds of motion_artefact that are called right, unreadable and readable ones."""
    where = [folds(graded, seed) for graded in sets]
    areas: list[float] = []
    right: tuple[list[float], list[float]] = [], []
    for fold in range(FOLDS):
        w = fit(
            [
                g
                for s, f in zip(sets, where, strict=True)
                for g, k in zip(s, f, strict=True)
                if k != fold
            ]
        )
        leads, motions = (
            [g for g, k in zip(s, f, strict=True) if k == fold]
            for s, f in zip(sets, where, strict=True)
        )
        score = [1 - quality.readable(g.found, w).mean() for g in leads]
        areas.append(auc(np.array(score), np.array([g.bad[0] for g in leads])))
        for g in motions:
            predicted = quality.readable(g.found, w) < 0.5
            right[0].extend(predicted[g.bad == 1].tolist())
            right[1].extend((~predicted[g.bad == 0]).tolist())
    return areas, 100 * statistics.mean(right[0]), 100 * statistics.mean(right[1])


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Judge by cross-validation, then write the weights that ship."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the databases")
    parser.add_argument("--out", type=Path, default=quality.WEIGHTS)
    given = parser.parse_args()
    sets = (cinc2011(given.data / "cinc2011"), motion_artefact(given.data / "motion_artefact"))
    print(f"cinc2011: {len(sets[0])} leads; motion_artefact: {len(sets[1])} recordings")
    for seed in SEEDS:
        areas, bad, good = judge(sets, seed)
        print(
            f"seed {seed}: AUC of cinc2011 leads {statistics.mean(areas):.3f} "
            f"+- {statistics.pstdev(areas):.3f} over {FOLDS} folds of patients; "
            f"motion_artefact, seconds right: grade 4 {bad:.1f} %, grades 1 and 2 {good:.1f} %"
        )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    weights = fit([g for graded in sets for g in graded])
    given.out.write_bytes(msgspec.json.format(msgspec.json.encode(weights), indent=1) + b"\n")
    print(f"wrote {given.out}")


if __name__ == "__main__":
    main()
