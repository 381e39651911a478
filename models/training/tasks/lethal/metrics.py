"""Measure the detection of lethal rhythms in whole records, through the windows of the stream: by
seconds, four seconds and episodes.

Four seconds are counted if the reference has one label over all of them; their probability is
the mean over their seconds, as the alarms take it. An episode of ventricular tachycardia is a
section so labelled of at least EPISODE_S; it is found where a second in it, or up to two after it,
is called VT by the mean over up to four seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.signal.windows import BEAT_SPEC
from models.training.data.lethal_data import ASYSTOLE, CLASSES, VF, VT, WINDOWS, LethalStrip
from models.training.data.records import Floats
from models.training.tasks.qrs.metrics import window_ends

EPISODE_S = 3.0
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Seconds:
    """A record's seconds with their probabilities and reference labels."""

    name: str
    fold: int
    logits: Floats  # (n, 4)
    truth: npt.NDArray[np.int8]  # (n,) class; -1 if it changes within the second
    label: npt.NDArray[np.str_]  # (n,)
    steady: Bools  # (n,) this second and the three before it have one label throughout
    section: npt.NDArray[np.int64]  # (n,) which section of the reference the middle lies in
    certain: Bools  # (n,) True if training accepts only this label

    @property
    def probability(self) -> Floats:
        """(n, 4)."""
        odds = np.exp(self.logits - self.logits.max(axis=1, keepdims=True))
        return np.asarray(odds / odds.sum(axis=1, keepdims=True), np.float32)


def seconds(strip: LethalStrip, logits: Floats, fold: int) -> Seconds:
    """Put the answers of a record's windows (windows, 4) beside its reference; what lies outside
    the record is dropped."""
    starts = window_ends(strip.signal.shape[1]) - BEAT_SPEC.after - BEAT_SPEC.hop
    inside = (starts >= 0) & (starts + BEAT_SPEC.hop <= strip.signal.shape[1])
    starts, logits = starts[inside], logits[inside]
    # (n,) sections before each sample
    changed = np.concatenate([[0], np.cumsum(np.diff(strip.label) != 0)])
    last = starts + BEAT_SPEC.hop - 1
    pure = changed[starts] == changed[last]
    four = np.maximum(starts - (WINDOWS - 1) * BEAT_SPEC.hop, 0)
    steady = (changed[four] == changed[last]) & (np.arange(len(starts)) >= WINDOWS - 1)
    middle = starts + BEAT_SPEC.hop // 2
    truth = np.where(pure, strip.truth[middle], -1).astype(np.int8)
    label = np.array(strip.labels)[strip.label[middle]]
    certain = np.isin(strip.allowed[middle], [1 << c for c in range(len(CLASSES))])
    return Seconds(
        strip.name, fold, logits, truth, label, steady & (truth >= 0), changed[middle], certain
    )


def over_four(p: Floats) -> Floats:
    """Mean over each second and the up to three before it: (n, K)."""
    total = np.cumsum(p, axis=0, dtype=np.float64)
    total[WINDOWS:] -= total[:-WINDOWS].copy()
    return np.asarray(total / np.minimum(np.arange(len(p)) + 1, WINDOWS)[:, None], np.float32)


@dataclass(frozen=True)
class Rate:
    """Yes and no answers among windows that should be yes (or no)."""

    right: int
    count: int

    @property
    def percent(self) -> float:
        """Percentage of right windows; NaN if there are none."""
        return 100 * self.right / self.count if self.count else float("nan")


# probabilities (n, 4) to the value that is compared with the threshold (n,)
Score = Callable[[Floats], Floats]
Chosen = Callable[[Seconds], Bools]


def fibrillation(p: Floats) -> Floats:
    """Return the probability of VF or flutter: (n, 4) to (n,)."""
    return p[:, VF]


def shockable(p: Floats) -> Floats:
    """Return the probability of VF, flutter or VT: (n, 4) to (n,)."""
    return p[:, VF] + p[:, VT]


def tachycardia(p: Floats) -> Floats:
    """Return the probability of VT: (n, 4) to (n,)."""
    return p[:, VT]


def asystole(p: Floats) -> Floats:
    """Return the probability of asystole: (n, 4) to (n,)."""
    return p[:, ASYSTOLE]


NEGATIVES: dict[str, Chosen] = {
    "all": lambda s: np.ones(len(s.truth), bool),
    "VFDB without noise": lambda s: (s.label != "NOISE") & s.name.startswith("vfdb"),
    "all but doubtful labels": lambda s: s.certain,
    "all but VT": lambda s: s.truth != VT,
    "all but VF": lambda s: s.truth != VF,
    "VT": lambda s: s.truth == VT,
}


def windows_rate(
    records: Sequence[Seconds],
    classes: set[int],
    score: Score,
    threshold: float,
    chosen: Chosen,
    positive: bool,
) -> Rate:
    """Rate of right answers among the 4-s windows that are (or are not) of these classes."""
    right = count = 0
    for record in records:
        of = np.isin(record.truth, list(classes)) == positive
        some = record.steady & of & chosen(record)
        yes = score(over_four(record.probability))[some] > threshold
        right += int((yes == positive).sum())
        count += int(some.sum())
    return Rate(right, count)


def episodes(records: Sequence[Seconds], score: Score, threshold: float) -> Rate:
    """Rate of detected episodes of VT."""
    found = count = 0
    for record in records:
        yes = score(over_four(record.probability)) > threshold
        for section in np.unique(record.section[record.truth == VT]):
            inside = np.flatnonzero(record.section == section)
            if len(inside) >= EPISODE_S:
                count += 1
                found += bool(yes[inside[0] : inside[-1] + 3].any())
    return Rate(found, count)


def false_episodes(records: Sequence[Seconds], score: Score, threshold: float) -> tuple[int, float]:
    """Runs of seconds called so, more than 5 s from any VT or VF, and the hours that they were
    counted in."""
    runs, hours = 0, 0.0
    for record in records:
        lethal = np.isin(record.truth, [VT, VF]) | (record.truth < 0)
        near = np.convolve(lethal, np.ones(11), "same") > 0
        yes = (score(over_four(record.probability)) > threshold) & ~near
        runs += int((np.diff(yes.astype(int), prepend=0) == 1).sum())
        hours += float((~near).sum()) / 3600
    return runs, hours


def by_label(record: Seconds) -> dict[str, tuple[int, list[float]]]:
    """Per label: its 4-s windows, and the share of them in which each class is the likeliest."""
    mean = over_four(record.probability)
    table = {}
    for label in np.unique(record.label[record.steady]):
        likeliest = mean[record.steady & (record.label == label)].argmax(axis=1)
        table[str(label)] = (
            len(likeliest),
            [float((likeliest == c).mean()) for c in range(mean.shape[1])],
        )
    return table
