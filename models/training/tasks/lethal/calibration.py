"""Calibrate T4, the lethal rhythms: a temperature and a threshold on VF, each chosen on patients
that the network never saw.

The threshold follows the clinical cost: a missed VF, or one labelled VT, costs more than a VT
labelled VF, so the likeliest class is not the best decision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from models.training.data.lethal_data import VF
from models.training.data.records import Floats
from models.training.tasks.lethal.metrics import Seconds, over_four

TEMPERATURES = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8)
THRESHOLDS = (0.02, 0.03, 0.05, 0.07, 0.1, 0.12, 0.15, 0.17, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5)
FOUND = 0.92  # of the windows of a patient with VF or flutter, on average: the required sensitivity
BINS = 10


def calibrate(records: Sequence[Seconds]) -> float:
    """The temperature (Guo et al. 2017, arXiv 1706.04599) with the least cross-entropy; 1 without
    records.

    One number and no offsets: on patients as few as these, an offset of VF that suits some folds
    ruins the others.
    """
    return (
        min(TEMPERATURES, key=lambda t: _entropy([tempered(r, t) for r in records]))
        if records
        else 1.0
    )


def temperatures(by_fold: Mapping[int, Sequence[Seconds]]) -> dict[int, float]:
    """Return the temperature of each fold's network, by the patients of the other folds."""
    return {
        fold: calibrate([s for other in by_fold if other != fold for s in by_fold[other]])
        for fold in by_fold
    }


def tempered(record: Seconds, temperature: float) -> Seconds:
    """Return the record with its logits divided by the temperature."""
    return replace(record, logits=np.asarray(record.logits / temperature, np.float32))


def decision_threshold(records: Sequence[Seconds]) -> float:
    """The highest of THRESHOLDS that finds FOUND of VF or flutter, the lowest if none does; 0.5
    without any.

    Patients count evenly: one of six has half of all windows.
    """
    scores = [over_four(r.probability)[r.steady & (r.truth == VF), VF] for r in records]
    patients = [score for score in scores if len(score)]
    if not patients:
        return 0.5
    enough = [t for t in THRESHOLDS if np.mean([(score > t).mean() for score in patients]) >= FOUND]
    return max(enough, default=min(THRESHOLDS))


def calibration_error(records: Sequence[Seconds]) -> float:
    """Expected calibration error of the likeliest rhythm, in percent: the distance of the
    confidence from the accuracy."""
    p, truth = _certain(records)
    rows = _bins(p.max(axis=1), (p.argmax(axis=1) == truth).astype(np.float32))
    return 100 * sum(count * abs(predicted - was) for predicted, was, count in rows) / len(truth)


def reliability(
    records: Sequence[Seconds], classes: Sequence[int]
) -> list[tuple[float, float, int]]:
    """Seconds by the probability of being one of `classes`: its mean in each tenth, the share that
    is one, how many seconds."""
    p, truth = _certain(records)
    return _bins(p[:, list(classes)].sum(axis=1), np.isin(truth, classes).astype(np.float32))


def _bins(p: Floats, yes: Floats) -> list[tuple[float, float, int]]:
    which = np.minimum((p * BINS).astype(int), BINS - 1)
    inside = [which == b for b in range(BINS) if (which == b).any()]
    return [(float(p[some].mean()), float(yes[some].mean()), int(some.sum())) for some in inside]


def _certain(records: Sequence[Seconds]) -> tuple[Floats, npt.NDArray[np.int8]]:
    """Probabilities (n, 4) and classes (n,) of the seconds whose label is steady and not doubtful."""
    some = [r.steady & r.certain for r in records]
    p = np.concatenate([r.probability[s] for r, s in zip(records, some, strict=True)])
    return p, np.concatenate([r.truth[s] for r, s in zip(records, some, strict=True)])


def _entropy(records: Sequence[Seconds]) -> float:
    """Mean over classes of the mean of minus the logarithm of the right class's probability."""
    p, truth = _certain(records)
    right = -np.log(np.maximum(p[np.arange(len(p)), truth], 1e-6))
    return float(np.mean([right[truth == c].mean() for c in np.unique(truth)]))
