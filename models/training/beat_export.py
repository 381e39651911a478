"""The trained beat network as an artifact: ONNX model, its input specification, and the proof that both compute the same."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from models.decoding import HALF_WIDTH, REFRACTORY, THRESHOLD
from models.training.beat_net import CHANNELS, BeatNet, multiplications
from models.windows import BEAT_SPEC

BATCH = 16  # what serving runs at a time


def export(net: BeatNet, folder: Path, about: dict[str, Any]) -> dict[str, Any]:
    """Write model.onnx and spec.json; raise ValueError where ONNX Runtime disagrees with torch. Returns what spec.json holds."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    net = net.eval().to(memory_format=torch.contiguous_format)
    example = torch.zeros(BATCH, 1, BEAT_SPEC.length)
    names = {"input": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        net, (example,), str(path), input_names=["input"], output_names=["logits"], dynamic_axes=names, opset_version=17, dynamo=False
    )
    difference = verify(net, path)
    spec = {
        "name": "beat",
        "version": 1,
        "input": BEAT_SPEC.as_dict(),
        "input_name": "input",
        "input_shape": ["batch", 1, BEAT_SPEC.length],
        "output_name": "logits",
        "output_shape": ["batch", len(CHANNELS), BEAT_SPEC.length],
        "channels": list(CHANNELS),
        "threshold": {"qrs": THRESHOLD, "ventricular": 0.5, "fibrillation": 0.5},
        "half_width": HALF_WIDTH,
        "refractory": REFRACTORY,
        "parameters": sum(p.numel() for p in net.parameters()),
        "macs_per_window": multiplications(net, BEAT_SPEC.length),
        "batch": BATCH,
        "largest_difference_to_torch": difference,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        **about,
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=2) + "\n")
    return spec


def session(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime as serving runs it: one thread that does not spin."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def verify(net: BeatNet, path: Path) -> float:
    """Largest difference between torch and ONNX Runtime on random windows; ValueError above 1e-4."""
    x = np.random.default_rng(0).standard_normal((BATCH, 1, BEAT_SPEC.length)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    difference = float(np.abs(session(path).run(None, {"input": x})[0] - expected).max())
    if difference > 1e-4:
        raise ValueError(f"{path} differs from the trained network by {difference:.2g}")
    return difference
