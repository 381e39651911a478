"""Description of artifacts from their spec.json, without loading their networks.

An artifact is one network (model.onnx) or several files that work together, such as a backbone and
its decoders, which its spec.json lists:
    "files": {"backbone": {"sha256": ..., "macs": ..., "parameters": ..., "every_s": 1.0}, ...}
NAME stands for NAME.onnx, or for the folder NAME with one .onnx in it. Figures are one value per
fold: {"QRS F1, %": [99.8, 99.9, 99.7]}.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.errors import BadInputError
from models.serving.runtime import ARTIFACTS, REMEDY


@dataclass(frozen=True)
class OnnxFile:
    """One ONNX file."""

    name: str
    path: Path
    parameters: int | None
    macs: int | None  # multiply-accumulates of one row

    # seconds of one patient's signal between two rows; None: not at fixed times
    every_s: float | None

    @property
    def mmac_per_second(self) -> float | None:
        """Million multiply-accumulates per patient-second."""
        return None if self.macs is None or not self.every_s else self.macs / self.every_s / 1e6


@dataclass(frozen=True)
class Artifact:
    """An artifact folder."""

    name: str
    folder: Path
    spec: dict[str, Any]
    parts: tuple[OnnxFile, ...]

    @property
    def parameters(self) -> int | None:
        """Parameters of all files; None if a file does not state them."""
        counts = [p.parameters for p in self.parts]
        return None if None in counts else sum(c for c in counts if c is not None)

    @property
    def mmac_per_second(self) -> float | None:
        """Million multiply-accumulates per patient-second of all files that run at fixed times;
        None if one of those does not state them."""
        costs = [p.mmac_per_second for p in self.parts if p.every_s]
        return None if None in costs or not costs else sum(c for c in costs if c is not None)

    @property
    def kilobytes(self) -> float:
        """Size of all ONNX files, kB."""
        return sum(p.path.stat().st_size for p in self.parts) / 1e3

    @property
    def tasks(self) -> tuple[str, ...]:
        """Names of the tasks that it answers."""
        named = self.spec.get("tasks") or self.spec.get("task") or self.name
        if isinstance(named, str):
            return (named,)
        # tasks of the deployed network after its first two
        later = tuple(task["name"] for task in named if isinstance(task, dict))
        others = tuple(network["name"] for network in self.spec.get("networks", []))
        return ("qrs", "beat_class", *later, *others) if later else tuple(named)

    @property
    def figures(self) -> dict[str, tuple[float, ...]]:
        """Figures by name, one value per fold."""
        return {
            name: tuple(v) if isinstance(v, list) else (v,)
            for name, v in self.spec.get("figures", {}).items()
        }

    @property
    def card(self) -> str:
        """The model card, or "" if there is none."""
        path = self.folder / "card.md"
        return path.read_text() if path.exists() else ""


def format_folds(values: tuple[float, ...]) -> str:
    """Format the mean over folds, with their standard deviation if there are several."""
    mean = f"{statistics.mean(values):.4g}"
    return f"{mean} ± {statistics.pstdev(values):.2g}" if len(values) > 1 else mean


def read(folder: Path) -> Artifact:
    """Read an artifact folder. Raises BadInputError if spec.json or a file that it lists is
    missing."""
    try:
        spec: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(f"model {folder.name}: {error}", REMEDY) from error
    files = spec.get("files") or {
        "model": spec | {"macs": spec.get("macs_per_window"), "every_s": _hop_s(spec)}
    }
    parts = [
        OnnxFile(name, _onnx(folder, name), f.get("parameters"), f.get("macs"), f.get("every_s"))
        for name, f in files.items()
    ]
    return Artifact(folder.name, folder, spec, tuple(parts))


def shipped() -> list[Artifact]:
    """Return the artifacts that ship with the product."""
    return [read(path.parent) for path in sorted(ARTIFACTS.glob("*/spec.json"))]


def find(name: str) -> Artifact:
    """Find a shipped artifact by name, or any artifact by the path of its folder. Raises
    BadInputError that lists the shipped names."""
    for folder in (ARTIFACTS / name, Path(name).expanduser()):
        if (folder / "spec.json").exists():
            return read(folder)
    names = ", ".join(path.parent.name for path in sorted(ARTIFACTS.glob("*/spec.json")))
    raise BadInputError(
        f"no model named {name!r}", f"There are: {names}. Or give the folder of an artifact."
    )


def _hop_s(spec: dict[str, Any]) -> float | None:
    window = spec.get("input", {})
    return window["hop"] / window["fs_hz"] if {"hop", "fs_hz"} <= set(window) else None


def _onnx(folder: Path, name: str) -> Path:
    choices = [folder / f"{name}.onnx", *sorted((folder / name).glob("*.onnx"))]
    for path in choices:
        if path.exists():
            return path
    raise BadInputError(f"model {folder.name}: there is no {name}.onnx", REMEDY)
