"""Export a trained network as a single-file artifact: ONNX model, spec.json, and the proof that
both compute the same."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from models.architectures import Problem
from models.serving.runtime import Network
from models.training.cost import macs, parameters
from models.training.release.card import write_card

BATCH = 16  # what serving runs at a time
TOLERANCE = 1e-4  # of logits of about one


def export(net: nn.Module, problem: Problem, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write model.onnx and spec.json, which models/serving/runtime.py loads, and card.md. Returns
    the content of spec.json.

    Raises ValueError if ONNX Runtime disagrees with torch.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    net = net.eval().to(memory_format=torch.contiguous_format)
    write_onnx(net, problem, path)
    spec = {
        **about,
        "kind": problem.kind,
        "outputs": list(problem.outputs),
        "input": problem.spec.as_dict(),
        "parameters": parameters(net),
        "rows": problem.rows,
        "extra": problem.extra,
        "macs_per_window": macs(net, torch.zeros(1, *problem.shape)),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=2) + "\n")
    write_card(folder, spec)
    verify(net, problem, folder)
    return spec


def write_onnx(net: nn.Module, problem: Problem, path: Path) -> None:
    """windows (batch, R, T) float32 to logits, for any batch."""
    axes = {"windows": {0: "batch"}, "logits": {0: "batch"}}
    example = torch.zeros(BATCH, *problem.shape)
    names = {"input_names": ["windows"], "output_names": ["logits"], "dynamic_axes": axes}
    with warnings.catch_warnings():
        # the exporter's warnings are covered by the comparison afterwards
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (example,), str(path), opset_version=17, dynamo=False, **names)


def verify(net: nn.Module, problem: Problem, folder: Path) -> None:
    """Raise ValueError if an artifact and its network differ on random windows."""
    x = np.random.default_rng(0).standard_normal((BATCH, *problem.shape)).astype(np.float32)
    with torch.inference_mode():
        expected = net(torch.from_numpy(x)).numpy()
    difference = float(np.abs(Network(folder).run(x) - expected).max())
    if not difference <= TOLERANCE * max(1.0, float(np.abs(expected).max())):
        raise ValueError(
            f"{folder}/model.onnx differs from the trained network by {difference:.2g}"
        )
