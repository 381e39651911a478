"""T3, rhythm (normal, atrial fibrillation, other, unreadable) from 9 to 30 s: a column and a sequence decoder beside a frozen trunk.

    python -m models.training.tasks.rhythm fold0 fold1 fold2 final

Fold k reads the trunk that left out fold k of MITDB; it learns from CinC 2017 without test fold k of five, and is judged on that. `final`
reads the trunk of all patients and leaves out test fold 0 of CinC 2017, so that its own figure is known. A tenth of the records it may see
fits the temperature (Guo et al. 2017, arXiv 1706.04599). The network sees a record as the stream does: as windows of BEAT_SPEC, one a
second, each scaled by the ten seconds before its end.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from models.architectures.ecgcl import FIRST_STEP, STEPS_PER_SECOND, WIDTHS, Column, Segmenter, SequenceDecoder, Trunk
from models.conditioning import FS_HZ
from models.training import cinc2017
from models.training.cinc2017 import Recordings
from models.training.data import data_folder
from models.training.harness import Plan, train
from models.training.rhythm_scores import challenge_score, f1
from models.training.rhythm_windows import Varied, load_noise
from models.windows import BEAT_SPEC, cut

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

SECONDS = 30  # of context
LEAST = 9  # seconds before the first answer
HOP = 5  # seconds between answers
HIDDEN = 48
CLASSES = 4
PLAN = Plan(epochs=32, steps=160, batch=32, peak_rate=4e-3, weight_decay=0.02, warm_up=0.1)
AGAIN = Plan(epochs=24, steps=160, batch=32, peak_rate=2.5e-3, weight_decay=0.02, warm_up=0.1, seed=2)  # a second cycle from there on
SMOOTHING = 0.05
CLASS_WEIGHTS = (1.0, 2.0, 1.3, 3.0)  # N A O ~
SHORT = 0.4  # share of the loss that a part of 9 to 20 s has beside the whole


class Learner(nn.Module):
    """Frozen trunk, own column, own decoder: windows (B, S, 320) and which of them exist (B, S) to the decoder's steps, (B, 4 S, C)."""

    def __init__(self, trunk: Trunk) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False)
        self.column = Column(WIDTHS)
        self.decoder = SequenceDecoder(self.column.down[-1].mix.out_channels, HIDDEN, CLASSES)

    def train(self, mode: bool = True) -> Learner:
        """The trunk's statistics stay as they are."""
        super().train(mode)
        self.trunk.eval()
        return self

    def forward(self, windows: Tensor) -> Tensor:  # (B, S, 320) -> (B, 4 S, C)
        count, seconds, length = windows.shape
        x = windows.reshape(count * seconds, 1, 1, length)
        with torch.no_grad():
            branches = self.trunk(x)
        steps = self.column(x, branches)[:, :, 0, FIRST_STEP : FIRST_STEP + STEPS_PER_SECOND]
        return steps.transpose(1, 2).reshape(count, seconds * STEPS_PER_SECOND, -1)


def every_step(known: Tensor) -> Tensor:
    """Which seconds exist, (B, S), as which steps exist, (B, 4 S, 1)."""
    return known.repeat_interleave(STEPS_PER_SECOND, dim=1).unsqueeze(2)


def second_windows(signal: Floats) -> Floats:
    """One window per second of a record, as the stream cuts them to its end: (S, 320)."""
    count = -(-(len(signal) - BEAT_SPEC.offset) // BEAT_SPEC.hop)
    return cut(signal, BEAT_SPEC.end(np.arange(count)), BEAT_SPEC)


class RhythmBatches:
    """Records of CinC 2017, varied; classes as they come."""

    def __init__(self, recordings: Recordings, members: Ints, noises: Sequence[Floats]) -> None:
        self._recordings, self._members = recordings, members
        self._varied = Varied(noises, 0)
        self._weights = torch.tensor(CLASS_WEIGHTS)

    def batch(self, rng: np.random.Generator, size: int) -> tuple[tuple[Tensor, ...], Tensor]:
        """Windows (B, 30, 320); per row the class, how many of the last seconds exist, and first and last second of a part of them."""
        self._varied.use(rng)
        windows = np.zeros((size, SECONDS, BEAT_SPEC.length), np.float32)
        target = np.zeros((size, 4), np.int64)
        for row, record in enumerate(rng.choice(self._members, size, replace=False)):
            cuts = second_windows(self._varied.piece(self._recordings.signal(int(record))))
            if rng.random() < 0.5:
                cuts = cuts[:-1]  # in the middle of a stream the newest window is whole
            cuts = cuts[-SECONDS:]
            windows[row, SECONDS - len(cuts) :] = cuts
            length = int(rng.integers(min(LEAST, len(cuts)), min(20, len(cuts)) + 1))
            begin = SECONDS - len(cuts) + int(rng.integers(len(cuts) - length + 1))
            target[row] = self._recordings.labels[record], len(cuts), begin, begin + length
        return (torch.from_numpy(windows),), torch.from_numpy(target)

    def loss(self, net: nn.Module, answer: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of the whole and, so that young streams are answered well, of a part."""
        at = torch.arange(SECONDS)
        whole = (at >= SECONDS - target[:, 1:2]).float()
        part = ((at >= target[:, 2:3]) & (at < target[:, 3:4])).float()
        return sum(
            (
                weight
                * functional.cross_entropy(net.decoder(answer, every_step(k)), target[:, 0], self._weights, label_smoothing=SMOOTHING)
                for weight, k in ((1 - SHORT / 2, whole), (SHORT / 2, part))
            ),
            torch.zeros(()),
        )


class Split(NamedTuple):
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


def sequence_logits(net: Learner, windows: Floats, ends: Ints) -> Floats:
    """Answers (E, 4) at the given numbers of seconds of one stream of windows (S, 320)."""
    with torch.inference_mode():
        steps = torch.cat([net(torch.from_numpy(windows[None, i : i + 32]))[0] for i in range(0, len(windows), 32)])
        held = torch.zeros(len(ends), SECONDS * STEPS_PER_SECOND, steps.shape[1])
        known = torch.zeros(len(ends), SECONDS)
        for row, end in enumerate(ends):
            n = min(int(end), SECONDS)
            held[row, (SECONDS - n) * STEPS_PER_SECOND :] = steps[(end - n) * STEPS_PER_SECOND : end * STEPS_PER_SECOND]
            known[row, SECONDS - n :] = 1
        return np.asarray(net.decoder(held, every_step(known)).numpy())


def record_logits(net: Learner, signal: Floats) -> Floats:
    """Mean answer over all 30-s contexts of a record, HOP apart up to its end, or that of a shorter record: (4,)."""
    windows = second_windows(signal)
    ends = np.arange(len(windows), SECONDS - 1, -HOP)
    return np.asarray(sequence_logits(net, windows, ends if len(ends) else np.array([len(windows)])).mean(axis=0))


def judge(net: Learner, recordings: Recordings, members: Ints, pieces_s: Sequence[int] = (10,)) -> tuple[dict[str, float], Floats]:
    """F1 figures on whole records and on pieces by themselves, and the logits of the records (R, 4)."""
    truth = recordings.labels[members]
    logits = np.stack([record_logits(net, recordings.signal(int(r))) for r in members])
    each = f1(truth, logits.argmax(axis=1))
    figures = {"records": challenge_score(truth, logits.argmax(axis=1)), **{f"F1 {c}": float(v) for c, v in zip("NAO~", each, strict=True)}}
    for seconds in pieces_s:
        answers, labels = [], []
        for record in members:
            signal, n = recordings.signal(int(record)), seconds * FS_HZ
            n = min(n, len(signal))
            for end in range(len(signal) % n + n, len(signal) + 1, n):
                windows = second_windows(signal[end - n : end])
                answers.append(sequence_logits(net, windows, np.array([len(windows)]))[0])
                labels.append(recordings.labels[record])
        figures[f"{seconds} s"] = challenge_score(np.array(labels), np.stack(answers).argmax(axis=1))
    return figures, logits


def temperature(logits: Floats, truth: Ints) -> float:
    """What to divide logits (R, 4) by so that the probabilities fit best."""
    candidates = np.exp(np.linspace(np.log(0.3), np.log(3), 93))
    x, y = torch.from_numpy(logits), torch.from_numpy(truth)
    return float(candidates[int(np.argmin([float(functional.cross_entropy(x / t, y)) for t in candidates]))])


def load_trunk(runs: Path, name: str) -> Trunk:
    """The trunk of a trained first task."""
    segmenter = Segmenter(WIDTHS)
    segmenter.load_state_dict(torch.load(runs / f"qrs-{name}.pt", weights_only=True)["net"])
    return segmenter.trunk


def learn(name: str, recordings: Recordings, noises: Sequence[Floats], runs: Path) -> None:
    """Train the task beside the trunk called `name`; its figures go to rhythm-NAME.json."""
    parts = split(recordings.labels, 0 if name == "final" else int(name.removeprefix("fold")))
    torch.manual_seed(PLAN.seed)
    net = Learner(load_trunk(runs, name))
    batches = RhythmBatches(recordings, parts.train, noises)
    train(net, batches, PLAN, runs / f"rhythm-{name}-first.pt")
    train(net, batches, AGAIN, runs / f"rhythm-{name}.pt")
    _, logits = judge(net, recordings, parts.validation, ())
    net.decoder.temperature.fill_(temperature(logits, recordings.labels[parts.validation]))
    figures, _ = judge(net, recordings, parts.test, (10, 20))
    figures["temperature"] = float(net.decoder.temperature)
    torch.save({"column": net.column.state_dict(), "decoder": net.decoder.state_dict()}, runs / f"rhythm-{name}-done.pt")
    (runs / f"rhythm-{name}.json").write_text(json.dumps(figures, indent=1))
    print(name, {key: round(value, 4) for key, value in figures.items()}, flush=True)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="fold0, fold1, fold2, final")
    parser.add_argument("--data", type=Path, default=data_folder(), help="folder of the unpacked sets")
    parser.add_argument("--runs", type=Path, default=Path("runs/ecgcl"), help="folder of checkpoints")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    recordings = cinc2017.load(options.data / "cinc2017", options.runs.parent / "cache" / "cinc2017.npz")
    noises = load_noise(options.data / "nstdb")
    for name in options.names:
        learn(name, recordings, noises, options.runs)


if __name__ == "__main__":
    main()
