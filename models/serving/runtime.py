"""Runs the networks of a model folder by ONNX Runtime, so that a row's result does not depend on
the other rows of its batch.

A model folder holds spec.json, card.md, backbone.onnx and one ONNX file per decoder. The backbone
runs once per patient and second; the decoders read its output (models/architectures/ecgcl.py).
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

from ingest.errors import BadInputError
from models.signal.windows import LEVEL_MEAN, LEVEL_SD, InputSpec

ARTIFACTS = Path(__file__).parents[1] / "artifacts"
DEPLOYED = "ecgcl"  # name of the model that processors run
BATCH = 16  # rows per run: about the fastest, because larger batches do not fit into the cache
REMEDY = "Restore models/artifacts from the repository (git checkout models/artifacts), or export the model again."

Floats = npt.NDArray[np.float32]


class Graph:
    """One ONNX file.

    It always runs batches of exactly BATCH rows, the last one filled up with zeros: ONNX Runtime
    picks its kernels by shape, so a fixed shape makes a row's result independent of the other rows.
    """

    def __init__(self, path: Path) -> None:
        import onnxruntime as ort  # slow, and commands that only name a model do without it

        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self._inputs = [i.name for i in self._session.get_inputs()]

    def run(self, *inputs: Floats) -> list[Floats]:
        """Return the outputs (n, ...) for inputs (n, ...), n >= 1."""
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
    """An artifact of a single network (model.onnx, spec.json), as
    models/training/release/windowed_export.py writes it.

    Raises BadInputError if a file is missing or is not the one that spec.json describes.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self.meta: dict[str, Any] = json.loads((folder / "spec.json").read_text())
            _verify(folder, "model", self.meta["sha256"])
        except (OSError, ValueError) as error:
            raise BadInputError(f"model {folder.name}: {error}", REMEDY) from error
        self.name, self.spec = folder.name, InputSpec(**self.meta["input"])
        self._graph = Graph(folder / "model.onnx")

    def run(self, x: Floats) -> Floats:
        """Return logits (n, ...) of scaled windows (n, length), or (n, rows, length) if a window
        has several rows."""
        return self._graph.run(x[:, None] if x.ndim == 2 else x)[0]


class TaskSpec(msgspec.Struct, frozen=True):
    """A task that answers from the backbone's features of the last seconds."""

    name: str
    classes: list[str]
    channels: tuple[int, int]  # of the backbone's steps: first, and one past the last
    level: bool  # the signal's size is one more channel after them
    seconds: int  # of context
    least: int  # seconds of signal before the first answer
    hop: int  # seconds between answers
    # the decoder also gets the beats of these seconds (models/beats/last_beats.py)
    beats: bool = False


class FileSpec(msgspec.Struct, frozen=True):
    """One ONNX file, NAME.onnx."""

    sha256: str
    parameters: int
    macs: int  # multiply-accumulates of one row
    # seconds of one patient's signal between two rows; None: one row per beat
    every_s: float | None


class NetworkSpec(msgspec.Struct, frozen=True):
    """A network of any architecture that answers from windows of its own, beside the tasks of the
    backbone."""

    name: str
    classes: list[str]
    architecture: str
    input: InputSpec


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
    networks: list[NetworkSpec] = []

    def versioned(self) -> Spec:
        """The same with the version that follows from its files."""
        digests = "".join(file.sha256 for file in self.files.values())
        version = hashlib.sha256(digests.encode()).hexdigest()[:12]
        return msgspec.structs.replace(self, version=version)


# Classes of the tasks that the product acts on. A model may have them in any order.
CLASSES: dict[str, tuple[str, ...]] = {
    "beats": ("N", "S", "V", "F", "Q"),
    "rhythm": ("N", "AFIB", "O", "~"),
    "lethal": ("none", "VT", "VF", "ASYS"),
}


class Model:
    """A loaded model folder.

    The classes of tasks in CLASSES are in that order, whatever their order in the networks. Raises
    BadInputError if a file is missing, damaged, or not the one that spec.json describes.
    """

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
        self._networks = {n.name: Graph(folder / f"{n.name}.onnx") for n in self.spec.networks}

    def segment(self, x: Floats) -> tuple[Floats, Floats]:
        """Run the backbone on scaled windows (n, length).

        Returns the logits of a QRS (n, length) and the steps of the new second for all tasks (n, 4,
        channels).
        """
        mask, steps = self._backbone.run(x[:, None])
        return mask[:, 0], steps

    def classify_beats(self, features: Floats) -> npt.NDArray[np.float64]:
        """Return logits of N S V F Q (n, 5) for features of beats (n, FEATURES)."""
        logits = self._beats.run(features[:, None])[0].astype(np.float64)
        return np.ascontiguousarray(logits[:, self._order["beats"]])

    def decide(self, logits: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], list[int]]:
        """Return probabilities (n, 5) and the chosen class of each beat, from logits (n, 5) after
        the vote of models/beats/votes.py."""
        return _softmax(logits), (logits + self._lean).argmax(axis=1).tolist()

    def decode(
        self, task: str, steps: Floats, known: Floats, *beats: Floats
    ) -> npt.NDArray[np.float64]:
        """Return probabilities (n, classes) of a task.

        Args:
            task: its name.
            steps: (n, S, channels), oldest first.
            known: (n, S), 1 for steps that exist.
            beats: the two arrays of models/beats/last_beats.py, if the task uses beats.
        """
        logits = self._decoders[task].run(steps, known[:, :, None], *beats)[0].astype(np.float64)
        return _softmax(logits[:, self._order[task]])

    def answer(self, network: str, x: Floats) -> npt.NDArray[np.float64]:
        """Return probabilities (n, classes) of one of spec.networks, for scaled windows (n,
        length)."""
        return _softmax(self._networks[network].run(x[:, None])[0].astype(np.float64))


def _order(folder: Path, task: str, classes: Sequence[str]) -> list[int]:
    """Return the index of each of our classes among the network's. Raises BadInputError if they
    differ."""
    ours = CLASSES.get(task, tuple(classes))
    if sorted(ours) != sorted(classes):
        problem = f"model {folder.name}: task {task} has the classes {', '.join(classes)}"
        raise BadInputError(problem, f"The product acts on {', '.join(ours)}, in any order.")
    return [classes.index(name) for name in ours]


def _ordered(task: TaskSpec) -> TaskSpec:
    return msgspec.structs.replace(task, classes=list(CLASSES.get(task.name, task.classes)))


@runtime_checkable
class UsesModel(Protocol):
    """A stage that answers by a model, and can go on with one that extends it."""

    def use(self, model: Model) -> None:
        """Use this model from now on."""
        ...


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the softmax of logits (n, K)."""
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def size(mv: Floats) -> Floats:
    """Return the scale of windows (n,), mV, as a channel of the steps: about -2 to 2."""
    return np.asarray((np.log(mv) - LEVEL_MEAN) / LEVEL_SD, dtype=np.float32)


def read_spec(folder: Path) -> Spec:
    """Read spec.json of a model folder and check the files against it. Raises BadInputError."""
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
    """Load a shipped model by name. Raises BadInputError that lists the names."""
    if name not in names():
        raise BadInputError(f"no model named {name!r}", f"There are: {', '.join(names())}.")
    return Model(ARTIFACTS / name)


def names() -> list[str]:
    """Return the names of the models that ship with the product."""
    return sorted(path.parent.name for path in ARTIFACTS.glob("*/spec.json"))
