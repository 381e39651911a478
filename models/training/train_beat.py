"""Train the beat network, and cross-validate it over patients.

    python -m models.training.train_beat                     # the artifact: all records, then export
    python -m models.training.train_beat --cross-validate    # three folds over patients: tables on the screen and beside the artifact

Both go on from the last checkpoint when they were interrupted. Loss: binary cross-entropy per sample, where the reference says something.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from models.training import beat_export, beat_report
from models.training.augment import augment
from models.training.beat_net import BeatNet
from models.training.beat_windows import SHARES, Corpus
from models.training.data import (
    FIBRILLATION,
    QRS,
    UNKNOWN,
    VENTRICULAR,
    YES,
    Floats,
    Noise,
    Track,
    data_folder,
    load_ludb,
    load_mitdb,
    load_noise,
    load_vfdb,
)
from models.windows import BEAT_SPEC

ARTIFACT = Path(__file__).parents[1] / "artifacts" / "beat"
FOLDS = 3
PEAK_RATE = 5e-3
WEIGHT_DECAY = 0.01
POSITIVE_WEIGHT = 2.0  # of a QRS sample
OUTPUT_WEIGHT = {QRS: 1.0, VENTRICULAR: 0.5, FIBRILLATION: 0.5}
COMPILE_FROM = 1000  # steps from which compiling (10-20 s, needs a C++ compiler, a third less time per step) pays
CORE = slice(BEAT_SPEC.before - 30, BEAT_SPEC.before + BEAT_SPEC.hop + 30)  # what decoding reads; the rest of the window weighs less
REST_WEIGHT = 0.25


@dataclass(frozen=True)
class Plan:
    """How long to train."""

    epochs: int = 10
    steps: int = 400
    batch: int = 128
    seed: int = 1


def loss(logits: Tensor, codes: Tensor) -> Tensor:
    """(B, 3, T) logits and codes (models/training/data.py): weighted mean of the three cross-entropies over known samples."""
    place = torch.full((logits.shape[2],), REST_WEIGHT)
    place[CORE] = 1.0
    known = (codes != UNKNOWN) * place
    target = codes.clamp(max=YES).float() / YES
    parts = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    parts[:, QRS] *= 1 + (POSITIVE_WEIGHT - 1) * target[:, QRS]
    return sum((w * (parts[:, c] * known[:, c]).sum() / known[:, c].sum().clamp(min=1) for c, w in OUTPUT_WEIGHT.items()), torch.zeros(()))


def train(name: str, tracks: Sequence[Track], noises: Sequence[Noise], plan: Plan, runs: Path, until: int | None = None) -> BeatNet:
    """Train on these tracks, or go on from runs/NAME.pt, which is kept after every epoch; stop early after `until` epochs."""
    torch.manual_seed(plan.seed)
    net = BeatNet().to(memory_format=torch.channels_last)
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK_RATE, total_steps=plan.epochs * plan.steps, pct_start=0.2)
    checkpoint = runs / f"{name}.pt"
    done = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        if state["plan"] == asdict(plan):
            net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            done = state["epoch"]
    corpus = Corpus(tracks) if done < plan.epochs else None
    model = torch.compile(net) if (plan.epochs - done) * plan.steps >= COMPILE_FROM else net
    for epoch in range(done, plan.epochs if until is None else until):
        assert corpus is not None
        began = time.monotonic()
        mean = _epoch(model, optimiser, schedule, corpus, noises, plan, epoch)
        print(f"{name} epoch {epoch + 1}/{plan.epochs} loss {mean:.4f} {time.monotonic() - began:.0f} s", flush=True)
        state = {"net": net.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
        torch.save({**state, "epoch": epoch + 1, "plan": asdict(plan)}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)
    return net.eval()


def _epoch(
    net: torch.nn.Module,
    optimiser: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler,
    corpus: Corpus,
    noises: Sequence[Noise],
    plan: Plan,
    epoch: int,
) -> float:
    """One epoch; its random numbers depend on seed and epoch only, so that a resumed training goes the same way."""
    net.train()
    rng = np.random.default_rng([plan.seed, epoch])
    total = 0.0
    for _ in range(plan.steps):
        rows = corpus.draw(rng, plan.batch)
        x = torch.from_numpy(augment(rows, noises, rng)[:, None])
        value = loss(net(x), torch.from_numpy(np.ascontiguousarray(rows.targets[:, :, -BEAT_SPEC.length :])))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        total += value.item()
    return total / plan.steps


def predictor(net: BeatNet) -> Callable[[Floats], Floats]:
    """The network as a function of arrays."""

    def predict(windows: Floats) -> Floats:
        with torch.no_grad():
            return np.ascontiguousarray(net(torch.from_numpy(np.ascontiguousarray(windows))).numpy())

    return predict


def folds(tracks: Sequence[Track]) -> dict[str, int]:
    """Fold of each patient: MITDB in turn by number, VFDB in turn by how much of it is fibrillation. LUDB is in no fold: it only trains."""
    mitdb = sorted({t.patient for t in tracks if t.patient.startswith("mitdb")})
    share = {t.patient: float((t.targets[FIBRILLATION] == YES).mean()) for t in tracks if t.patient.startswith("vfdb")}
    vfdb = sorted(share, key=lambda p: (-share[p], p))
    return {patient: i % FOLDS for group in (mitdb, vfdb) for i, patient in enumerate(group)}


def cross_validate(tracks: Sequence[Track], noises: Sequence[Noise], plan: Plan, runs: Path, folder: Path) -> None:
    """Train one network per fold, test it on the fold's patients, and write the report."""
    fold_of = folds(tracks)
    results = []
    for fold in range(FOLDS):
        net = train(f"fold{fold}", [t for t in tracks if fold_of.get(t.patient) != fold], noises, plan, runs)
        beat_export.export(net, ARTIFACT / "folds" / str(fold), {"fold": fold})  # for ecgwatch evaluate
        held_out = [t for t in tracks if fold_of.get(t.patient) == fold and t.channel == 0]
        results.append(beat_report.evaluate(fold, held_out, predictor(net), folder))
    of_record = {t.name: fold_of[t.patient] for t in tracks if t.patient in fold_of}
    (ARTIFACT / "folds" / "folds.json").write_text(json.dumps(of_record, indent=1) + "\n")
    beat_report.write(results, ARTIFACT, asdict(plan))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-validate", action="store_true", help="three folds over patients instead of the artifact")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/beat"), help="folder of checkpoints")
    parser.add_argument("--epochs", type=int, default=Plan.epochs)
    parser.add_argument("--steps", type=int, default=Plan.steps, help="batches per epoch")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    options.runs.mkdir(parents=True, exist_ok=True)
    plan = Plan(epochs=options.epochs, steps=options.steps)
    tracks = load_mitdb(options.data) + load_vfdb(options.data) + load_ludb(options.data)
    noises = load_noise(options.data)
    if options.cross_validate:
        cross_validate(tracks, noises, plan, options.runs, options.data)
        return
    net = train("final", tracks, noises, plan, options.runs)
    spec = beat_export.export(net, ARTIFACT, {"training": {**asdict(plan), "shares": SHARES}})
    print(f"{ARTIFACT}/model.onnx {spec['parameters']} parameters, {spec['macs_per_window'] / 1e6:.2f} MMAC")


if __name__ == "__main__":
    main()
