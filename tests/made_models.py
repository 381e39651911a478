"""Model folders for tests, made of the shipped one without torch."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path

import msgspec

from models.serving.runtime import ARTIFACTS, DEPLOYED, Spec

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
