"""Train the label network (N, S, V of a beat, from models/beat_context.py), and cross-validate it over patients.

    python -m models.training.train_label                     # the artifact and the networks of the folds
    python -m models.training.train_label --cross-validate    # tables on the screen and beside the artifact

Each record's beats are those that the beat network of the fold without its patient finds (models/artifacts/beat/folds), so training sees
what serving sees. The context of a beat depends on what the beats before it were called, so training goes in rounds: first with the
reference's classes, then with what the network of the round before calls them. A patient's fold never trains its own network.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from models.beat_context import FEATURES, SHAPE, BeatContext, N, S, V, beat_shapes
from models.conditioning import FS_HZ
from models.decoding import r_peak
from models.runtime import ARTIFACTS, Network
from models.training.beat_metrics import find, match, run
from models.training.data import Floats, Noise, Track, data_folder, load_mitdb, load_noise
from models.training.label_export import export
from models.training.label_net import LabelNet

ARTIFACT = ARTIFACTS / "label"
FOLDS = ARTIFACTS / "beat" / "folds"
ROUNDS = 3
CODE = {"N": N, "S": S, "V": V, "F": V, "Q": N}  # F counts half, see WEIGHT; what is paced is no ectopy
WEIGHT = {"N": 1.0, "S": 1.0, "V": 1.0, "F": 0.3, "Q": 0.5}
CLASS_WEIGHT = (1.0, 4.0, 2.0)
UNKNOWN = -1
EXTRA = -2  # a found beat that the reference does not have
SNR_DB = (4.0, 20.0)
NOISY_COPIES = 1


@dataclass(frozen=True)
class Beats:
    """The beats found in one track."""

    name: str
    fold: int
    channel: int
    at: npt.NDArray[np.float64]  # (n,) samples
    shape: Floats  # (n, SHAPE) mV
    ventricular: npt.NDArray[np.float64]  # (n,)
    code: npt.NDArray[np.int64]  # (n,) class, or UNKNOWN (in flutter) or EXTRA
    weight: Floats  # (n,)
    missed: npt.NDArray[np.int64]  # reference beats of each class that were not found


def beats_of(track: Track, fold: int, network: Network) -> Beats:
    """Find the beats of a track as the stream would, and their reference classes."""
    found = find(track, run(track, lambda x: network.run(x[:, 0])))
    zero = np.zeros(len(found.beats), np.intp)
    at = r_peak(track.signal[None], zero, found.beats)
    partner = match(track.beats, at)
    code, weight = np.full(len(at), EXTRA), np.zeros(len(at), np.float32)
    for reference, letter in zip(partner, track.classes, strict=True):
        if reference >= 0:
            code[reference], weight[reference] = CODE[letter], WEIGHT[letter]
    for begin, end in track.flutter:
        code[(at >= begin) & (at <= end)] = UNKNOWN
    lost = np.array(list(track.classes))[partner < 0]
    missed = np.array([np.sum(lost == c) for c in "NSV"])
    shapes = beat_shapes(track.signal[None], zero, at)
    return Beats(track.name, fold, track.channel, at, shapes, found.ventricular.astype(float), code, weight, missed)


def noisy(track: Track, noises: Sequence[Noise], rng: np.random.Generator) -> Track:
    """The track with another piece of recorded noise every half minute, at SNR_DB (as NSTDB defines it), some of it left clean."""
    signal = track.signal.copy()
    for begin in range(0, len(signal), 30 * FS_HZ):
        noise = noises[rng.integers(len(noises))]
        n = min(30 * FS_HZ, len(signal) - begin)
        if rng.random() < 0.25 or n >= len(noise.signal):
            continue
        start = rng.integers(len(noise.signal) - n)
        power = track.height_mv**2 / 8 / 10 ** (rng.uniform(*SNR_DB) / 10)
        signal[begin : begin + n] += noise.signal[start : start + n] * np.float32(np.sqrt(power) / noise.rms_mv)
    return replace(track, signal=signal)


def collect(folder: Path, cache: Path) -> list[Beats]:
    """All tracks of MITDB, clean and noisy; kept in a file, for it takes minutes."""
    if cache.exists():
        stored = np.load(cache, allow_pickle=True)["beats"]
        return [Beats(*item) for item in stored]
    rng, noises = np.random.default_rng(1), load_noise(folder)
    fold_of = json.loads((FOLDS / "folds.json").read_text())
    networks = {n: Network(FOLDS / str(n)) for n in range(3)}
    found = []
    for track in load_mitdb(folder):
        fold = fold_of[track.name]
        copies = [track, *(replace(noisy(track, noises, rng), name=f"{track.name}+noise") for _ in range(NOISY_COPIES))]
        found += [beats_of(copy, fold, networks[fold]) for copy in copies]
        print(track.name, track.channel, len(found[-1].at), flush=True)
    cache.parent.mkdir(parents=True, exist_ok=True)
    table = np.empty(len(found), dtype=object)
    for i, beats in enumerate(found):
        table[i] = tuple(getattr(beats, name) for name in Beats.__dataclass_fields__)
    np.savez(cache, beats=table)
    return found


def unroll(tracks: Sequence[Beats], nets: Sequence[LabelNet | None]) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Go through all tracks beat by beat, as the stream does: the features of every beat, and what it was called.

    A track's network is the one at its own place in `nets`; None: beats are called what the reference calls them.

    Returns: (beats, FEATURES) and (beats,), the tracks one after the other.
    """
    context, rows = BeatContext(), []
    for _ in tracks:
        rows.append(context.open())
    longest = max(len(t.at) for t in tracks)
    features = [np.zeros((len(t.at), FEATURES), np.float32) for t in tracks]
    called = [np.zeros(len(t.at), np.int64) for t in tracks]
    for i in range(longest):
        live = [k for k, t in enumerate(tracks) if i < len(t.at)]
        row = np.array([rows[k] for k in live], dtype=np.intp)
        at, pv = np.array([tracks[k].at[i] for k in live]), np.array([tracks[k].ventricular[i] for k in live])
        shape = np.stack([tracks[k].shape[i] for k in live]).astype(np.float64)
        x = context.features(row, at, shape, pv)
        answer = np.zeros(len(live), np.int64)
        for net in {id(nets[k]): nets[k] for k in live}.values():
            mine = [j for j, k in enumerate(live) if nets[k] is net]
            if net is None:
                answer[mine] = [tracks[live[j]].code[i] if tracks[live[j]].code[i] >= 0 else (V if pv[j] > 0.5 else N) for j in mine]
            else:
                with torch.no_grad():
                    answer[mine] = net(torch.from_numpy(x[mine])[:, None]).argmax(1).numpy()
        context.take(row, at, shape, pv, answer)
        for j, k in enumerate(live):
            features[k][i], called[k][i] = x[j], answer[j]
    return np.concatenate(features), np.concatenate(called)


def fit(x: Floats, code: npt.NDArray[np.int64], weight: Floats, *, seed: int, epochs: int = 12, batch: int = 512) -> LabelNet:
    """Weighted cross-entropy; the signal turned over in half of the batches, gains and intervals jittered."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    net = LabelNet()
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.02)
    order = np.flatnonzero(code >= 0)
    rounds = epochs * (len(order) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=rounds)
    classes = torch.tensor(CLASS_WEIGHT)
    net.train()
    for _ in range(epochs):
        rng.shuffle(order)
        for begin in range(0, len(order) - batch + 1, batch):
            some = order[begin : begin + batch]
            values = torch.from_numpy(augment(x[some], rng))
            target = torch.from_numpy(code[some])
            loss = nn.functional.cross_entropy(net(values[:, None]), target, reduction="none", label_smoothing=0.02)
            total = (loss * torch.from_numpy(weight[some]) * classes[target]).mean()
            optimiser.zero_grad()
            total.backward()
            optimiser.step()
            schedule.step()
    return net.eval()


def augment(x: Floats, rng: np.random.Generator) -> Floats:
    """Another polarity, another size, a little noise on shapes and numbers."""
    x = x.copy()
    turn = np.where(rng.random(len(x)) < 0.5, -1.0, 1.0)[:, None].astype(np.float32)
    x[:, : 2 * SHAPE] *= turn
    x[:, : 2 * SHAPE] += rng.normal(0, 0.02, (len(x), 2 * SHAPE)).astype(np.float32)
    x[:, 2 * SHAPE :] += rng.normal(0, 0.05, (len(x), x.shape[1] - 2 * SHAPE)).astype(np.float32)
    return x


def train(tracks: Sequence[Beats], *, seed: int) -> LabelNet:
    """ROUNDS of unrolling and fitting."""
    code, weight = np.concatenate([t.code for t in tracks]), np.concatenate([balanced(t) for t in tracks])
    net: LabelNet | None = None
    seen: list[Floats] = []
    for _ in range(ROUNDS):
        features, _ = unroll(tracks, [net] * len(tracks))
        seen = [*seen[-1:], features]
        net = fit(np.concatenate(seen), np.tile(code, len(seen)), np.tile(weight, len(seen)), seed=seed)
    assert net is not None
    return net


def balanced(track: Beats) -> Floats:
    """A record with thousands of a rare class must not teach what that class is alone: its weight goes with the square root."""
    weight = track.weight.copy()
    for c in (S, V):
        n = int(np.sum(track.code == c))
        weight[track.code == c] *= min(1.0, np.sqrt(60 / max(n, 1)) * 1.5)
    return weight


def counts(tracks: Sequence[Beats], called: npt.NDArray[np.int64]) -> dict[str, dict[str, npt.NDArray[np.int64]]]:
    """For each track and class: found rightly, missed, false; EC57: F and Q count neither way, missed beats count."""
    found, at = {}, 0
    for t in tracks:
        mine = called[at : at + len(t.at)]
        at += len(t.at)
        judged = (t.code != UNKNOWN) & ((t.weight == 1.0) | (t.code == EXTRA))
        table = {}
        for name, c in (("V", V), ("S", S)):
            tp = int(np.sum(judged & (t.code == c) & (mine == c)))
            fn = int(np.sum(judged & (t.code == c) & (mine != c)) + t.missed[c])
            fp = int(np.sum(judged & (t.code != c) & (mine == c)))
            table[name] = np.array([tp, fn, fp])
        found[t.name] = table
    return found


def cross_validate(tracks: Sequence[Beats], seeds: Sequence[int]) -> str:
    """Three folds over patients, first channel, clean: the figures as text."""
    lines = []
    for seed in seeds:
        total = {"V": np.zeros(3, int), "S": np.zeros(3, int)}
        for fold in range(3):
            net = train([t for t in tracks if t.fold != fold], seed=seed)
            test = [t for t in tracks if t.fold == fold and t.channel == 0 and "+" not in t.name]
            _, called = unroll(test, [net] * len(test))
            table = counts(test, called)
            for letter in "VS":
                part = sum((t[letter] for t in table.values()), np.zeros(3, int))
                total[letter] += part
                worst = sorted(((int(t[letter][1] + t[letter][2]), name.split("/")[1]) for name, t in table.items()), reverse=True)[:4]
                lines.append(f"seed {seed} fold {fold} {letter} {text(part)}; most wrong {worst}")
                print(lines[-1], flush=True)
        lines += [f"seed {seed} all    {letter} {text(total[letter])}" for letter in "VS"]
        print("\n".join(lines[-2:]), flush=True)
    return "\n".join(lines)


def text(c: npt.NDArray[np.int64]) -> str:
    """Counts as sensitivity and predictive value."""
    tp, fn, fp = c
    return f"Se {100 * tp / max(1, tp + fn):5.1f} +P {100 * tp / max(1, tp + fp):5.1f} ({tp + fn} reference, {fn} missed, {fp} false)"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cross-validate", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1])
    parser.add_argument("--runs", type=Path, default=Path("runs/label"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.time()
    tracks = collect(data_folder(), options.runs / "beats.npz")
    if options.cross_validate:
        (options.runs / "cross_validation.txt").write_text(cross_validate(tracks, options.seeds) + "\n")
    else:
        for fold in range(3):
            export(train([t for t in tracks if t.fold != fold], seed=options.seeds[0]), ARTIFACT / "folds" / str(fold))
        export(train(tracks, seed=options.seeds[0]), ARTIFACT)
    print(f"{time.time() - began:.0f} s")


if __name__ == "__main__":
    main()
