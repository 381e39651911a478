"""Train the rhythm network on CinC 2017: `python -m models.training.train_rhythm --run runs/rhythm`. Started again, it resumes.

One fold of five is never looked at here. Of the rest a tenth chooses the epoch and the temperature. The network that is judged and exported
is the running average of the weights.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from models.training import cinc2017
from models.training.cinc2017 import Recordings
from models.training.rhythm_net import RhythmNet
from models.training.rhythm_scores import Network, challenge_score, f1, piece_probabilities, record_probabilities
from models.training.rhythm_windows import Varied, load_noise

Ints = npt.NDArray[np.int64]

BATCH = 32
PEAK_RATE = 4e-3
WARM_UP = 0.06  # share of the training
WEIGHT_DECAY = 0.02
SMOOTHING = 0.05
CLASS_WEIGHTS = (1.0, 2.0, 1.3, 3.0)  # N A O ~
AVERAGING = 0.998  # of the weights, per step


@dataclass(frozen=True)
class Split:
    """Indices of records."""

    train: Ints
    validation: Ints
    test: Ints


def split(labels: Ints, test_fold: int) -> Split:
    """One of five folds for the test; a tenth of the others for validation."""
    test = cinc2017.folds(labels) == test_fold
    rest = np.flatnonzero(~test)
    tenth = cinc2017.folds(labels[rest], count=10, seed=cinc2017.SPLIT_SEED + 1) == 0
    return Split(rest[~tenth], rest[tenth], np.flatnonzero(test))


def as_network(model: nn.Module) -> Network:
    """The model as a function on arrays."""

    def network(windows: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            return model(torch.from_numpy(windows[:, None])).numpy()

    return network


def learning_rate(progress: float) -> float:
    """At this share of the training: a short rise, then half a cosine down to nothing."""
    if progress < WARM_UP:
        return PEAK_RATE * (0.1 + 0.9 * progress / WARM_UP)
    return PEAK_RATE * 0.5 * (1 + math.cos(math.pi * (progress - WARM_UP) / (1 - WARM_UP)))


class Training:
    """A run: model, its running average, optimiser, and the folder that a checkpoint goes to after every epoch."""

    def __init__(self, recordings: Recordings, parts: Split, varied: Varied, folder: Path, epochs: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.recordings, self.parts, self.varied, self.folder, self.epochs = recordings, parts, varied, folder, epochs
        self.rng = np.random.default_rng(seed)
        self.model = RhythmNet().to(memory_format=torch.channels_last)
        self.average = RhythmNet().eval()
        self.average.load_state_dict(self.model.state_dict())
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=PEAK_RATE, weight_decay=WEIGHT_DECAY)
        self.steps = len(parts.train) // BATCH  # of an epoch
        self.step = 0
        self.epoch = 0
        self.best = -1.0
        self._resume()

    def advance(self) -> None:
        """One epoch, its validation and checkpoint."""
        began = time.monotonic()
        loss = float(np.mean(list(self._steps())))
        self.epoch += 1
        score, line = self._validate()
        if score > self.best:
            self.best = score
            torch.save(self.average.state_dict(), self.folder / "best.pt")
        self._save()
        self._log(f"epoch {self.epoch}/{self.epochs} loss {loss:.4f} {line} best {self.best:.4f} {time.monotonic() - began:.0f} s")

    def _steps(self) -> Iterator[float]:
        self.model.train()
        weights = torch.tensor(CLASS_WEIGHTS)
        order = self.rng.permutation(self.parts.train)
        for first in range(0, len(order) - BATCH + 1, BATCH):
            members = order[first : first + BATCH]
            x = torch.from_numpy(self.varied.batch([self.recordings.signal(int(r)) for r in members])[:, None])
            y = torch.from_numpy(self.recordings.labels[members])
            loss = functional.cross_entropy(self.model(x), y, weights, label_smoothing=SMOOTHING)
            self.optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 5.0)
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(self.step / (self.epochs * self.steps))
            self.optimiser.step()
            self.step += 1
            self._update_average()
            yield float(loss.detach())

    def _update_average(self) -> None:
        keep = min(AVERAGING, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, now in zip(self.average.state_dict().values(), self.model.state_dict().values(), strict=True):
                if mean.is_floating_point():
                    mean.lerp_(now, 1 - keep)
                else:
                    mean.copy_(now)

    def _validate(self) -> tuple[float, str]:
        """What the epoch is chosen by: the mean of the scores on whole records and on 10-s pieces."""
        network, members = as_network(self.average), self.parts.validation
        truth, chosen = self.recordings.labels[members], record_probabilities(network, self.recordings, members).argmax(axis=1)
        short_truth, short = piece_probabilities(network, self.recordings, members, seconds=10)
        long_score, short_score = challenge_score(truth, chosen), challenge_score(short_truth, short.argmax(axis=1))
        each = " ".join(f"{value:.3f}" for value in f1(truth, chosen))
        return (long_score + short_score) / 2, f"records {long_score:.4f} ({each}) 10 s {short_score:.4f}"

    def _state(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "best": self.best,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "order": self.rng.bit_generator.state,
            "varied": self.varied.state,
            "torch": torch.get_rng_state(),
        }

    def _save(self) -> None:
        unfinished = self.folder / "checkpoint.tmp"
        torch.save(self._state(), unfinished)
        unfinished.replace(self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "checkpoint.pt"
        if not path.exists():
            return
        state = torch.load(path, weights_only=False)
        self.epoch, self.best = state["epoch"], state["best"]
        self.step = self.epoch * self.steps
        for part in ("model", "average", "optimiser"):
            getattr(self, part).load_state_dict(state[part])
        self.rng.bit_generator.state = state["order"]
        self.varied.state = state["varied"]
        torch.set_rng_state(state["torch"])

    def _log(self, line: str) -> None:
        print(line, flush=True)
        with (self.folder / "log.txt").open("a") as file:
            file.write(line + "\n")


def temperature(logits: npt.NDArray[np.float32], truth: Ints) -> float:
    """What to divide logits (R, 4) by so that the probabilities fit best (Guo et al. 2017, arXiv 1706.04599)."""
    candidates = np.exp(np.linspace(np.log(0.3), np.log(3), 93))
    x, y = torch.from_numpy(logits), torch.from_numpy(truth)
    losses = [float(functional.cross_entropy(x / t, y)) for t in candidates]
    return float(candidates[int(np.argmin(losses))])


def arguments() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path.home() / ".cache" / "ecg-data", help="folder with cinc2017, nstdb and mitdb")
    parser.add_argument("--run", type=Path, default=Path("runs/rhythm"), help="folder of checkpoints and log")
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--fold", type=int, default=0, help="the fold kept for the test")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


def main() -> None:
    """Train."""
    options = arguments()
    torch.set_num_threads(options.threads)
    recordings = cinc2017.load(options.data / "cinc2017", options.run.parent / "cache" / "cinc2017.npz")
    varied = Varied(load_noise(options.data / "nstdb"), options.seed)
    training = Training(recordings, split(recordings.labels, options.fold), varied, options.run, options.epochs, options.seed)
    while training.epoch < training.epochs:
        training.advance()


if __name__ == "__main__":
    main()
