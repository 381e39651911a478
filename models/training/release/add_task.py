"""Add a task to a deployed model from a folder of labelled records: train it, export it, and prove
that the other tasks are unchanged.

The trunk and the older columns stay as they are, and do not read the new column, so the
older outputs must come out bit for bit as before. That is checked through ONNX Runtime, on random
windows and on the records' own; otherwise nothing is written.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from ingest.errors import BadInputError
from models.architectures.ecgcl import STEPS_PER_SECOND, WIDTHS, Backbone, Column, Segmenter
from models.serving.extension import check_extends
from models.serving.runtime import BATCH, Model, Spec, TaskSpec
from models.signal.conditioning import FS_HZ, condition
from models.training.data import labelled
from models.training.data.cinc2017 import Floats, Recordings
from models.training.data.rhythm_windows import load_noise
from models.training.release.files import save_graph, save_weights
from models.training.sequence import Context, SequenceLearner, second_windows
from models.training.tasks.added import COLUMN, Figures, context, learn, split

NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
TAKEN = {"backbone", "beats", "qrs"}
SECONDS = range(4, 121)
REAL_WINDOWS = 256  # windows of the proof
WEIGHTS = "weights.pt"


def add_task(
    name: str,
    folder: Path,
    base: Path,
    out: Path,
    seconds: int,
    epochs: int,
    noise: Path,
    say: Callable[[str], None] = print,
) -> tuple[Spec, Figures]:
    """Learn the task called `name` from `folder` (labelled.py), and write `out`: the model folder
    `base` with the task added.

    `noise` is NSTDB's folder; without it noise is made up. Progress is passed to `say`. Raises
    BadInputError if folder, name or model cannot be used, or if an older task's output would
    change; then nothing is written.
    """
    old, of = Model(base), context(seconds)
    _check(name, out, old, seconds, epochs)
    weights = _weights(base, old)
    # long trainings are compiled; without a compiler: as it is
    torch._dynamo.config.suppress_errors = True
    with _whole(out) as draft:
        recordings, classes = labelled.load(folder, of.least, say)
        say(f"{name}: {len(recordings)} records, classes {', '.join(classes)}")
        segmenter = Segmenter(WIDTHS)
        segmenter.load_state_dict(weights["segmenter"])
        checkpoint = draft / "training.pt"
        net, figures = learn(
            segmenter.eval().trunk, recordings, classes, of, epochs, _noises(noise, say), checkpoint
        )
        for path in draft.glob("training.*"):
            path.unlink()
        spec = _write(name, net, of, figures, old, weights, draft)
        check_extends(old, Model(draft), _real_windows(recordings))
        say(f"{name}: all older outputs are bit-identical")
    return spec, figures


def _check(name: str, out: Path, old: Model, seconds: int, epochs: int) -> None:
    if not NAME.fullmatch(name) or name in TAKEN:
        raise BadInputError(
            f"{name!r} cannot be a task's name",
            "Use up to 32 small letters, digits and hyphens, a letter first.",
        )
    if name in old.tasks:
        raise BadInputError(
            f"model {old.folder} has a task {name!r} already",
            "Choose another name, or start from a model without it.",
        )
    if seconds not in SECONDS:
        raise BadInputError(f"{seconds} s of context", f"Give {SECONDS[0]} to {SECONDS[-1]} s.")
    if epochs < 1:
        raise BadInputError(f"{epochs} epochs", "Give at least 1.")
    if out.exists():
        raise BadInputError(f"{out} is there already", "Give a folder that is not.")


def _weights(base: Path, old: Model) -> dict[str, Any]:
    """The weights from which the model's ONNX files were made."""
    try:
        weights: dict[str, Any] = torch.load(base / WEIGHTS, weights_only=True)
        missing = [task for task in old.tasks if task not in weights["columns"]]
    except Exception as error:  # torch raises any kind of exception for a damaged file
        raise BadInputError(
            f"{base / WEIGHTS}: {error}",
            "Start from a model folder with the weights it was exported from.",
        ) from error
    if missing:
        raise BadInputError(
            f"{base / WEIGHTS} lacks the column of {missing[0]!r}",
            "Start from a model folder with all its weights.",
        )
    return weights


def _noises(folder: Path, say: Callable[[str], None]) -> Sequence[Floats]:
    try:
        return load_noise(folder)
    except (OSError, ValueError):
        say(
            f"{folder} does not hold the Noise Stress Test Database: records are varied with made-up noise"
        )
    rng = np.random.default_rng(0)
    drift = 300 * np.cumsum(rng.standard_normal((2, 300 * FS_HZ)), axis=1) / np.sqrt(300 * FS_HZ)
    made = [
        condition(np.rint(x).astype(np.int16), FS_HZ, 200.0)
        for x in (*drift, *(50 * rng.standard_normal((2, 300 * FS_HZ))))
    ]
    return [x / np.sqrt(np.mean(x**2)) for x in made]


def _write(
    name: str,
    net: SequenceLearner,
    of: Context,
    figures: Figures,
    old: Model,
    weights: dict[str, Any],
    draft: Path,
) -> Spec:
    """The model folder."""
    for path in old.folder.iterdir():
        if path.is_file() and path.name not in (WEIGHTS, "spec.json", "backbone.onnx"):
            shutil.copy(path, draft / path.name)
    columns = {
        **weights["columns"],
        name: {"widths": COLUMN, "state": _plain(net.column.state_dict())},
    }
    decoders = {**weights.get("decoders", {}), name: _plain(net.decoder.state_dict())}
    save_weights({**weights, "columns": columns, "decoders": decoders}, draft / WEIGHTS)
    files = dict(old.spec.files)
    window = torch.from_numpy(
        np.random.default_rng(0).standard_normal((BATCH, 1, old.input.length)).astype(np.float32)
    )
    backbone = _backbone([*old.tasks, name], weights["segmenter"], columns)
    files["backbone"] = save_graph(
        backbone, (window,), ["x"], ["mask", "steps"], draft / "backbone.onnx", every_s=1
    )
    steps = torch.randn(BATCH, STEPS_PER_SECOND * of.seconds, COLUMN[-1])
    known = (torch.arange(STEPS_PER_SECOND * of.seconds) >= 8).float().repeat(BATCH, 1).unsqueeze(2)
    files[name] = save_graph(
        net.decoder,
        (steps, known),
        ["steps", "known"],
        ["logits"],
        draft / f"{name}.onnx",
        every_s=of.hop,
    )
    first = old.segment(window[:, 0].numpy())[1].shape[2]
    task = TaskSpec(
        name, figures.classes, (first, first + COLUMN[-1]), False, of.seconds, of.least, of.hop
    )
    added = {
        **old.spec.about.get("added", {}),
        name: {**asdict(figures), "from_version": old.spec.version},
    }
    version = hashlib.sha256("".join(file.sha256 for file in files.values()).encode()).hexdigest()[
        :12
    ]
    results = {
        f"{name}: mean F1, %": [round(100 * float(np.mean(figures.f1)), 2)],
        f"{name}: accuracy, %": [round(100 * figures.accuracy, 2)],
    }
    spec = msgspec.structs.replace(
        old.spec,
        version=version,
        tasks=[*old.spec.tasks, task],
        files=files,
        figures=old.spec.figures | results,
        about={**old.spec.about, "added": added},
    )
    (draft / "spec.json").write_bytes(
        msgspec.json.format(msgspec.json.encode(spec), indent=1) + b"\n"
    )
    with (draft / "card.md").open("a") as card:
        card.write(_card(task, figures, old.spec.version))
    return spec


def _backbone(
    tasks: Sequence[str], segmenter: dict[str, Tensor], columns: dict[str, Any]
) -> Backbone:
    built = []
    for task in tasks:
        column = Column(WIDTHS, tuple(columns[task]["widths"]))
        column.load_state_dict(columns[task]["state"])
        built.append(column)
    first = Segmenter(WIDTHS)
    first.load_state_dict(segmenter)
    return Backbone(first, built).eval()


def _plain(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensor in the file's memory layout, whatever layout the training chose."""
    return {name: tensor.detach().contiguous() for name, tensor in state.items()}


def _real_windows(recordings: Recordings) -> Floats:
    """Some windows of the held-out records."""
    windows = np.concatenate(
        [second_windows(recordings.signal(int(r))) for r in split(recordings.labels).held_out]
    )
    return windows[np.linspace(0, len(windows) - 1, min(REAL_WINDOWS, len(windows))).astype(int)]


def _card(task: TaskSpec, figures: Figures, before: str) -> str:
    rows = zip(
        figures.classes,
        figures.records,
        figures.sensitivity,
        figures.precision,
        figures.f1,
        strict=True,
    )
    table = "\n".join(f"| {c} | {n} | {se:.3f} | {p:.3f} | {f:.3f} |" for c, n, se, p, f in rows)
    return f"""
## Added task: {task.name}

Learned beside the tasks of version {before}, which give the same answers as before, bit for bit. It looks back on {task.seconds} s.
Records held out, every fifth of each class (were there several of one person, the figures flatter):

| class | records | Se | +P | F1 |
|---|---|---|---|---|
{table}

Accuracy {figures.accuracy:.3f}; always the most frequent class: {figures.chance:.3f}. Temperature {figures.temperature:.2f}.
"""


@contextmanager
def _whole(out: Path) -> Iterator[Path]:
    """A draft folder beside `out` that takes its name if the block succeeds, and is deleted
    otherwise."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    draft.mkdir(parents=True)
    try:
        yield draft
        draft.rename(out)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
