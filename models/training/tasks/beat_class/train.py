"""Train the beat head (models/architectures/beat_head.py), and judge it by cross-validation over
patients.

A network is HEADS heads, each with its own seed and draw of the scenarios, because a draw changes
figures of V by some points; their logits are averaged, and then the beats of a morphology vote
(models/beats/votes.py). Loss: cross-entropy against the set of classes that the reference allows
(models/training/tasks/beat_class/beats.py). Probabilities are corrected afterwards for the
frequency of drawing each class, and by a temperature fitted on patients of the training folds that
a network left out; the class of a beat is decided without the correction, so that rare classes are
found, and with the offsets LEAN, which were chosen on such patients too. No network is trained on
the patients of its own fold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.architectures.beat_head import CLASSES, HEADS, BeatHead, BeatHeads
from models.beats import votes
from models.beats.templates import MatchedBeats
from models.signal.stage import Table
from models.training.data.beat_scenarios import unlabelled
from models.training.harness import TrainingPlan, train
from models.training.tasks.beat_class.beats import AnnotatedBeats
from models.training.tasks.beat_class.examples import BeatExamples, Known
from models.training.tasks.beat_class.export import Calibrated, export
from models.training.tasks.beat_class.report import PACED, ReportVerdict

PLAN = TrainingPlan(epochs=4, steps=300, batch=256, peak_rate=4e-3, weight_decay=0.02)
FOLDS = 3
# offsets when a class is decided: without them S and V are missed more often than falsely detected
LEAN = np.array([0.0, 0.5, 0.5, 0.0, 0.0])
TEMPERATURES = tuple(np.geomspace(0.5, 4.0, 25).tolist())


def fit(
    held: Sequence[Known], name: str, seed: int, runs: Path
) -> tuple[BeatHeads, npt.NDArray[np.float64]]:
    """Train HEADS heads on these tracks, or go on from runs/NAME-drawD.pt. Returns them and the
    surplus of their training classes."""
    heads, surplus = list[BeatHead](), []
    for draw in range(HEADS * (seed - 1) + 1, HEADS * seed + 1):
        examples = BeatExamples(held, draw)
        surplus.append(examples.surplus())
        torch.manual_seed(draw)
        heads.append(BeatHead())
        train(heads[-1], examples, replace(PLAN, seed=draw), runs / f"{name}-draw{draw}.pt")
    return BeatHeads(heads).eval(), np.mean(surplus, axis=0)


def logits_of(
    net: nn.Module, prior: npt.NDArray[np.float64], held: Sequence[Known]
) -> list[npt.NDArray[np.float64]]:
    """Logits of each track's beats, corrected to the real class frequencies, after the vote of
    their morphologies: (n, 5)."""
    with torch.no_grad():
        return [
            voted(k.seen, net(torch.from_numpy(k.seen.features)[:, None]).double().numpy() - prior)
            for k in held
        ]


def voted(seen: MatchedBeats, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The logits (n, 5) of a whole track, each beat after the vote of those before it."""
    state = Table(**votes.FIELDS)
    row = np.array([state.open()], dtype=np.intp)
    beats = (slice(i, i + 1) for i in range(len(logits)))
    return np.concatenate(
        [votes.vote(state, row, seen.slot[i], seen.like[i], logits[i]) for i in beats]
    )


def temperatures(held: Sequence[Known], seed: int, runs: Path) -> list[float]:
    """Return the temperature of each fold's network, found without its patients: networks of one of
    the other folds, judged by patients of the other one."""
    judged: dict[int, tuple[list[AnnotatedBeats], list[npt.NDArray[np.float64]]]] = {
        fold: ([], []) for fold in range(FOLDS)
    }
    for learned in range(FOLDS):
        net, prior = fit(
            [k for k in held if k.track.fold in (learned, -1)], f"only{learned}", seed, runs
        )
        for judge in set(range(FOLDS)) - {learned}:
            left = [k for k in judges(held, judge) if k.track.patient not in PACED]
            tracks, logits = judged[FOLDS - learned - judge]  # 0 + 1 + 2: the fold that is neither
            tracks += [k.track for k in left]
            logits += logits_of(net, prior, left)
    return [best(*judged[fold]) for fold in range(FOLDS)]


def judges(held: Sequence[Known], fold: int | None) -> list[Known]:
    """The fold's tracks of MITDB as they were recorded, which judge its network."""
    return [
        k
        for k in held
        if k.track.fold == fold and k.track.clean and k.track.name.startswith("mitdb")
    ]


def best(tracks: Sequence[AnnotatedBeats], logits: Sequence[npt.NDArray[np.float64]]) -> float:
    """The temperature of the highest likelihood."""
    allowed = np.concatenate([t.allowed for t in tracks])
    labelled = ~unlabelled(allowed)
    right, z = (
        ((allowed[labelled, None] >> np.arange(CLASSES)) & 1).argmax(axis=1),
        np.concatenate(logits)[labelled],
    )

    def surprise(temperature: float) -> float:
        scaled = z / temperature
        top = scaled.max(axis=1)
        return float(
            (
                np.log(np.exp(scaled - top[:, None]).sum(axis=1))
                + top
                - scaled[np.arange(len(z)), right]
            ).mean()
        )

    return min(TEMPERATURES, key=surprise)


class Fold(NamedTuple):
    """A network, the surplus of its training classes, and the records that judge it."""

    net: BeatHeads
    prior: npt.NDArray[np.float64]
    left: list[Known]

    def verdicts(self, temperature: float) -> list[ReportVerdict]:
        """The network's answers for its records."""
        logits = logits_of(self.net, self.prior, self.left)
        return [
            verdict(k.track, z, temperature, self.prior)
            for k, z in zip(self.left, logits, strict=True)
        ]

    def export(self, temperature: float, folder: Path) -> None:
        """Export the network as an artifact."""
        export(
            Calibrated(self.net, temperature, self.prior.tolist()),
            folder,
            ((self.prior + LEAN) / temperature).tolist(),
        )


def verdict(
    track: AnnotatedBeats,
    logits: npt.NDArray[np.float64],
    temperature: float,
    prior: npt.NDArray[np.float64],
) -> ReportVerdict:
    """Probabilities of one track, and calls: as the network was trained, which favours what is
    rare, with LEAN."""
    z = logits / temperature
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return ReportVerdict(
        track, odds / odds.sum(axis=1, keepdims=True), (logits + prior + LEAN).argmax(axis=1)
    )
