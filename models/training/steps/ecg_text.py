"""Pretrain by matching records with their reports, as TAC-ECG does (Wang R. et al. 2025, DOI
10.1016/j.cmpb.2025.108918; after CLIP, Radford et al. 2021, arXiv 2103.00020).

    python -m models.training.steps.ecg_text --runs runs

An encoder of signals and an encoder of texts are trained so that each record is more similar to its
own report than to the others of the batch: symmetric cross-entropy over cosines with a learned
scale. Records: the first 500 of PTB-XL (Wagner et al. 2020, DOI 10.1038/s41597-020-0495-6), one
lead at a time, drawn at random, so that the encoder serves a stream of one lead; reports as they
were written, most in German.

Differences here: words and their neighbours are hashed (1- to 3-grams) into an embedding instead of
a language model; two records with the same report are not each other's negatives.
RUNS/ecg_text/encoder.pt is for the step `adapter`. Retrieval on records of held-out patients,
compared with an encoder with random weights, shows if anything was learned.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import re
import sys
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from ingest.errors import EcgwatchError
from models.architectures.residual.se_resnet import SeResNet
from models.architectures.residual.tac_ecg import WIDTHS
from models.signal.windows import PIECE_SPEC, cut
from models.training.data.records import data_folder, read_channels
from models.training.harness import TrainingPlan, train
from models.training.steps.setting import table

BUCKETS, WIDTH, LEADS = 4096, 64, 12
PLAN = TrainingPlan(epochs=20, steps=30, batch=64, peak_rate=2e-3)
HELD_OUT = 10  # stratified fold of PTB-XL whose patients are left out; and the ninth
Ints = npt.NDArray[np.int64]


class Reports(NamedTuple):
    """Windows of all leads, their reports, and a mask of the held-out ones."""

    x: Tensor  # (N, 12, T)
    texts: list[str]
    held_out: npt.NDArray[np.bool_]  # (N,)


def grams(text: str) -> list[int]:
    """Buckets of a text's 1- to 3-grams of words."""
    words = re.findall(r"\w+", text.lower())
    found = [" ".join(words[i : i + n]) for n in (1, 2, 3) for i in range(len(words) - n + 1)]
    return [zlib.crc32(gram.encode()) % BUCKETS for gram in found] or [0]


class TextEncoder(nn.Module):
    """Texts to unit vectors (B, WIDTH): the mean of the embeddings of hashed 1- to 3-grams, through
    one layer.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bag, self.out = nn.EmbeddingBag(BUCKETS, WIDTH, mode="mean"), nn.Linear(WIDTH, WIDTH)

    def forward(self, texts: Sequence[str]) -> Tensor:
        each = [grams(text) for text in texts]
        starts = np.cumsum([0, *(len(one) for one in each[:-1])])
        bags = self.bag(torch.tensor([g for one in each for g in one]), torch.from_numpy(starts))
        return functional.normalize(self.out(torch.relu(bags)), dim=1)


def meeting(signals: Tensor, texts: Tensor, scale: Tensor, same: Tensor) -> Tensor:
    """Symmetric cross-entropy of cosines times scale: unit vectors (B, D) twice; same (B, B) marks
    equal texts, which are no negatives.
    """
    scores = scale * signals @ texts.T
    scores = scores.masked_fill(same & ~torch.eye(len(scores), dtype=torch.bool), -1e9)
    target = torch.arange(len(scores))
    return (
        functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)
    ) / 2


class SignalAndText(nn.Module):
    """Encoders of signal and text; called with windows and the places of their texts it gives both
    sides' unit vectors.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        super().__init__()
        self.signal, self.text = SeResNet(1, 1, WIDTHS), TextEncoder()
        self.project = nn.Linear(WIDTHS[-1], WIDTH)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.texts = list(texts)

    def signals(self, x: Tensor) -> Tensor:
        """(B, 1, T) to unit vectors."""
        return functional.normalize(self.project(self.signal.features(x)), dim=1)

    def forward(self, x: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        return self.signals(x), self.text([self.texts[i] for i in places.tolist()])


class PairBatches:
    """Records with one lead each, drawn at random."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports
        self._members = np.flatnonzero(~reports.held_out)
        names = {text: i for i, text in enumerate(dict.fromkeys(reports.texts))}
        self._text = torch.tensor([names[text] for text in reports.texts])

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 1, T) and the places of their texts; what text each has (B,)."""
        some = torch.from_numpy(
            rng.choice(self._members, min(size, len(self._members)), replace=False)
        )
        lead = torch.from_numpy(rng.integers(self._reports.x.shape[1], size=len(some)))
        return (self._reports.x[some, lead][:, None], some), self._text[some]

    def loss(self, net: nn.Module, answer: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """See `meeting`."""
        signals, texts = answer
        return meeting(
            signals, texts, net.log_scale.exp().clamp(max=100), target[:, None] == target[None]
        )


def retrieval(net: SignalAndText, reports: Reports, top: int = 5) -> dict[str, float]:
    """Share of held-out records whose report is among the `top` most similar of all different
    held-out reports, mean over leads.
    """
    net.eval()
    members = np.flatnonzero(reports.held_out)
    names = list(dict.fromkeys(reports.texts[i] for i in members))
    own = torch.tensor([names.index(reports.texts[i]) for i in members])
    with torch.inference_mode():
        texts = net.text(names)
        hits = [
            (net.signals(reports.x[members, lead][:, None]) @ texts.T)
            .topk(min(top, len(names)), dim=1)
            .indices.eq(own[:, None])
            .any(dim=1)
            for lead in range(reports.x.shape[1])
        ]
    found = float(torch.stack(hits).float().mean())
    return {f"report among the first {top}": found, "chance": min(top, len(names)) / len(names)}


def load(folder: Path) -> Reports:
    """PTB-XL's records at hand that have a report; the last two stratified folds are left out."""
    windows, texts, held = [], [], []
    with (folder / "ptbxl500" / "ptbxl_database.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            name = f"ptbxl500/{row['filename_lr']}"
            if not row["report"].strip() or not (folder / f"{name}.hea").exists():
                continue
            _, signals = read_channels(folder, name, range(LEADS))
            windows.append(np.stack([cut(s, np.array([len(s)]), PIECE_SPEC)[0] for s in signals]))
            texts.append(row["report"].strip().lower())
            held.append(int(row["strat_fold"]) >= HELD_OUT - 1)
    return Reports(torch.from_numpy(np.stack(windows)), texts, np.array(held))


def pretrain(
    reports: Reports, plan: TrainingPlan, folder: Path
) -> tuple[SignalAndText, SignalAndText]:
    """The trained pair of encoders, and one with random weights."""
    torch.manual_seed(plan.seed)
    control, net = SignalAndText(reports.texts), SignalAndText(reports.texts)
    train(net, PairBatches(reports), plan, folder / "pair.pt")
    state = {
        k: v for k, v in net.signal.state_dict().items() if not k.startswith(("head", "thresholds"))
    }
    torch.save({"encoder": state}, folder / "encoder.pt")
    return net, control


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    asked = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    asked.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    asked.add_argument("--runs", type=Path, default=Path("runs"), help="folder of checkpoints")
    asked.add_argument("--epochs", type=int, default=PLAN.epochs)
    asked.add_argument("--seed", type=int, default=1)
    options = asked.parse_args(arguments)
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    reports, folder = load(options.data), options.runs / "ecg_text"
    plan = TrainingPlan(options.epochs, PLAN.steps, PLAN.batch, PLAN.peak_rate, seed=options.seed)
    net, control = pretrain(reports, plan, folder)
    columns = [
        ("pretrained", retrieval(net, reports)),
        ("random weights", retrieval(control, reports)),
    ]
    (folder / "retrieval.json").write_text(json.dumps(dict(columns), indent=1))
    print(table(columns))


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
