"""Score a network of 30-s windows on CinC 2017 records."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from models.signal.windows import RHYTHM_SPEC, InputSpec
from models.training.data.cinc2017 import CLASSES, Recordings
from models.training.data.rhythm_windows import record_windows, short_windows

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Network = Callable[[Floats], Floats]  # (B, 3750) windows to (B, 4) logits

AT_ONCE = 16  # windows per call


def softmax(logits: Floats) -> Floats:
    """(..., C) to the same."""
    e = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def run(network: Network, windows: Floats) -> Floats:
    """(W, 3750) to (W, 4) logits, a few at a time."""
    return np.concatenate(
        [network(windows[i : i + AT_ONCE]) for i in range(0, len(windows), AT_ONCE)]
    )


def f1(truth: Ints, chosen: Ints) -> Floats:
    """F1 of each class: (4,)."""
    hits = np.array([np.sum((truth == c) & (chosen == c)) for c in range(len(CLASSES))])
    total = np.array([np.sum(truth == c) + np.sum(chosen == c) for c in range(len(CLASSES))])
    return (2 * hits / np.maximum(total, 1)).astype(np.float32)


def challenge_score(truth: Ints, chosen: Ints) -> float:
    """Mean F1 of N, A and O: the score of the challenge."""
    return float(f1(truth, chosen)[:3].mean())


def record_probabilities(
    network: Network, recordings: Recordings, members: Ints, spec: InputSpec = RHYTHM_SPEC
) -> Floats:
    """Class probabilities of whole records, averaged over their windows: (R, 4)."""
    return _averaged(network, [record_windows(recordings.signal(int(r)), spec) for r in members])


def piece_probabilities(
    network: Network,
    recordings: Recordings,
    members: Ints,
    seconds: float,
    spec: InputSpec = RHYTHM_SPEC,
) -> tuple[Ints, Floats]:
    """Return, for every piece of `seconds` by itself: the label of its record, (P,), and class
    probabilities, (P, 4)."""
    pieces = [short_windows(recordings.signal(int(r)), seconds, spec) for r in members]
    truth = np.repeat(recordings.labels[members], [len(p) for p in pieces])
    return truth, softmax(run(network, np.concatenate(pieces)))


def _averaged(network: Network, windows: Sequence[Floats]) -> Floats:
    probabilities = softmax(run(network, np.concatenate(windows)))
    starts = np.cumsum([0] + [len(w) for w in windows[:-1]])
    return np.add.reduceat(probabilities, starts) / np.array([[len(w)] for w in windows])
