"""The tasks of the continual-learning experiments: decoder, loss, training windows, and figures on
unseen records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import signal as dsp
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.ecgcl_paper import LENGTH, ClassificationDecoder, PaperDecoder, PaperNet
from models.training.data import cinc2017
from models.training.data.records import UNKNOWN
from models.training.experiments.continual_data import (
    CINC_FOLDS,
    FS_HZ,
    MITDB_FOLDS,
    VFDB_FOLDS,
    Draw,
    ExperimentRecords,
    Floats,
    Ints,
    TaskStrip,
    patient_folds,
    scaled,
    window,
)

Doubles = npt.NDArray[np.float64]
Score = dict[str, float]  # percent; "score" is the main figure of the task

QRS_WEIGHT = 2.0  # of a QRS sample in the loss
TOLERANCE = 0.15 * FS_HZ  # between a found and a reference beat
REFRACTORY = int(0.2 * FS_HZ)
THRESHOLD = 0.5
EDGE = 64  # samples at each end of a window whose answer the neighbouring window gives
AT_ONCE = 32  # windows
JUDGED = int(600 * FS_HZ)  # samples of each MITDB record that judge: ten minutes


@dataclass(frozen=True)
class ContinualTask:
    """A task for which a network is trained."""

    name: str
    make: Callable[[], PaperNet]
    draw: Draw
    loss: Callable[[Tensor, Tensor], Tensor]
    judge: Callable[[nn.Module], Score]
    probe: Floats  # (32, LENGTH) windows on which outputs are compared bit by bit


@dataclass(frozen=True)
class Parts:
    """The split into training and test records: fold number `fold` is the test fold, or the fold
    after it while settings are being chosen."""

    fold: int
    validate: bool = False

    def split(
        self, strips: Sequence[TaskStrip], folds: Ints
    ) -> tuple[list[TaskStrip], list[TaskStrip]]:
        """Training and judging strips; the test fold is in neither while settings are being chosen."""
        count = int(folds.max()) + 1
        test = self.fold % count
        judged = (test + 1) % count if self.validate else test
        away = {test, judged}
        train = [s for s, f in zip(strips, folds, strict=True) if f not in away]
        return train, [s for s, f in zip(strips, folds, strict=True) if f == judged]


def qrs(records: ExperimentRecords, parts: Parts) -> ContinualTask:
    """QRS segmentation: MITDB (both channels) and LUDB (12 leads) train, first channels of other
    MITDB patients judge: F1 within 150 ms."""
    train, held_out = parts.split(records.mitdb, patient_folds(records.mitdb, MITDB_FOLDS))
    # the first channel of each record
    judged = list({s.record: s for s in reversed(held_out)}.values())[::-1]
    draw = Draw([*train, *records.ludb], records.noises)
    return ContinualTask(
        "qrs",
        lambda: PaperNet(PaperDecoder, 1),
        draw,
        qrs_loss,
        lambda net: judge_qrs(net, judged),
        _probe(judged),
    )


def rhythm(records: ExperimentRecords, parts: Parts) -> ContinualTask:
    """N, A, O and ~ of CinC 2017; mean F1 of N, A and O on the middle windows of other records."""
    train, judged = _cinc(records.cinc, parts)

    def judge(net: nn.Module) -> Score:
        each = 100 * f1(_labels(judged), _chosen(net, judged), len(cinc2017.CLASSES))
        return {
            "score": float(each[:3].mean()),
            **dict(zip(cinc2017.CLASSES, map(float, each), strict=True)),
        }

    return _classifier("rhythm", len(cinc2017.CLASSES), train, judged, records, judge)


def minority(records: ExperimentRecords, parts: Parts) -> ContinualTask:
    """The rare classes of CinC 2017 alone, A against ~; mean F1 of both."""
    number = {cinc2017.CLASSES.index("A"): 0, cinc2017.CLASSES.index("~"): 1}

    def rare(strips: Sequence[TaskStrip]) -> list[TaskStrip]:
        return [
            TaskStrip(s.record, s.patient, s.signal, number[s.label])
            for s in strips
            if s.label in number
        ]

    train, judged = (rare(strips) for strips in _cinc(records.cinc, parts))

    def judge(net: nn.Module) -> Score:
        each = 100 * f1(_labels(judged), _chosen(net, judged), 2)
        return {"score": float(each.mean()), "A": float(each[0]), "~": float(each[1])}

    return _classifier("minority", 2, train, judged, records, judge)


def lethal(records: ExperimentRecords, parts: Parts) -> ContinualTask:
    """Ventricular fibrillation or flutter against all else, VFDB, windows side by side of other
    patients; mean of Se and Sp."""
    train, held_out = parts.split(records.vfdb, patient_folds(records.vfdb, VFDB_FOLDS))
    judged = [
        TaskStrip(s.record, s.patient, s.signal[a : a + LENGTH], s.label)
        for s in held_out
        if s.record.endswith("/0")
        for a in range(0, len(s.signal) - LENGTH + 1, LENGTH)
    ]

    def judge(net: nn.Module) -> Score:
        truth, chosen = _labels(judged), _chosen(net, judged)
        se, sp = (
            100 * float((chosen[truth == 1] == 1).mean()),
            100 * float((chosen[truth == 0] == 0).mean()),
        )
        return {"score": (se + sp) / 2, "Se": se, "Sp": sp}

    return _classifier("lethal", 2, train, judged, records, judge)


def _cinc(strips: Sequence[TaskStrip], parts: Parts) -> tuple[list[TaskStrip], list[TaskStrip]]:
    return parts.split(strips, cinc2017.folds(_labels(strips), CINC_FOLDS))


def _classifier(
    name: str,
    outputs: int,
    train: list[TaskStrip],
    judged: list[TaskStrip],
    records: ExperimentRecords,
    judge: Callable[[nn.Module], Score],
) -> ContinualTask:
    draw = Draw(train, records.noises)
    return ContinualTask(
        name,
        lambda: PaperNet(ClassificationDecoder, outputs),
        draw,
        functional.cross_entropy,
        judge,
        _probe(judged),
    )


def qrs_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Binary cross-entropy per sample, (B, 1, T) against codes (B, T), for samples that the
    reference covers."""
    known = targets != UNKNOWN
    truth = (targets == 1).float()
    parts = functional.binary_cross_entropy_with_logits(logits.squeeze(1), truth, reduction="none")
    return (parts * known * (1 + (QRS_WEIGHT - 1) * truth)).sum() / known.sum().clamp(min=1)


def outputs(net: nn.Module, windows: Floats) -> Floats:
    """Logits of (B, LENGTH) windows, a few at a time."""
    net.eval()
    with torch.no_grad():
        parts = [
            net(torch.from_numpy(windows[i : i + AT_ONCE, None])).numpy()
            for i in range(0, len(windows), AT_ONCE)
        ]
    return np.concatenate(parts)


def judge_qrs(net: nn.Module, strips: Sequence[TaskStrip]) -> Score:
    """F1, sensitivity and positive predictivity over all beats of the strips; flutter left out."""
    tp = fp = fn = 0
    for strip in strips:
        assert strip.beats is not None
        assert strip.flutter is not None
        found = find_beats(net, strip.signal[:JUDGED])
        reference, found = _outside(strip.beats, strip.flutter), _outside(found, strip.flutter)
        reference = reference[reference < JUDGED]
        hits = matched(reference, found)
        tp, fp, fn = tp + hits, fp + len(found) - hits, fn + len(reference) - hits
    return {
        "score": 200 * tp / max(1, 2 * tp + fp + fn),
        "Se": 100 * tp / max(1, tp + fn),
        "+P": 100 * tp / max(1, tp + fp),
    }


def find_beats(net: nn.Module, signal: Floats) -> Doubles:
    """Samples of the QRS that the network finds in a record, from windows of which only the middle
    is used."""
    step = LENGTH - 2 * EDGE
    padded = np.pad(signal, (EDGE, LENGTH))
    windows = np.stack([padded[a : a + LENGTH] for a in range(0, len(signal), step)])
    logits = outputs(net, scaled(windows))[:, 0, EDGE:-EDGE].reshape(-1)[: len(signal)]
    probability = 1 / (1 + np.exp(-np.clip(logits, -30, 30)))
    smooth = np.convolve(probability, np.ones(5) / 5, mode="same")
    return np.asarray(dsp.find_peaks(smooth, height=THRESHOLD, distance=REFRACTORY)[0], np.float64)


def matched(reference: Doubles, found: Doubles) -> int:
    """Pairs of a reference and a found beat within the tolerance, one to one, in order of time."""
    i = j = pairs = 0
    while i < len(reference) and j < len(found):
        if abs(reference[i] - found[j]) <= TOLERANCE:
            i, j, pairs = i + 1, j + 1, pairs + 1
        elif reference[i] < found[j]:
            i += 1
        else:
            j += 1
    return pairs


def f1(truth: Ints, chosen: Ints, classes: int) -> Doubles:
    """F1 of each class: (classes,)."""
    return np.array(
        [
            2
            * np.sum((truth == c) & (chosen == c))
            / max(1, np.sum(truth == c) + np.sum(chosen == c))
            for c in range(classes)
        ]
    )


def _outside(beats: Doubles, flutter: Doubles) -> Doubles:
    inside = (
        (beats[:, None] >= flutter[:, 0] - TOLERANCE)
        & (beats[:, None] <= flutter[:, 1] + TOLERANCE)
    ).any(axis=1)
    return beats[~inside]


def _middles(strips: Sequence[TaskStrip]) -> Floats:
    return scaled(np.stack([window(s.signal, max(0, len(s.signal) - LENGTH) // 2) for s in strips]))


def _chosen(net: nn.Module, strips: Sequence[TaskStrip]) -> Ints:
    return np.asarray(outputs(net, _middles(strips)).argmax(axis=1), np.int64)


def _labels(strips: Sequence[TaskStrip]) -> Ints:
    return np.array([s.label for s in strips], np.int64)


def _probe(strips: Sequence[TaskStrip]) -> Floats:
    return _middles([strips[i % len(strips)] for i in range(32)])
