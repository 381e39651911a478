"""Export the trained tasks as a model folder: one backbone, a decoder per task, spec.json, and the
proof that ONNX Runtime computes the same.

    python -m models.training.release.export final fold0 fold1 fold2

The folders of the folds hold the networks that `ecgwatch evaluate` judges: trunk, beat classes and
lethal rhythms that never saw the fold's patients. The rhythm task is not among them: it was trained
on CinC 2017 only, and `evaluate` takes the shipped one. For CinC 2017 itself there is a folder with
the shipped networks and a rhythm task that never saw a fifth of the records. All these keep their
weights in half precision to save space; the shipped model does not.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.beat_decoder import BeatDecoder, RhythmDecoder
from models.architectures.ecgcl import (
    COLUMN,
    STEPS_PER_SECOND,
    WIDTHS,
    Backbone,
    Column,
    SequenceDecoder,
)
from models.beats.last_beats import ABSENT, BEATS
from models.beats.morphology import SHAPE
from models.serving.runtime import ARTIFACTS, BATCH, DEPLOYED, Spec, TaskSpec
from models.signal.windows import BEAT_SPEC
from models.training.release.figures import figures
from models.training.release.files import file_spec, halve, save_graph, save_weights
from models.training.tasks.qrs.train import trained


@dataclass
class LearnedTask:
    """A later task: its column (with the widths), its decoder, and when it answers."""

    name: str
    widths: tuple[int, int, int]
    column: dict[str, Tensor]
    decoder: dict[str, Tensor]
    classes: list[str]
    seconds: int
    least: int
    hop: int
    level: bool  # True if the decoder also reads the signal's amplitude
    beats: dict[str, Tensor] | None = None  # of the decoder of beats, if there is one
    temperature: float = 1.0  # of both decoders together

    def build(self) -> tuple[Column, SequenceDecoder | RhythmDecoder]:
        """Build the modules with these weights."""
        column = Column(WIDTHS, self.widths)
        column.load_state_dict(self.column)
        hidden = self.decoder["gru.weight_hh_l0"].shape[1]
        decoder = SequenceDecoder(
            self.decoder["gru.weight_ih_l0"].shape[1], hidden, len(self.classes)
        )
        decoder.load_state_dict(self.decoder)
        if self.beats is None:
            return column.eval(), decoder.eval()
        beats = BeatDecoder(len(self.classes))
        beats.load_state_dict(self.beats)
        both = RhythmDecoder(decoder, beats)
        both.temperature.fill_(self.temperature)
        return column.eval(), both.eval()

    def example(self) -> dict[str, Tensor]:
        """Inputs of the decoder: a stream that is two seconds short of its context."""
        known = (
            (torch.arange(STEPS_PER_SECOND * self.seconds) >= 2 * STEPS_PER_SECOND)
            .float()
            .repeat(BATCH, 1)
            .unsqueeze(2)
        )
        steps = {
            "steps": torch.randn(*known.shape[:2], self.widths[-1] + self.level),
            "known": known,
        }
        ago = torch.arange(BEATS, 0, -1) * 0.8
        ago = torch.where(ago < self.seconds - 2, ago, torch.tensor(ABSENT)).repeat(BATCH, 1)
        return (
            steps
            if self.beats is None
            else {**steps, "ago": ago, "shapes": torch.randn(BATCH, BEATS, SHAPE)}
        )


def write(
    backbone: nn.Module,
    tasks: list[LearnedTask],
    beats: Path,
    folder: Path,
    about: dict[str, Any],
    reached: dict[str, list[float]],
) -> Spec:
    """A model folder. `tasks` are in the order of the backbone's steps; `beats` is the folder of
    the beat classes' network; `reached` are figures by name, one per fold.

    Raises ValueError if ONNX Runtime disagrees with torch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    window = torch.from_numpy(
        np.random.default_rng(0).standard_normal((BATCH, 1, BEAT_SPEC.length)).astype(np.float32)
    )
    files = {
        "backbone": save_graph(
            backbone, (window,), ["x"], ["mask", "steps"], folder / "backbone.onnx", every_s=1
        )
    }
    specs, at = [], 0
    for task in tasks:
        _, decoder = task.build()
        width, example = task.widths[-1], task.example()
        path = folder / f"{task.name}.onnx"
        files[task.name] = save_graph(
            decoder, tuple(example.values()), list(example), ["logits"], path, every_s=task.hop
        )
        channels, sees = (at, at + width), task.beats is not None
        specs.append(
            TaskSpec(
                task.name,
                task.classes,
                channels,
                task.level,
                task.seconds,
                task.least,
                task.hop,
                sees,
            )
        )
        at += width
    head = json.loads((beats / "spec.json").read_text())
    cost = head["files"]["model"]
    shutil.copy(beats / "model.onnx", folder / "beats.onnx")
    files["beats"] = file_spec(
        folder / "beats.onnx", cost["parameters"], cost["macs"], every_s=None
    )
    spec = Spec(DEPLOYED, "ecgcl", "", BEAT_SPEC, specs, files, head["bias"], reached, about)
    write_spec(spec, folder)
    return spec


def write_spec(spec: Spec, folder: Path) -> None:
    """Write spec.json, with the version derived from its files."""
    spec.version = spec.versioned().version
    (folder / "spec.json").write_text(json.dumps(msgspec.to_builtins(spec), indent=1) + "\n")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="+", help="final: the shipped model; fold0, fold1, fold2")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/ecgcl"), help="folder of checkpoints"
    )
    options = parser.parse_args()
    folder = ARTIFACTS / DEPLOYED
    for name in options.names:
        if name == "final":
            written = [
                write_final(options.runs, folder, figures(options.runs)),
                write_held_out(options.runs, folder / "folds" / "cinc2017"),
            ]
        else:
            written = [write_fold(options.runs, name, folder / "folds" / name[-1])]
        for spec in written:
            print(
                name, spec.version, {file: (f.parameters, f.macs) for file, f in spec.files.items()}
            )


def rhythm(runs: Path, name: str) -> LearnedTask:
    """T3."""
    state = torch.load(runs / f"rhythm-{name}-done.pt", weights_only=True)
    classes = ["N", "AFIB", "O", "~"]
    beats, divisor = state["beats"], state["temperature"]
    return LearnedTask(
        "rhythm",
        COLUMN,
        state["column"],
        state["decoder"],
        classes,
        30,
        9,
        5,
        level=False,
        beats=beats,
        temperature=divisor,
    )


def lethal(runs: Path, name: str) -> LearnedTask:
    """T4."""
    state = torch.load(runs / f"lethal-{name}.pt", weights_only=True)
    widths = tuple(state["widths"])
    return LearnedTask(
        "lethal",
        widths,
        state["column"],
        state["decoder"],
        ["none", "VT", "VF", "ASYS"],
        4,
        1,
        1,
        level=True,
    )


def write_final(runs: Path, folder: Path, reached: dict[str, list[float]]) -> Spec:
    """The shipped model, and its weights for tasks to come; `reached` are figures by name, one per
    fold."""
    first, tasks = trained(runs / "qrs-final.pt"), [rhythm(runs, "all"), lethal(runs, "final")]
    built = [task.build() for task in tasks]
    spec = write(
        Backbone(first, [column for column, _ in built]),
        tasks,
        runs / "beat_class",
        folder,
        {},
        reached,
    )
    columns = {task.name: {"widths": task.widths, "state": task.column} for task in tasks}
    save_weights({"segmenter": first.state_dict(), "columns": columns}, folder / "weights.pt")
    return spec


def write_held_out(runs: Path, folder: Path) -> Spec:
    """The shipped networks with the rhythm task as it was before it saw test fold 0 of CinC 2017."""
    tasks = [rhythm(runs, "final"), lethal(runs, "final")]
    backbone = Backbone(trained(runs / "qrs-final.pt"), [task.build()[0] for task in tasks])
    return store_half_precision(
        write(backbone, tasks, runs / "beat_class", folder, {"fold": "cinc2017"}, {}), folder
    )


def write_fold(runs: Path, name: str, folder: Path) -> Spec:
    """The tasks that were trained without a fold's patients."""
    own = lethal(runs, name)
    backbone = Backbone(trained(runs / f"qrs-{name}.pt"), [own.build()[0]])
    return store_half_precision(
        write(
            backbone,
            [own],
            runs / "beat_class" / "folds" / name[-1],
            folder,
            {"fold": int(name[-1])},
            {},
        ),
        folder,
    )


def store_half_precision(spec: Spec, folder: Path) -> Spec:
    """Store a model folder's weights in half precision, in place: half the size, still computed in
    single precision."""
    for name, file in spec.files.items():
        path = folder / f"{name}.onnx"
        halve(path)
        spec.files[name] = file_spec(path, file.parameters, file.macs, file.every_s)
    write_spec(spec, folder)
    return spec


if __name__ == "__main__":
    main()
