"""Export a trained rhythm network with its spec and card: `python -m models.training.export_rhythm --run runs/rhythm`."""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.training import cinc2017
from models.training.cinc2017 import CLASSES, Recordings
from models.training.rhythm_net import RhythmNet
from models.training.rhythm_report import report
from models.training.rhythm_scores import load_mitdb, run
from models.training.rhythm_windows import record_windows
from models.training.train_rhythm import Split, as_network, split, temperature
from models.windows import RHYTHM_SPEC

CARD = Path(__file__).with_name("rhythm_card.md")  # with {places} for what is measured


def export(model: RhythmNet, path: Path) -> None:
    """Write ONNX: input (B, 1, 3750) float32, output (B, 4)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.onnx.export(
        model.eval(),
        (torch.zeros(1, 1, RHYTHM_SPEC.length),),
        str(path),
        input_names=["window"],
        output_names=["logits"],
        dynamic_axes={"window": {0: "batch"}, "logits": {0: "batch"}},
        opset_version=17,
        dynamo=False,
    )


def calibrate(model: RhythmNet, recordings: Recordings, members: npt.NDArray[np.int64]) -> float:
    """Fold a temperature into the logits, fitted on the last window of the validation records."""
    windows = [record_windows(recordings.signal(int(r)))[-1:] for r in members]
    fitted = temperature(run(as_network(model), np.concatenate(windows)), recordings.labels[members])
    model.temperature.fill_(fitted)
    return fitted


def spec(path: Path, fitted: float) -> dict[str, Any]:
    """What travels with the weights."""
    return {
        "input": RHYTHM_SPEC.as_dict(),
        "output": "logits (B, 4)",
        "classes": list(CLASSES),
        "parameters": sum(weights.numel() for weights in RhythmNet().parameters()),
        "temperature": round(fitted, 3),  # already in the logits
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def card(figures: str, fitted: float, parts: Split, log: str) -> str:
    """The model card."""
    sizes = {"train": len(parts.train), "validation": len(parts.validation), "test": len(parts.test)}
    return CARD.read_text().format(figures=figures, temperature=f"{fitted:.2f}", epoch=chosen_epoch(log), **sizes)


def chosen_epoch(log: str) -> str:
    """The line of the log that says how good the exported epoch was on the validation records: the first with the final best."""
    lines = log.strip().splitlines()
    best = lines[-1].partition(" best ")[2].split()[0]
    return next(line for line in lines if f" best {best} " in line)


def main() -> None:
    """Export, judge, write the artifact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path.home() / ".cache" / "ecg-data", help="folder with cinc2017 and mitdb")
    parser.add_argument("--run", type=Path, default=Path("runs/rhythm"), help="the run to export")
    parser.add_argument("--fold", type=int, default=0, help="the fold that the run kept for the test")
    parser.add_argument("--out", type=Path, default=Path("models/artifacts/rhythm"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    recordings = cinc2017.load(options.data / "cinc2017", options.run.parent / "cache" / "cinc2017.npz")
    parts = split(recordings.labels, options.fold)
    model = RhythmNet().eval()
    model.load_state_dict(torch.load(options.run / "best.pt"))
    fitted = calibrate(model, recordings, parts.validation)
    export(model, options.out / "model.onnx")
    (options.out / "spec.json").write_text(json.dumps(spec(options.out / "model.onnx", fitted), indent=2) + "\n")
    figures = report(model, options.out, recordings, parts.test, load_mitdb(options.data / "mitdb"))
    print(figures)
    (options.out / "card.md").write_text(card(figures, fitted, parts, (options.run / "log.txt").read_text()))


if __name__ == "__main__":
    main()
