"""Artifacts served by ONNX Runtime: the networks of a model folder, and runs that give each row the
same numbers in any company.

A model folder holds spec.json, card.md, backbone.onnx and one ONNX file per decoder. The backbone
runs once per patient and second; the decoders read what it found (models/architectures/ecgcl.py).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import msgspec
import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ingest.errors import BadInputError
from models.signal.windows import LEVEL_MEAN, LEVEL_SD, InputSpec

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
DEPLOYED = "ecgcl"  # what the processor runs
BATCH = 16  # rows per run: about the quickest, larger batches fall out of the cache
REMEDY = "Restore models/artifacts from the repository (git checkout models/artifacts), or export the model again."

Floats = npt.NDArray[np.float32]


class Graph:
    """One ONNX file.

    Always runs batches of exactly BATCH rows, the last one filled up with zeros: ONNX Runtime picks
    its kernels by shape, so a fixed shape makes a row's result the same whichever rows come along.
    """

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [i.name for i in self._session.get_inputs()]

    def run(self, *inputs: Floats) -> list[Floats]:
        """The outputs (n, ...) for inputs (n, ...), n >= 1."""
        count = len(inputs[0])
        parts = []
        for first in range(0, count, BATCH):
            rows = [np.asarray(x[first : first + BATCH], dtype=np.float32) for x in inputs]
            if missing := BATCH - len(rows[0]):
                rows = [
                    np.concatenate([x, np.zeros((missing, *x.shape[1:]), np.float32)]) for x in rows
                ]
            parts.append(self._session.run(None, dict(zip(self._inputs, rows, strict=True))))
        return [np.concatenate(column)[:count] for column in zip(*parts, strict=True)]


class Network:
    """An artifact of a single network (model.onnx, spec.json), such as
    models/training/release/windowed_export.py writes."""

    def __init__(self, folder: Path) -> None:
        try:
            self.meta: dict[str, Any] = json.loads((folder / "spec.json").read_text())
            _verify(folder, "model", self.meta["sha256"])
        except (OSError, ValueError) as error:
            raise BadInputError(f"model {folder.name}: {error}", REMEDY) from error
        self.name, self.spec = folder.name, InputSpec(**self.meta["input"])
        self._graph = Graph(folder / "model.onnx")

    def run(self, x: Floats) -> Floats:
        """Logits (n, ...) of scaled windows (n, length), or (n, rows, length) where a window has
        several rows."""
        return self._graph.run(x[:, None] if x.ndim == 2 else x)[0]


class TaskSpec(msgspec.Struct, frozen=True):
    """A task that answers from the backbone's features of the last seconds."""

    name: str
    classes: list[str]
    channels: tuple[int, int]  # of the backbone's steps: from, and up to
    level: bool  # whether the signal's size comes after them
    seconds: int  # of context
    least: int  # seconds of signal before the first answer
    hop: int  # seconds between answers
    # whether the decoder also sees the beats of these seconds (models/beats/last_beats.py)
    beats: bool = False


class FileSpec(msgspec.Struct, frozen=True):
    """One ONNX file, NAME.onnx."""

    sha256: str
    parameters: int
    macs: int  # multiply-accumulates of one row
    # seconds of one patient's signal between two rows; None: one row per beat
    every_s: float | None


class Spec(msgspec.Struct):
    """spec.json of a model folder."""

    name: str
    architecture: str
    version: str  # changes whenever a file does
    input: InputSpec
    tasks: list[TaskSpec]
    files: dict[str, FileSpec]
    beat_lean: list[float]  # added to the logits of the beat classes before one is chosen
    figures: dict[str, list[float]] = {}  # one value per fold
    about: dict[str, Any] = {}
    beat_classes: tuple[str, ...] = ("N", "S", "V", "F", "Q")


# What the tasks that the product acts on must tell apart. A model may have them in any order.
CLASSES: dict[str, tuple[str, ...]] = {
    "beats": ("N", "S", "V", "F", "Q"),
    "rhythm": ("N", "AFIB", "O", "~"),
    "lethal": ("none", "VT", "VF", "ASYS"),
}


class Model:
    """A loaded model folder; classes of the tasks in CLASSES are in that order, whatever order the
    networks have them in. Raises BadInputError where a file is missing, damaged, or not the one
    that spec.json describes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = read_spec(folder)
        self.input = self.spec.input
        self._order = {
            task.name: _order(folder, task.name, task.classes) for task in self.spec.tasks
        }
        self._order["beats"] = _order(folder, "beats", self.spec.beat_classes)
        self.tasks = {task.name: _ordered(task) for task in self.spec.tasks}
        self._beats = Graph(folder / "beats.onnx")
        self._lean = np.array(self.spec.beat_lean, np.float64)[self._order["beats"]]
        self._backbone = Graph(folder / "backbone.onnx")
        self._decoders = {name: Graph(folder / f"{name}.onnx") for name in self.tasks}

    def segment(self, x: Floats) -> tuple[Floats, Floats]:
        """Scaled windows (n, length) to the logits of a QRS, (n, length), and all tasks' steps of
        the new second, (n, 4, channels)."""
        mask, steps = self._backbone.run(x[:, None])
        return mask[:, 0], steps

    def classify_beats(self, features: Floats) -> npt.NDArray[np.float64]:
        """Beats in their context (n, FEATURES) to logits of N S V F Q (n, 5)."""
        logits = self._beats.run(features[:, None])[0].astype(np.float64)
        return np.ascontiguousarray(logits[:, self._order["beats"]])

    def decide(self, logits: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], list[int]]:
        """Logits of beats (n, 5), after the vote of models/beats/votes.py, to probabilities (n, 5),
        and which class each is called."""
        return _softmax(logits), (logits + self._lean).argmax(axis=1).tolist()

    def decode(
        self, task: str, steps: Floats, known: Floats, *beats: Floats
    ) -> npt.NDArray[np.float64]:
        """Steps of a task (n, S, channels), oldest first, and which of them exist, (n, S), to
        probabilities (n, classes).

        A task that sees beats gets them too, as the two arrays of models/beats/last_beats.py.
        """
        logits = self._decoders[task].run(steps, known[:, :, None], *beats)[0].astype(np.float64)
        return _softmax(logits[:, self._order[task]])


def _order(folder: Path, task: str, classes: Sequence[str]) -> list[int]:
    """Where each of our classes is among the network's."""
    ours = CLASSES.get(task, tuple(classes))
    if sorted(ours) != sorted(classes):
        problem = f"model {folder.name}: task {task} has the classes {', '.join(classes)}"
        raise BadInputError(problem, f"The product acts on {', '.join(ours)}, in any order.")
    return [classes.index(name) for name in ours]


def _ordered(task: TaskSpec) -> TaskSpec:
    return msgspec.structs.replace(task, classes=list(CLASSES.get(task.name, task.classes)))


@runtime_checkable
class UsesModel(Protocol):
    """Whatever answers by a model, and can go on with one that extends it."""

    def use(self, model: Model) -> None:
        """Answer by this model from now on."""
        ...


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(n, K) to the same."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def size(mv: Floats) -> Floats:
    """What windows were divided by, (n,) in mV, as a channel of the steps: about -2 to 2."""
    return np.asarray((np.log(mv) - LEVEL_MEAN) / LEVEL_SD, dtype=np.float32)


def read_spec(folder: Path) -> Spec:
    """What a model folder says of itself, checked against its files."""
    try:
        spec = msgspec.json.decode((folder / "spec.json").read_bytes(), type=Spec)
        for name, file in spec.files.items():
            _verify(folder, name, file.sha256)
    except (OSError, msgspec.MsgspecError) as error:
        raise BadInputError(f"model {folder.name}: {error}", REMEDY) from error
    return spec


def _verify(folder: Path, name: str, sha256: str) -> None:
    if hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest() != sha256:
        raise BadInputError(
            f"model {folder.name}: {name}.onnx is not the file that spec.json describes", REMEDY
        )


def load(name: str = DEPLOYED) -> Model:
    """A shipped model by name. Raises BadInputError, listing those there are."""
    if name not in names():
        raise BadInputError(f"no model named {name!r}", f"There are: {', '.join(names())}.")
    return Model(ARTIFACTS / name)


def names() -> list[str]:
    """The models that ship with the product."""
    return sorted(path.parent.name for path in ARTIFACTS.glob("*/spec.json"))
