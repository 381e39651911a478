"""T3, rhythm (normal, atrial fibrillation, other, unreadable) from 9 to 30 s: a column and a sequence decoder beside a frozen trunk.

    python -m models.training.tasks.rhythm fold0 fold1 fold2 final

Fold k reads the trunk that left out fold k of MITDB; it learns from CinC 2017 without test fold k of five, and is judged on that. `final`
reads the trunk of all patients and leaves out test fold 0 of CinC 2017, so that its own figure is known. A tenth of the records it may see
fits the temperature.
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

from models.architectures.ecgcl import WIDTHS, Column, SequenceDecoder, Trunk
from models.conditioning import FS_HZ
from models.training import cinc2017
from models.training.cinc2017 import Recordings
from models.training.data import data_folder
from models.training.harness import Plan, train
from models.training.rhythm_scores import challenge_score, f1
from models.training.rhythm_windows import Varied, load_noise
from models.training.sequence import Context, Learner, SequenceBatches, record_logits, second_windows, sequence_logits, temperature
from models.training.tasks.qrs import trained

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CONTEXT = Context(seconds=30, least=9, hop=5)
HIDDEN = 48
CLASSES = 4
PLAN = Plan(epochs=32, steps=160, batch=32, peak_rate=4e-3, weight_decay=0.02, warm_up=0.1)
AGAIN = Plan(epochs=24, steps=160, batch=32, peak_rate=2.5e-3, weight_decay=0.02, warm_up=0.1, seed=2)  # a second cycle from there on
CLASS_WEIGHTS = (1.0, 2.0, 1.3, 3.0)  # N A O ~


def learner(trunk: Trunk) -> Learner:
    """The network of this task."""
    column = Column(WIDTHS)
    return Learner(trunk, column, SequenceDecoder(column.down[-1].mix.out_channels, HIDDEN, CLASSES))


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


def judge(net: Learner, recordings: Recordings, members: Ints, pieces_s: Sequence[int] = (10,)) -> tuple[dict[str, float], Floats]:
    """F1 figures on whole records and on pieces by themselves, and the logits of the records (R, 4)."""
    truth = recordings.labels[members]
    logits = np.stack([record_logits(net, recordings.signal(int(r)), CONTEXT) for r in members])
    each = f1(truth, logits.argmax(axis=1))
    figures = {"records": challenge_score(truth, logits.argmax(axis=1)), **{f"F1 {c}": float(v) for c, v in zip("NAO~", each, strict=True)}}
    for seconds in pieces_s:
        answers, labels = [], []
        for record in members:
            signal, n = recordings.signal(int(record)), seconds * FS_HZ
            n = min(n, len(signal))
            for end in range(len(signal) % n + n, len(signal) + 1, n):
                windows = second_windows(signal[end - n : end])
                answers.append(sequence_logits(net, windows, np.array([len(windows)]), CONTEXT.seconds)[0])
                labels.append(recordings.labels[record])
        figures[f"{seconds} s"] = challenge_score(np.array(labels), np.stack(answers).argmax(axis=1))
    return figures, logits


def load_trunk(runs: Path, name: str) -> Trunk:
    """The trunk of a trained first task."""
    return trained(runs / f"qrs-{name}.pt").trunk


def learn(name: str, recordings: Recordings, noises: Sequence[Floats], runs: Path) -> None:
    """Train the task beside the trunk called `name`; its figures go to rhythm-NAME.json."""
    parts = split(recordings.labels, 0 if name == "final" else int(name.removeprefix("fold")))
    torch.manual_seed(PLAN.seed)
    net = learner(load_trunk(runs, name))
    batches = SequenceBatches(recordings, parts.train, Varied(noises, 0), CONTEXT, CLASS_WEIGHTS)
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
