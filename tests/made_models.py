"""Model folders for tests, made of the shipped one without torch."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import msgspec

from models.beats.templates import FEATURES
from models.serving.runtime import ARTIFACTS, DEPLOYED, Spec
from models.signal.windows import InputSpec

SHIPPED = ARTIFACTS / DEPLOYED


def copied(folder: Path, base: Path = SHIPPED) -> Path:
    """A model folder of its own."""
    folder.mkdir(parents=True)
    for path in base.iterdir():
        if path.is_file():
            shutil.copy(path, folder / path.name)
    return folder


def extended(folder: Path, base: Path = SHIPPED, name: str = "again") -> Path:
    """`base` with one task more: what `rhythm` says, in other words."""
    copied(folder, base)
    spec = _read(folder)
    (rhythm,) = (task for task in spec.tasks if task.name == "rhythm")
    shutil.copy(folder / "rhythm.onnx", folder / f"{name}.onnx")
    task = msgspec.structs.replace(
        rhythm, name=name, classes=[f"{name} {label}" for label in rhythm.classes]
    )
    rewritten(
        folder,
        tasks=[*spec.tasks, task],
        files=spec.files | {name: spec.files["rhythm"]},
        version=f"{spec.version} {name}",
    )
    return folder


def network(folder: Path, labels: tuple[str, ...] = ("a", "b", "c", "d", "e")) -> Path:
    """A single network of one lead, as a training leaves it: the head of the beat classes, which
    takes any window of its size."""
    folder.mkdir(parents=True)
    shutil.copy(SHIPPED / "beats.onnx", folder / "model.onnx")
    meta = {
        "architecture": "made_up",
        "task": "rhythm_10s",
        "kind": "classes",
        "outputs": list(labels),
        "input": InputSpec(before=FEATURES - 125, hop=125, after=0, offset=0).as_dict(),
        "rows": 1,
        "extra": 0,
        "parameters": 1,
        "macs_per_window": 1,
        "sha256": hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest(),
    }
    (folder / "spec.json").write_text(json.dumps(meta))
    return folder


def described(folder: Path, name: str) -> None:
    """NAME.onnx has changed: spec.json says so."""
    digest = hashlib.sha256((folder / f"{name}.onnx").read_bytes()).hexdigest()
    files = _read(folder).files
    rewritten(
        folder,
        files=files | {name: msgspec.structs.replace(files[name], sha256=digest)},
        version=digest[:12],
    )


def rewritten(folder: Path, **fields: object) -> None:
    """spec.json with other fields."""
    (folder / "spec.json").write_bytes(
        msgspec.json.encode(msgspec.structs.replace(_read(folder), **fields))
    )


def _read(folder: Path) -> Spec:
    return msgspec.json.decode((folder / "spec.json").read_bytes(), type=Spec)
