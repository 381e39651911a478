"""A model folder with one network more: a network of any architecture, beside the tasks that the
folder has."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import msgspec

from ingest.errors import BadInputError
from models.serving.runtime import FileSpec, NetworkSpec, Spec, read_spec
from models.signal.windows import InputSpec

SEVERAL = "diagnosis"  # tasks that may answer several labels at once


def is_network(folder: Path) -> bool:
    """Return whether a folder holds a single network (models/training/release/windowed_export.py)
    rather than a model of several tasks."""
    return "kind" in _meta(folder)


def join(base: Path, network: Path, out: Path) -> Spec:
    """Write `base` with the network of the folder `network` to `out`; one of the same name is
    replaced. Return the specification.

    Raises BadInputError if the network does not answer a window of one lead with one class, or has
    the name of a task.
    """
    spec, meta = read_spec(base), _meta(network)
    one = NetworkSpec(
        name_of(meta), list(meta["outputs"]), meta["architecture"], InputSpec(**meta["input"])
    )
    problem = _problem(meta, one)
    if problem is None and one.name in {*(task.name for task in spec.tasks), "beats", "backbone"}:
        problem = f"the model has a task {one.name!r}"
    if problem is not None:
        remedy = "Deploy a network of a task that is answered by windows of one lead: rhythm_10s, rhythm or lethal."
        raise BadInputError(f"{network} cannot run beside the built-in tasks: {problem}", remedy)
    shutil.copytree(base, out, ignore=shutil.ignore_patterns("folds"))
    shutil.copy(network / "model.onnx", out / f"{one.name}.onnx")
    every_s = one.input.hop / one.input.fs_hz
    file = FileSpec(meta["sha256"], meta["parameters"], meta["macs_per_window"], every_s)
    joined = msgspec.structs.replace(
        spec,
        files=spec.files | {one.name: file},
        networks=[*(n for n in spec.networks if n.name != one.name), one],
    ).versioned()
    text = json.dumps(msgspec.to_builtins(joined), indent=1)
    (out / "spec.json").write_text(text + "\n")
    return joined


def name_of(meta: dict[str, Any]) -> str:
    """Return the name under which a network's findings are reported, such as mina-rhythm-10s."""
    return re.sub(r"[^a-z0-9]+", "-", f"{meta['architecture']}-{meta.get('task', '')}").strip("-")


def _problem(meta: dict[str, Any], one: NetworkSpec) -> str | None:
    if meta["kind"] != "classes":
        return f"it answers per {meta['kind']}, not per window"
    if meta.get("rows", 1) != 1 or meta.get("extra", 0):
        return f"its windows have {meta.get('rows', 1)} rows, the stream has one lead"
    if one.input.hop < one.input.fs_hz // 5:
        return "it asks for a window at every beat, not at fixed times"
    if str(meta.get("task", "")).startswith(SEVERAL):
        return "it may answer several labels at once"
    return None


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta: dict[str, Any] = json.loads((folder / "spec.json").read_text())
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"{folder}: {error}", "Give the folder of a trained network or model."
        ) from error
    return meta
