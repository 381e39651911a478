"""Train the beat head (models/architectures/beat_head.py), and cross-validate it over patients.

    # the beats that the first task finds: minutes
    python -m models.training.tasks.beat_class.train cache
    python -m models.training.tasks.beat_class.train train                                        # networks, artifact and cross-validation

A network is HEADS heads, each with its own seed and draw of the scenarios, because a draw changes
figures of V by some points; their logits are averaged, and then the beats of a morphology vote
(models/beats/votes.py). Loss: cross-entropy against the set of classes that the reference allows
(models/training/tasks/beat_class/beats.py). Beats are drawn so that a class of a patient counts by
the square root of its number of beats. Probabilities are corrected for that afterwards, and by a
temperature fitted on patients of the training folds that a network left out; the class of a beat is
decided without the correction, so that rare classes are found, and with the offsets LEAN, which
were chosen on such patients too. No network is trained on the patients of its own fold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from models.architectures.beat_head import CLASSES, HEADS, SHAPES, BeatHead, BeatHeads
from models.beats import votes
from models.beats.morphology import Floats
from models.beats.templates import FEATURES, SCALARS, BeatContext, Seen
from models.signal.conditioning import FS_HZ
from models.signal.stage import Table
from models.training.data.beat_leads import twelve_leads
from models.training.data.beat_scenarios import repeated, scenario, unlabelled, ventricular_bank
from models.training.data.records import data_folder
from models.training.harness import Plan, train
from models.training.tasks.beat_class.beats import Beats, collect, detectors_of, load, save
from models.training.tasks.beat_class.export import Calibrated, export
from models.training.tasks.beat_class.report import PACED, Verdict, by_fold, report

ARTIFACT = Path("runs/ecgcl/beat_class")  # models/training/release/export.py reads it from here
PLAN = Plan(epochs=4, steps=300, batch=256, peak_rate=4e-3, weight_decay=0.02)
FOLDS = 3
SCENARIOS = 1  # times that each track of MITDB is drawn anew
# exponent of the number of a patient's beats of a class in the frequency of drawing one
POWER = 0.5
LEAST = 20
SHARE = {"mitdb": 1.0, "vfdb": 0.3, "cinc2017": 0.3, "ptbxl500": 0.5, "ludb": 0.5}
SCENARIO_SHARE = 0.3
# offsets when a class is decided: without them S and V are missed more often than falsely detected
LEAN = np.array([0.0, 0.5, 0.5, 0.0, 0.0])
TEMPERATURES = tuple(np.geomspace(0.5, 4.0, 25).tolist())
POLARITY = SHAPES + SCALARS.index("polarity")


def unroll(tracks: Sequence[Beats]) -> Seen:
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
    return Seen(features, slot, like)


class Known(NamedTuple):
    """A track and its beats as the stream sees them, which are the same for every network."""

    track: Beats
    seen: Seen


def known(tracks: Sequence[Beats]) -> list[Known]:
    """All beats at once."""
    ends = np.cumsum([len(t.at) for t in tracks])[:-1]
    parts = zip(*(np.split(values, ends) for values in unroll(tracks)), strict=True)
    return [Known(track, Seen(*part)) for track, part in zip(tracks, parts, strict=True)]


class Examples:
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


def weights(tracks: Sequence[Beats]) -> npt.NDArray[np.float64]:
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


def fit(
    held: Sequence[Known], name: str, seed: int, runs: Path
) -> tuple[BeatHeads, npt.NDArray[np.float64]]:
    """Train HEADS heads on these tracks, or go on from runs/NAME-drawD.pt. Returns them and the
    surplus of their training classes."""
    heads, surplus = list[BeatHead](), []
    for draw in range(HEADS * (seed - 1) + 1, HEADS * seed + 1):
        examples = Examples(held, draw)
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


def voted(seen: Seen, logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The logits (n, 5) of a whole track, each beat after the vote of those before it."""
    state = Table(**votes.FIELDS)
    row = np.array([state.open()], dtype=np.intp)
    beats = (slice(i, i + 1) for i in range(len(logits)))
    return np.concatenate(
        [votes.vote(state, row, seen.slot[i], seen.like[i], logits[i]) for i in beats]
    )


def temperatures(held: Sequence[Known], seed: int, runs: Path) -> list[float]:
    """Of each fold's network. Found without its patients: networks of one of the other folds,
    judged by patients of the other one."""
    judged: dict[int, tuple[list[Beats], list[npt.NDArray[np.float64]]]] = {
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


def best(tracks: Sequence[Beats], logits: Sequence[npt.NDArray[np.float64]]) -> float:
    """The temperature of the highest likelihood."""
    allowed = np.concatenate([t.allowed for t in tracks])
    told = ~unlabelled(allowed)
    right, z = (
        ((allowed[told, None] >> np.arange(CLASSES)) & 1).argmax(axis=1),
        np.concatenate(logits)[told],
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

    def verdicts(self, temperature: float) -> list[Verdict]:
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


def train_all(held: Sequence[Known], seeds: Sequence[int], runs: Path) -> None:
    """The networks of the folds and, of the first seed, the artifact; the report beside it."""
    folds = [_fold(held, fold, seeds[0], runs) for fold in [*range(FOLDS), None]]
    scale = temperatures(held, seeds[0], runs)
    scale.append(float(np.mean(scale)))
    for fold, temperature, folder in zip(
        folds, scale, ["folds/0", "folds/1", "folds/2", "."], strict=True
    ):
        fold.export(temperature, ARTIFACT / folder)
    by_seed = {seeds[0]: _judged(folds, scale)}
    for seed in seeds[1:]:
        by_seed[seed] = _judged([_fold(held, fold, seed, runs) for fold in range(FOLDS)], scale)
    text = report(by_seed)
    (ARTIFACT / "cross_validation.md").write_text(text + "\n")
    (ARTIFACT / "figures.json").write_text(json.dumps(by_fold(by_seed[seeds[0]]), indent=1))
    print(text, flush=True)


def _fold(held: Sequence[Known], fold: int | None, seed: int, runs: Path) -> Fold:
    name = "final" if fold is None else f"fold{fold}"
    net, prior = fit([k for k in held if fold is None or k.track.fold != fold], name, seed, runs)
    return Fold(net, prior, judges(held, fold))


def _judged(folds: Sequence[Fold], scale: Sequence[float]) -> list[Verdict]:
    return [
        v for f, temperature in zip(folds, scale, strict=False) for v in f.verdicts(temperature)
    ]


def verdict(
    track: Beats,
    logits: npt.NDArray[np.float64],
    temperature: float,
    prior: npt.NDArray[np.float64],
) -> Verdict:
    """Probabilities of one track, and calls: as the network was trained, which favours what is
    rare, with LEAN."""
    z = logits / temperature
    odds = np.exp(z - z.max(axis=1, keepdims=True))
    return Verdict(
        track, odds / odds.sum(axis=1, keepdims=True), (logits + prior + LEAN).argmax(axis=1)
    )


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["cache", "train"])
    parser.add_argument(
        "--detector",
        type=Path,
        default=Path("runs/ecgcl"),
        help="folder of the first task's checkpoints, one per fold",
    )
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--runs", type=Path, default=Path("runs/beat_class"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.compiler.set_stance("force_eager")  # compiling would take longer than training
    if options.what == "cache":
        found = list(
            collect(data_folder(), options.detector, options.runs.parent / "cache" / "cinc2017.npz")
        )
        found += twelve_leads(data_folder(), detectors_of(options.detector)(0))
        save(found, options.runs / "beats.npz")
    else:
        train_all(known(load(options.runs / "beats.npz")), options.seeds, options.runs)


if __name__ == "__main__":
    main()
