"""T3, rhythm (normal, atrial fibrillation, other, unreadable) from 9 to 30 s: a column and a
sequence decoder beside a frozen trunk, and a decoder of the beats that the trunk finds; the mean of
both decoders' logits answers.

A tenth of the records that a network may see fits the temperature. shipped.py says which records
those are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from models.architectures.beat_decoder import BeatDecoder
from models.architectures.ecgcl import WIDTHS, Column, SequenceDecoder, Trunk
from models.signal.conditioning import FS_HZ
from models.training.data import cinc2017
from models.training.data.cinc2017 import Recordings
from models.training.data.rhythm_beats import BeatBatches, FoundBeats, Some, beat_logits
from models.training.data.rhythm_windows import Varied
from models.training.harness import TrainingPlan, train
from models.training.sequence import (
    SELDOM,
    Context,
    SequenceBatches,
    SequenceLearner,
    Young,
    record_logits,
    temperature,
)
from models.training.tasks.rhythm.scores import challenge_score, f1

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]

CONTEXT = Context(seconds=30, least=9, hop=5)
HIDDEN = 48
CLASSES = 4
PLAN = TrainingPlan(epochs=32, steps=160, batch=32, peak_rate=4e-3, weight_decay=0.02, warm_up=0.1)
# a second cycle from there on
AGAIN = TrainingPlan(
    epochs=24, steps=160, batch=32, peak_rate=2.5e-3, weight_decay=0.02, warm_up=0.1, seed=2
)
# and a third, for young streams
LAST = TrainingPlan(
    epochs=10, steps=160, batch=32, peak_rate=1.5e-3, weight_decay=0.02, warm_up=0.1, seed=3
)
YOUNG = Young(share=0.5, most=1.0)
BEATS = TrainingPlan(epochs=32, steps=180, batch=96, peak_rate=5e-3, weight_decay=0.02, warm_up=0.1)
CLASS_WEIGHTS = (1.0, 2.0, 1.3, 3.0)  # N A O ~


def learner(trunk: Trunk) -> SequenceLearner:
    """The network of this task."""
    column = Column(WIDTHS)
    return SequenceLearner(
        trunk, column, SequenceDecoder(column.down[-1].mix.out_channels, HIDDEN, CLASSES)
    )


class RhythmSplit(NamedTuple):
    """Indices of records."""

    train: Ints
    validation: Ints
    test: Ints


def split(labels: Ints, test_fold: int) -> RhythmSplit:
    """One of five folds for the test; a tenth of the others for validation."""
    test = cinc2017.folds(labels) == test_fold
    rest = np.flatnonzero(~test)
    tenth = cinc2017.folds(labels[rest], count=10, seed=cinc2017.SPLIT_SEED + 1) == 0
    return RhythmSplit(rest[~tenth], rest[tenth], np.flatnonzero(test))


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


def of_steps(net: SequenceLearner, recordings: Recordings) -> View:
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
    results: dict[str, float] = {}
    for name, some in parts.items():
        truth, logits = recordings.labels[[p.record for p in some]], [view(some) for view in views]
        predicted = np.mean(logits, axis=0).argmax(axis=1)
        results[name] = challenge_score(truth, predicted)
        if name == "records":
            results |= {
                f"F1 {c}": float(v) for c, v in zip("NAO~", f1(truth, predicted), strict=True)
            }
        results |= {
            f"{name}, {view}": challenge_score(truth, z.argmax(axis=1))
            for view, z in zip(("steps", "beats"), logits, strict=True)
        }
    return results


class Data(NamedTuple):
    """The training data of the task."""

    recordings: Recordings
    found: FoundBeats  # the beats that the first task finds in them
    noises: Sequence[Floats]
    seed: int

    def batches(self, members: Ints, young: Young = SELDOM) -> SequenceBatches:
        """Draw batches for the column and its decoder from these records."""
        varied = Varied(self.noises, 0)
        return SequenceBatches(self.recordings, members, varied, CONTEXT, CLASS_WEIGHTS, young)

    def planned(self, plan: TrainingPlan) -> TrainingPlan:
        """A plan with random numbers of its own for each seed."""
        return replace(plan, seed=plan.seed + 10 * (self.seed - 1))


class LearnedRhythm(NamedTuple):
    """The trained task."""

    net: SequenceLearner
    beats: BeatDecoder
    divisor: float  # temperature of both decoders together
    begun: dict[str, Any]  # state of `net` before its last cycle

    def views(self, data: Data) -> list[View]:
        """Both decoders' logits."""
        return [of_steps(self.net, data.recordings), of_beats(self.beats, data.found)]


def learn(name: str, trunk: Trunk, data: Data, parts: RhythmSplit, runs: Path) -> LearnedRhythm:
    """Train the task beside this trunk; checkpoints are runs/rhythm-NAME*.pt."""
    torch.manual_seed(data.planned(PLAN).seed)
    net = learner(trunk)
    batches = data.batches(parts.train)
    train(net, batches, data.planned(PLAN), runs / f"rhythm-{name}-first.pt")
    train(net, batches, data.planned(AGAIN), runs / f"rhythm-{name}.pt")
    begun = copy.deepcopy(net.state_dict())
    learned = LearnedRhythm(net, finish(net, data, parts.train, name, runs), 1.0, begun)
    fit = whole(data.recordings, parts.validation)
    logits = np.mean([view(fit) for view in learned.views(data)], axis=0)
    divisor = temperature(logits, data.recordings.labels[parts.validation])
    return learned._replace(divisor=divisor)


def finish(net: SequenceLearner, data: Data, members: Ints, name: str, runs: Path) -> BeatDecoder:
    """The last cycle of `net`, for young streams; then train the decoder of beats."""
    last = data.planned(LAST)
    train(net, data.batches(members, YOUNG), last, runs / f"rhythm-{name}-last.pt")
    plan = data.planned(BEATS)
    torch.manual_seed(plan.seed)
    beats = BeatDecoder(CLASSES)
    batches = BeatBatches(data.found, data.recordings.labels, members, CONTEXT, CLASS_WEIGHTS)
    train(beats, batches, plan, runs / f"rhythm-{name}-beats.pt")
    return beats


def save(learned: LearnedRhythm, path: Path) -> None:
    """Save the file that models/training/release/export.py reads."""
    state = {
        "column": learned.net.column.state_dict(),
        "decoder": learned.net.decoder.state_dict(),
        "beats": learned.beats.state_dict(),
        "temperature": learned.divisor,
    }
    torch.save(state, path)
