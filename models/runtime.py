"""Artifacts served by ONNX Runtime: one network, its InputSpec, and a run that gives each row the same numbers in any company."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from ingest.errors import BadInputError
from models.windows import InputSpec

ARTIFACTS = Path(__file__).parent / "artifacts"
REMEDY = "Restore models/artifacts from the repository (git checkout models/artifacts), or export the model again."


class Network:
    """A network loaded from an artifact folder (model.onnx, spec.json, card.md).

    Always runs batches of exactly `batch` rows, the last one filled up with zeros: ONNX Runtime picks its kernels by shape, so a fixed
    shape makes a row's result the same whichever rows come along. Batches of 16 are about the quickest: larger ones fall out of the
    cache.

    Raises BadInputError where a file is missing or does not match its spec.json.
    """

    def __init__(self, folder: Path, batch: int = 16) -> None:
        self.name = folder.name
        self.batch = batch
        self.meta = _verified(folder)
        self.spec = InputSpec(**self.meta["input"])
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        self._session = ort.InferenceSession(str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"])
        self._input = self._session.get_inputs()[0].name

    def run(self, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Logits (B, ...) of scaled windows x (B, length)."""
        filled = -(-len(x) // self.batch) * self.batch
        padded = np.zeros((filled, 1, x.shape[1]), dtype=np.float32)
        padded[: len(x), 0] = x
        parts = [self._session.run(None, {self._input: padded[i : i + self.batch]})[0] for i in range(0, filled, self.batch)]
        return np.concatenate(parts)[: len(x)]


def names() -> list[str]:
    """The artifacts that ship with the product."""
    return sorted(path.parent.name for path in ARTIFACTS.glob("*/spec.json"))


def load(name: str) -> Network:
    """A shipped artifact by name. Raises BadInputError, listing those there are."""
    if name not in names():
        raise BadInputError(f"no model named {name!r}", f"There are: {', '.join(names())}.")
    return Network(ARTIFACTS / name)


def _verified(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / "spec.json").read_text())
        digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    except (OSError, ValueError) as error:
        raise BadInputError(f"model {folder.name}: {error}", REMEDY) from error
    if digest != meta["sha256"]:
        raise BadInputError(f"model {folder.name}: model.onnx is not the file that spec.json describes", REMEDY)
    return meta
