"""Quantise a single-file artifact to int8, and keep the result only if it is faster and as good by
the task's own figure.

    python -m models.training.release.quantise runs/unet-qrs/fold0 qrs --fold 0

Static quantisation with quantise-dequantise pairs (Jacob et al. 2018, DOI 10.1109/CVPR.2018.00286),
weights per channel, ranges from training windows. The comparison uses patients that the network was
trained on, so that no choice is made on unseen ones; their figures are printed beside it. The
result goes to FOLDER/int8, an artifact like any other.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

from ingest.errors import EcgwatchError
from models.serving.benchmark import Timing, file_calls, measure, session
from models.serving.runtime import Network
from models.training.data.records import data_folder
from models.training.tasks import base
from models.training.tasks.base import Floats, Task

CALIBRATION = (8, 64)  # batches, windows each
LOSS = 0.001  # relative loss of the figure that int8 may cost
GAIN = 1.1  # least speed-up


class Form(NamedTuple):
    """One form of a network, measured."""

    trained: float  # the task's figure on patients of the training
    held_out: float
    kilobytes: float
    timings: list[Timing]

    @property
    def row_ms(self) -> float:
        """CPU time of a window in the processor's batch."""
        return self.timings[-1].row_cpu_ms


def quantise(folder: Path, windows: Floats, out: Path) -> None:
    """Write the int8 form of the artifact in `folder` to `out`; the ranges are those on `windows`
    (B, T)."""
    out.mkdir(parents=True, exist_ok=True)
    spec = json.loads((folder / "spec.json").read_text())
    source, target = folder / "model.onnx", out / "model.onnx"
    with TemporaryDirectory() as scratch:
        prepared = Path(scratch) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        reader = _Reader(session(source).get_inputs()[0].name, windows)
        # reduce_range: without it the sums of processors without VNNI overflow
        quantize_static(
            str(prepared),
            str(target),
            reader,
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    spec |= {"form": "int8", "sha256": hashlib.sha256(target.read_bytes()).hexdigest()}
    (out / "spec.json").write_text(json.dumps(spec, indent=2) + "\n")


class _Reader(CalibrationDataReader):
    """Training windows, a few at a time."""

    def __init__(self, name: str, windows: Floats) -> None:
        parts = np.array_split(windows, CALIBRATION[0])
        self._feeds: Iterator[dict[str, Floats]] = iter([{name: part[:, None]} for part in parts])

    def get_next(self) -> dict[str, Floats] | None:
        return next(self._feeds, None)


def training_windows(task: Task, fold: int) -> Floats:
    """Windows (B, T) that a network without this fold is trained on."""
    batches, (count, size) = task.batches(fold), CALIBRATION
    drawn = [batches.batch(np.random.default_rng([1, i]), size)[0][0].numpy() for i in range(count)]
    return np.concatenate(drawn)[:, 0]


def measured(folders: Sequence[Path], task: Task, fold: int) -> list[Form]:
    """Each form's figures, size and time, the times in turn."""
    timings = measure(
        [call for folder in folders for call in file_calls(folder / "model.onnx", str(folder))]
    )
    forms = []
    for folder in folders:
        run = Network(folder).run
        trained, held_out = (
            task.evaluate(run, f)[task.metric] for f in ((fold + 1) % task.folds, fold)
        )
        size = (folder / "model.onnx").stat().st_size / 1e3
        forms.append(
            Form(trained, held_out, size, [t for t in timings if t.network == str(folder)])
        )
    return forms


def is_worthwhile(whole: Form, small: Form) -> bool:
    """True if int8 is faster and as good."""
    return small.trained >= whole.trained * (1 - LOSS) and small.row_ms * GAIN <= whole.row_ms


def table(task: Task, whole: Form, small: Form) -> str:
    """Both forms, in Markdown."""
    rows = [
        (
            f"{task.metric}, patients of the training",
            *(f"{form.trained:.4g}" for form in (whole, small)),
        ),
        (f"{task.metric}, held-out patients", *(f"{form.held_out:.4g}" for form in (whole, small))),
        ("kB", *(f"{form.kilobytes:.0f}" for form in (whole, small))),
    ]
    for a, b in zip(whole.timings, small.timings, strict=True):
        rows.append(
            (f"CPU ms per window, batch {a.batch}", f"{a.row_cpu_ms:.4f}", f"{b.row_cpu_ms:.4f}")
        )
    return "\n".join(
        ["| | float32 | int8 |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in rows)]
    )


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="an artifact with model.onnx")
    parser.add_argument("task", help="the task that judges it")
    parser.add_argument(
        "--fold", type=int, required=True, help="the fold that the network never saw"
    )
    parser.add_argument(
        "--data", type=Path, default=data_folder(), help="folder of the unpacked sets"
    )
    parser.add_argument(
        "--runs", type=Path, default=Path("runs"), help="folder of what is kept between runs"
    )
    options = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)  # of the quantiser's advice
    task = base.load(options.task)(options.data, options.runs / "cache")
    small = options.folder / "int8"
    quantise(options.folder, training_windows(task, options.fold), small)
    forms = measured([options.folder, small], task, options.fold)
    print(table(task, *forms))
    kept = is_worthwhile(*forms)
    print(
        f"kept in {small}"
        if kept
        else f"not kept: int8 must be {GAIN} times quicker and lose at most {LOSS:.1%}"
    )
    if not kept:
        shutil.rmtree(small)


if __name__ == "__main__":
    try:
        main()
    except EcgwatchError as error:
        sys.exit(f"error: {error.problem}\n{error.remedy}")
