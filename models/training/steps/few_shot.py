"""Siamese few-shot beats: two copies of one network learn whether two beats are of one class; a new
patient's beats get the class of the nearest of a few supports (Vasconcellos et al., IEEE Access
2023; Koch et al. 2015; contrastive loss: Hadsell et al. 2006, DOI 10.1109/CVPR.2006.100).

    python -m models.training.steps.few_shot litenet beat_class --fold 0

Pairs are of two patients always, alike or not: pairs within one patient would teach the patient,
not the class. Supports are of training patients, queries of patients that were never seen.

Differences here: MITDB instead of INCART, one lead, five seconds around a beat, Euclidean distance
of the head's inputs; and a control, the same network with random weights.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import EcgwatchError
from models.signal.windows import cut
from models.training.data.records import load_mitdb
from models.training.harness import train
from models.training.recipe import label
from models.training.steps.setting import Setting, parser, setting, table
from models.training.steps.windows import embed, embedded
from models.training.tasks.beat_class.windowed import AROUND_BEAT, classes, ends, reference
from models.training.tasks.qrs.train import folds

MARGIN = 1.0
SHOTS = (1, 5, 20)  # supports of each class
PER_CLASS = 150  # beats of a class and a patient, at most
NAMED = 3  # N, S and V: of F and Q too few patients have any
Ints = npt.NDArray[np.int64]


class PatientWindows(NamedTuple):
    """Windows with their class and patient."""

    x: Tensor  # (N, 1, T)
    y: Ints  # (N,)
    patient: Ints  # (N,)

    def of(self, some: npt.NDArray[np.bool_]) -> PatientWindows:
        """Some of them."""
        return PatientWindows(self.x[torch.from_numpy(some)], self.y[some], self.patient[some])


def contrastive(a: Tensor, b: Tensor, alike: Tensor, margin: float = MARGIN) -> Tensor:
    """y d^2 + (1 - y) max(0, margin - d)^2 of unit vectors (B, D), alike (B,) 0 or 1; the same if a
    and b are exchanged.
    """
    d = (
        (functional.normalize(a, dim=1) - functional.normalize(b, dim=1))
        .square()
        .sum(dim=1)
        .clamp(min=1e-8)
        .sqrt()
    )
    return (alike * d.square() + (1 - alike) * (margin - d).clamp(min=0).square()).mean()


class Pairs:
    """Pairs of windows of two patients, half of them of one class."""

    def __init__(self, beats: PatientWindows) -> None:
        self._beats = beats

    def pick(self, rng: np.random.Generator, size: int) -> tuple[Ints, Ints]:
        """Places of the two windows of each pair."""
        y, patient = self._beats.y, self._beats.patient
        first, second = list[int](), list[int]()
        while len(first) < size:
            kind = rng.choice(np.unique(y))  # rare classes as often as common ones
            a = int(rng.choice(np.flatnonzero(y == kind)))
            same = len(first) % 2 == 0
            others = np.flatnonzero(((y == kind) == same) & (patient != patient[a]))
            if len(others):
                first.append(a)
                second.append(int(rng.choice(others)))
        return np.array(first), np.array(second)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Both windows of each pair, one after the other: (2 size, 1, T); whether they are alike:
        (size,).
        """
        a, b = self.pick(rng, size)
        alike = torch.from_numpy((self._beats.y[a] == self._beats.y[b]).astype(np.float32))
        return (self._beats.x[torch.from_numpy(np.concatenate([a, b]))],), alike

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Contrastive loss of the two halves of the embeddings."""
        a, b = answer.chunk(2)
        return contrastive(a, b, target)


class WithoutHead(nn.Module):
    """A network without its head."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        head_off(net)

    def forward(self, x: Tensor) -> Tensor:
        return embed(self.net, x)


def head_off(net: nn.Module) -> None:
    """Switch off the head's gradients, because no loss uses it."""
    for p in net.head.parameters():
        p.requires_grad_(False)


def nearest(queries: Tensor, supports: Tensor, classes: Ints) -> Ints:
    """Class of each query's nearest class mean of supports: (Q, D), (S, D), (S,) to (Q,)."""
    names = np.unique(classes)
    unit = functional.normalize(supports, dim=1)
    means = torch.stack([unit[torch.from_numpy(classes == c)].mean(dim=0) for c in names])
    return np.asarray(
        names[torch.cdist(functional.normalize(queries, dim=1), means).argmin(dim=1).numpy()]
    )


def judged(
    net: nn.Module,
    train: PatientWindows,
    unseen: PatientWindows,
    shots: Sequence[int] = SHOTS,
    draws: int = 20,
) -> dict[str, float]:
    """Mean over classes of the share of unseen patients' beats that supports of training patients
    name rightly, mean over draws.
    """
    rng, results = np.random.default_rng(1), dict[str, float]()
    known, new = embedded(net, train.x), embedded(net, unseen.x)
    names = [c for c in np.unique(unseen.y) if (train.y == c).sum() >= max(shots)]
    kept = np.isin(unseen.y, names)
    for n in shots:
        rates = []
        for _ in range(draws):
            some = np.concatenate(
                [rng.choice(np.flatnonzero(train.y == c), n, replace=False) for c in names]
            )
            predicted = nearest(
                new[torch.from_numpy(kept)], known[torch.from_numpy(some)], train.y[some]
            )
            rates.append(np.mean([np.mean(predicted[unseen.y[kept] == c] == c) for c in names]))
        results[f"balanced accuracy, {n} supports"] = float(np.mean(rates))
    return results | {"chance": 1 / len(names)}


def beats(setting: Setting) -> tuple[PatientWindows, PatientWindows]:
    """MITDB's beats of training patients and of the fold that was left out, at most PER_CLASS of a
    class and patient; first channel.
    """
    tracks = load_mitdb(setting.data, channels=(0,))
    fold_of, rng = folds(tracks), np.random.default_rng(1)
    parts: dict[bool, list[PatientWindows]] = {True: [], False: []}
    for number, track in enumerate(tracks):
        found = reference(track)
        y = classes(found.allowed)
        some = np.concatenate(
            [rng.permutation(np.flatnonzero(y == c))[:PER_CLASS] for c in range(NAMED)]
        )
        x = torch.from_numpy(cut(track.signal, ends(found)[some], AROUND_BEAT)[:, None])
        who = np.full(len(some), number)
        parts[fold_of[track.patient] == setting.fold].append(PatientWindows(x, y[some], who))
    train, unseen = (_together(parts[held]) for held in (False, True))
    return train, unseen


def _together(parts: Sequence[PatientWindows]) -> PatientWindows:
    return PatientWindows(
        torch.cat([p.x for p in parts]),
        np.concatenate([p.y for p in parts]),
        np.concatenate([p.patient for p in parts]),
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    given = setting("few_shot", parser(__doc__).parse_args(arguments))
    known, unseen = beats(given)
    control = judged(given.build(), known, unseen)
    net = given.build()
    train(WithoutHead(net), Pairs(known), given.plan, given.folder / f"{label(given.fold)}.pt")
    figures = judged(net, known, unseen)
    (given.folder / f"{label(given.fold)}.json").write_text(
        json.dumps({"figures": figures, "random": control}, indent=1)
    )
    print(table([("siamese", figures), ("random weights", control)]))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
