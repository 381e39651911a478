"""Explains the answer of a trained network for a window of a record."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ecgwatch.modelling import extra
from ingest.errors import BadInputError
from ingest.sources.wfdb_record import WfdbSource
from models.occlusion import occlusion
from models.serving import catalogue
from models.serving.runtime import Model, Network
from models.signal.conditioning import FS_HZ, condition
from models.signal.windows import cut
from stream_processor.pipeline.explaining import ASKED, Question, reasons

Floats = npt.NDArray[np.float32]

HIDDEN_S, STEP_S = 0.4, 0.2  # width of an occluded part, and distance between two of them


class Explained(NamedTuple):
    """A window, the network's answer, and the weight of each part of the window."""

    start_s: float
    window: Floats  # (T,) as the network sees it
    probabilities: dict[str, float]
    answer: str
    weights: dict[str, Floats]  # of equal parts of the window, by the name of the explanation


def explain_anything(
    record: Path, model: str, at_s: float | None, what: str, label: str | None
) -> Explained:
    """Explain a shipped model by name, or whatever a folder holds. Raises BadInputError."""
    artifact = catalogue.find(model)
    if "kind" in artifact.spec:
        return explain(record, artifact.folder, at_s, label)
    if what not in ASKED:
        raise BadInputError(f"nothing is called {what!r}", f"There are: {', '.join(ASKED)}.")
    if label is not None:
        raise BadInputError(f"{artifact.name} explains the answer it gives", "Leave out --class.")
    return explain_model(record, artifact.folder, at_s, what)


def explain_model(record: Path, folder: Path, at_s: float | None, question: Question) -> Explained:
    """Explain what a model of several tasks, such as the deployed one, says at `at_s` (default: 30 s
    after the start) by hiding parts of the signal from its stages.

    Raises BadInputError if it says nothing there.
    """
    signal = conditioned(record)
    at = round((30.0 if at_s is None else at_s) * FS_HZ)
    found = reasons(Model(folder), signal, at, question)
    if found is None:
        problem = f"{record}: the model says nothing of a {question} at {at / FS_HZ:g} s"
        remedy = f"--at: a beat's R peak, or a place from 10 to {len(signal) / FS_HZ:g} s."
        raise BadInputError(problem, remedy)
    shown = signal[found.first : found.first + len(found.weights) * found.step]
    window = np.asarray(shown / max(float(np.sqrt(np.mean(shown**2))), 0.01), np.float32)
    probabilities_by_class = {found.label: found.probability}
    return Explained(
        found.first / FS_HZ,
        window,
        probabilities_by_class,
        found.label,
        {"occlusion": found.weights},
    )


def explain(record: Path, folder: Path, at_s: float | None, label: str | None) -> Explained:
    """Explain why the network of an artifact folder answers `label` (default: its answer) for the
    window that ends at `at_s` (default: the first whole one).

    Raises BadInputError if the network does not answer per window of one lead, the record is too
    short, or the label is not one of its classes.
    """
    network = Network(folder)
    if network.meta["kind"] != "classes" or network.meta.get("rows", 1) != 1:
        raise BadInputError(
            f"{folder} does not answer for windows of one lead", "Give a network of rhythm_10s."
        )
    signal, length = conditioned(record), network.spec.length
    end = length if at_s is None else round(at_s * FS_HZ)
    if not length <= end <= len(signal):
        whole = f"{length / FS_HZ:g} and {len(signal) / FS_HZ:g} s"
        raise BadInputError(f"{record}: no whole window ends there", f"--at: between {whole}.")
    window = cut(signal, np.array([end]), network.spec)[0]
    classes = list(network.meta["outputs"])
    probabilities = softmax(network.run(window[None]))[0]
    answer = label or classes[int(probabilities.argmax())]
    if answer not in classes:
        raise BadInputError(f"no class {answer!r}", f"There are: {', '.join(classes)}.")
    target = classes.index(answer)
    covered = occlusion(
        lambda x: softmax(network.run(x))[:, target],
        window,
        round(HIDDEN_S * FS_HZ),
        round(STEP_S * FS_HZ),
    )
    weights = {"occlusion": covered}
    if extra.is_installed():
        explain: Callable[[Path, Floats, int], dict[str, Floats]] = extra.training(
            "explain"
        ).explain_network
        weights |= explain(folder, window, target)
    probabilities_by_class = dict(zip(classes, probabilities.tolist(), strict=True))
    return Explained((end - length) / FS_HZ, window, probabilities_by_class, answer, weights)


def conditioned(record: Path) -> Floats:
    """Condition the first lead of a record as the stages do: (n,) mV at 125 Hz."""
    source = WfdbSource(record)
    counts = np.concatenate([block.counts for block in source.blocks()])
    return condition(counts, source.fs_hz, source.counts_per_mv)


def softmax(logits: Floats) -> Floats:
    """Return the softmax of logits (n, K)."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def lines(found: Explained) -> list[str]:
    """Return lines for the terminal: the answer, and the times that weigh most for it."""
    probabilities_by_class = ", ".join(f"{c} {p:.2f}" for c, p in found.probabilities.items())
    text = [f"from {found.start_s:g} s: {probabilities_by_class}; why {found.answer}:"]
    seconds = len(found.window) / FS_HZ
    for name, values in found.weights.items():
        places = np.argsort(-values)[:3]
        at = ", ".join(f"{found.start_s + (k + 0.5) * seconds / len(values):.1f}" for k in places)
        text.append(f"  {name}: most at {at} s")
    return text
