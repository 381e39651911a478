"""T3, rhythm (normal, atrial fibrillation, other, unreadable) from 9 to 30 s: a column and a
sequence decoder beside a frozen trunk, and a decoder of the beats that the trunk finds; the mean of
both decoders' logits answers.

    python -m models.training.tasks.rhythm.train fold0 fold1 fold2 final

Fold k reads the trunk that left out fold k of MITDB; it learns from CinC 2017 without test fold k
of five, and is judged on that. `final` reads the trunk of all patients and leaves out test fold 0
of CinC 2017. A tenth of the records that a network may see fits the temperature. The shipped task
is made from `final` after that: the last cycle and the decoder of beats are trained once more with
all records, with the temperature as it was.
"""

from __future__ import annotations

import argparse
import copy
import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.architectures.beat_decoder import BeatDecoder
from models.architectures.ecgcl import WIDTHS, Column, SequenceDecoder, Trunk
from models.signal.conditioning import FS_HZ
from models.training.data import cinc2017
from models.training.data.cinc2017 import Recordings
from models.training.data.records import data_folder
from models.training.data.rhythm_beats import BeatBatches, FoundBeats, Some, beat_logits, find_beats
from models.training.data.rhythm_windows import Varied, load_noise
from models.training.harness import Plan, train
from models.training.sequence import (
    Context,
    Learner,
    SequenceBatches,
    Young,
    record_logits,
    temperature,
)
from models.training.tasks.beat_class.beats import detector
from models.training.tasks.qrs.train import trained
from models.training.tasks.rhythm.scores import challenge_score, f1

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CONTEXT = Context(seconds=30, least=9, hop=5)
HIDDEN = 48
CLASSES = 4
PLAN = Plan(epochs=32, steps=160, batch=32, peak_rate=4e-3, weight_decay=0.02, warm_up=0.1)
# a second cycle from there on
AGAIN = Plan(
    epochs=24, steps=160, batch=32, peak_rate=2.5e-3, weight_decay=0.02, warm_up=0.1, seed=2
)
# and a third, for young streams
LAST = Plan(
    epochs=10, steps=160, batch=32, peak_rate=1.5e-3, weight_decay=0.02, warm_up=0.1, seed=3
)
YOUNG = Young(share=0.5, most=1.0)
BEATS = Plan(epochs=32, steps=180, batch=96, peak_rate=5e-3, weight_decay=0.02, warm_up=0.1)
CLASS_WEIGHTS = (1.0, 2.0, 1.3, 3.0)  # N A O ~


def learner(trunk: Trunk) -> Learner:
    """The network of this task."""
    column = Column(WIDTHS)
    return Learner(
        trunk, column, SequenceDecoder(column.down[-1].mix.out_channels, HIDDEN, CLASSES)
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


class Part(NamedTuple):
    """A piece of a record that is judged by itself, as a stream of that length, or a whole
    record."""

    record: int
    begin: int  # samples
    end: int


def whole(recordings: Recordings, members: Ints) -> list[Part]:
    """Every record."""
    return [Part(int(r), 0, len(recordings.signal(int(r)))) for r in members]


def pieces(recordings: Recordings, members: Ints, seconds: int) -> list[Part]:
    """Every record in pieces, side by side up to its end."""
    found = []
    for part in whole(recordings, members):
        n = min(seconds * FS_HZ, part.end)
        found += [
            Part(part.record, end - n, end) for end in range(part.end % n + n, part.end + 1, n)
        ]
    return found


View = Callable[[Sequence[Part]], Floats]  # to logits (n, 4)


def of_steps(net: Learner, recordings: Recordings) -> View:
    """Logits of the column and its decoder: the mean over contexts a hop apart."""
    return lambda parts: np.stack(
        [record_logits(net, recordings.signal(p.record)[p.begin : p.end], CONTEXT) for p in parts]
    )


def of_beats(net: BeatDecoder, found: FoundBeats) -> View:
    """Logits of the decoder of beats, from the same contexts."""
    net.eval()

    def view(parts: Sequence[Part]) -> Floats:
        cut: list[Some] = []
        ends, first = list[int](), list[int]()
        longest, hop = CONTEXT.seconds * FS_HZ, CONTEXT.hop * FS_HZ
        for p in parts:
            first.append(len(ends))
            own = list(range(p.end, p.begin + longest - 1, -hop)) or [p.end]
            cut += [found.piece(p.record, max(p.begin, end - longest), end) for end in own]
            ends += own
        sums = np.add.reduceat(beat_logits(net, cut, ends), first)
        return np.asarray(sums / np.diff([*first, len(ends)])[:, None])

    return view


def figures(views: Sequence[View], recordings: Recordings, members: Ints) -> dict[str, float]:
    """F1 figures of the views together, on whole records and on pieces; and of each view alone."""
    parts = {
        "records": whole(recordings, members),
        **{f"{s} s": pieces(recordings, members, s) for s in (10, 20)},
    }
    told: dict[str, float] = {}
    for name, some in parts.items():
        truth, logits = recordings.labels[[p.record for p in some]], [view(some) for view in views]
        said = np.mean(logits, axis=0).argmax(axis=1)
        told[name] = challenge_score(truth, said)
        if name == "records":
            told |= {f"F1 {c}": float(v) for c, v in zip("NAO~", f1(truth, said), strict=True)}
        told |= {
            f"{name}, {view}": challenge_score(truth, z.argmax(axis=1))
            for view, z in zip(("steps", "beats"), logits, strict=True)
        }
    return told


def load_trunk(runs: Path, name: str) -> Trunk:
    """The trunk of a trained first task."""
    return trained(runs / f"qrs-{name}.pt").trunk


def learn(name: str, recordings: Recordings, noises: Sequence[Floats], runs: Path) -> None:
    """Train the task beside the trunk called `name`; its figures go to rhythm-NAME.json."""
    parts = split(recordings.labels, 0 if name == "final" else int(name.removeprefix("fold")))
    found = beats_of(name, recordings, runs)
    torch.manual_seed(PLAN.seed)
    net = learner(load_trunk(runs, name))
    batches = SequenceBatches(recordings, parts.train, Varied(noises, 0), CONTEXT, CLASS_WEIGHTS)
    train(net, batches, PLAN, runs / f"rhythm-{name}-first.pt")
    train(net, batches, AGAIN, runs / f"rhythm-{name}.pt")
    begun = copy.deepcopy(net.state_dict())

    def finish(members: Ints, called: str) -> BeatDecoder:
        batches = SequenceBatches(
            recordings, members, Varied(noises, 0), CONTEXT, CLASS_WEIGHTS, YOUNG
        )
        train(net, batches, LAST, runs / f"rhythm-{called}-last.pt")
        torch.manual_seed(BEATS.seed)
        beats = BeatDecoder(CLASSES)
        train(
            beats,
            BeatBatches(found, recordings.labels, members, CONTEXT, CLASS_WEIGHTS),
            BEATS,
            runs / f"rhythm-{called}-beats.pt",
        )
        return beats

    beats = finish(parts.train, name)
    views = [of_steps(net, recordings), of_beats(beats, found)]
    fit = whole(recordings, parts.validation)
    divisor = temperature(
        np.mean([view(fit) for view in views], axis=0), recordings.labels[parts.validation]
    )
    told = figures(views, recordings, parts.test) | {"temperature": divisor}
    save(net, beats, divisor, runs / f"rhythm-{name}-done.pt")
    (runs / f"rhythm-{name}.json").write_text(json.dumps(told, indent=1))
    print(name, {key: round(value, 4) for key, value in told.items()}, flush=True)
    if name == "final":
        net.load_state_dict(begun)
        save(
            net,
            finish(np.arange(len(recordings.labels)), "all"),
            divisor,
            runs / "rhythm-all-done.pt",
        )


def save(net: Learner, beats: BeatDecoder, divisor: float, path: Path) -> None:
    """Save the file that models/training/release/export.py reads."""
    state = {
        "column": net.column.state_dict(),
        "decoder": net.decoder.state_dict(),
        "beats": beats.state_dict(),
        "temperature": divisor,
    }
    torch.save(state, path)


def beats_of(name: str, recordings: Recordings, runs: Path) -> FoundBeats:
    """The beats that the first task called `name` finds in all records."""
    checkpoint = runs / f"qrs-{name}.pt"
    made_by = hashlib.sha256(checkpoint.read_bytes()).hexdigest()
    return find_beats(
        recordings,
        detector(checkpoint),
        made_by,
        runs.parent / "cache" / f"cinc2017-beats-{name}.npz",
    )


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="fold0, fold1, fold2, final")
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/ecgcl"), help="folder of checkpoints"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch._dynamo.config.suppress_errors = True  # without a compiler: as it is
    recordings = cinc2017.load(
        options.data / "cinc2017", options.runs.parent / "cache" / "cinc2017.npz"
    )
    noises = load_noise(options.data / "nstdb")
    for name in options.names:
        learn(name, recordings, noises, options.runs)


if __name__ == "__main__":
    main()
