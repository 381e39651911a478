"""The trained label network as an artifact: ONNX model, what it is, and the proof that both compute the same."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from models.beat_context import AFTER, BEFORE, FEATURES
from models.training.beat_export import BATCH, session
from models.training.label_net import LabelNet
from models.windows import InputSpec

COMMAND = "python -m models.training.train_label"


def export(net: LabelNet, folder: Path) -> None:
    """Write model.onnx and spec.json; raise ValueError where ONNX Runtime disagrees with torch."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    torch.onnx.export(
        net.eval(), (torch.zeros(BATCH, 1, FEATURES),), str(path), input_names=["input"], output_names=["logits"],
        dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}}, opset_version=17, dynamo=False,
    )  # fmt: skip
    x = np.random.default_rng(0).standard_normal((BATCH, 1, FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    difference = float(np.abs(session(path).run(None, {"input": x})[0] - expected).max())
    if difference > 1e-4:
        raise ValueError(f"{path} differs from the trained network by {difference:.2g}")
    spec = {
        "name": "label",
        "version": 1,
        "input": asdict(InputSpec(before=BEFORE, hop=1, after=AFTER - 1, offset=0)),  # the samples around an R peak
        "input_shape": ["batch", 1, FEATURES],
        "output_shape": ["batch", 3],
        "classes": ["N", "S", "V"],
        "parameters": sum(p.numel() for p in net.parameters()),
        "batch": BATCH,
        "largest_difference_to_torch": difference,
        "command": COMMAND,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=2) + "\n")
