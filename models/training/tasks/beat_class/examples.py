"""Examples of T2, the beat class: beats as the stream sees them, and scenarios made of them.

Beats are drawn so that a class of a patient counts by the square root of its number of beats.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.architectures.beat_head import CLASSES, SHAPES
from models.beats.morphology import Floats
from models.beats.templates import FEATURES, SCALARS, BeatContext, MatchedBeats
from models.signal.conditioning import FS_HZ
from models.training.data.beat_scenarios import repeated, scenario, unlabelled, ventricular_bank
from models.training.tasks.beat_class.beats import AnnotatedBeats

SCENARIOS = 1  # times that each track of MITDB is drawn anew
# exponent of the number of a patient's beats of a class in the frequency of drawing one
POWER = 0.5
LEAST = 20
SHARE = {"mitdb": 1.0, "vfdb": 0.3, "cinc2017": 0.3, "ptbxl500": 0.5, "ludb": 0.5}
SCENARIO_SHARE = 0.3
POLARITY = SHAPES + SCALARS.index("polarity")


def unroll(tracks: Sequence[AnnotatedBeats]) -> MatchedBeats:
    """All beats, the tracks one after the other, as the stream sees them."""
    order = sorted(range(len(tracks)), key=lambda k: -len(tracks[k].at))
    count = np.array([len(tracks[k].at) for k in order])
    first = np.concatenate([[0], np.cumsum([len(t.at) for t in tracks])])[order]
    at, shape = np.concatenate([t.at for t in tracks]), np.concatenate([t.shape for t in tracks])
    features, slot, like = (
        np.zeros((len(at), FEATURES), np.float32),
        np.zeros(len(at), np.intp),
        np.zeros(len(at)),
    )
    context = BeatContext()
    rows = np.array([context.open(t.name, FS_HZ) for t in tracks], dtype=np.intp)
    for i in range(count[0]):
        live = first[: np.count_nonzero(count > i)] + i
        features[live], slot[live], like[live] = context.take(
            rows[: len(live)], at[live], shape[live]
        )
    return MatchedBeats(features, slot, like)


class Known(NamedTuple):
    """A track and its beats as the stream sees them, which are the same for every network."""

    track: AnnotatedBeats
    seen: MatchedBeats


def known(tracks: Sequence[AnnotatedBeats]) -> list[Known]:
    """The examples of all beats at once."""
    ends = np.cumsum([len(t.at) for t in tracks])[:-1]
    parts = zip(*(np.split(values, ends) for values in unroll(tracks)), strict=True)
    return [Known(track, MatchedBeats(*part)) for track, part in zip(tracks, parts, strict=True)]


class BeatExamples:
    """Training data of models/training/harness.py: the tracks as they are, and scenarios made of
    them."""

    def __init__(self, held: Sequence[Known], seed: int) -> None:
        tracks = [k.track for k in held]
        rng = np.random.default_rng([seed, 1])
        bank = ventricular_bank([t for t in tracks if "+" not in t.name])
        hosts = [t for t in tracks if t.name.startswith("mitdb")] * SCENARIOS
        hosts += [repeated(t, 3) for t in tracks if t.name.startswith("cinc2017")][::2]
        made = [scenario(t, bank, rng) for t in hosts]
        self._features = np.concatenate([*(k.seen.features for k in held), unroll(made).features])
        self.allowed = np.concatenate([t.allowed for t in [*tracks, *made]])
        self.weight = np.concatenate([weights(tracks), SCENARIO_SHARE * weights(made)])
        self._until = np.cumsum(self.weight / self.weight.sum())
        bits = (self.allowed[:, None] >> np.arange(CLASSES)) & 1
        self._log_allowed = np.where(bits, 0.0, -30.0).astype(np.float32)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Beats (B, 1, FEATURES), and for each class 0 where it is allowed, else -30: (B, 5)."""
        chosen = np.minimum(np.searchsorted(self._until, rng.random(size)), len(self._until) - 1)
        return (torch.from_numpy(augment(self._features[chosen], rng)[:, None]),), torch.from_numpy(
            self._log_allowed[chosen]
        )

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """-log of the probability that the class is one of those allowed."""
        return -torch.logsumexp(torch.log_softmax(answer, dim=1) + target, dim=1).mean()

    def surplus(self) -> npt.NDArray[np.float64]:
        """Log of the frequency of drawing each class relative to N: (5,)."""
        mean = [
            self.weight[self.allowed == 1 << c].mean() if (self.allowed == 1 << c).any() else np.nan
            for c in range(CLASSES)
        ]
        return np.nan_to_num(np.log(np.array(mean) / mean[0]))


def weights(tracks: Sequence[AnnotatedBeats]) -> npt.NDArray[np.float64]:
    """Relative frequency of drawing each beat."""
    counts: dict[tuple[str, int], int] = {}
    for t in tracks:
        for code, n in zip(*np.unique(t.allowed, return_counts=True), strict=True):
            counts[t.patient, int(code)] = counts.get((t.patient, int(code)), 0) + int(n)
    found = []
    for t in tracks:
        n = np.array([counts[t.patient, int(code)] for code in t.allowed], dtype=np.float64)
        found.append(
            np.where(
                unlabelled(t.allowed),
                0.0,
                SHARE[t.name.split("/")[0]] * np.maximum(n, LEAST) ** -POWER,
            )
        )
    return np.concatenate(found)


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Vary the polarity and add noise to shapes and features."""
    noise = rng.standard_normal(x.shape, dtype=np.float32)
    noise[:, :SHAPES] *= np.exp(rng.uniform(np.log(0.005), np.log(0.1), (len(x), 1))).astype(
        np.float32
    )
    noise[:, SHAPES:] *= 0.08
    x = x + noise
    turn = np.where(rng.random(len(x)) < 0.5, -1.0, 1.0).astype(np.float32)
    x[:, :SHAPES] *= turn[:, None]
    x[:, POLARITY] *= turn
    return x
