"""Export the trained beat head as an artifact: ONNX model, spec.json, and the proof that both
compute the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from models.architectures.beat_head import BeatHead, BeatHeads, multiplications
from models.beats.morphology import AFTER, BEFORE
from models.beats.templates import FEATURES
from models.serving.runtime import BATCH, Graph
from models.signal.windows import InputSpec
from models.training.tasks.beat_class.beats import CLASSES

COMMAND = "ecgwatch train beat_class"


class Calibrated(nn.Module):
    """Logits of one or several heads, averaged, and corrected so that their softmax is a
    probability."""

    def __init__(
        self, head: BeatHead | BeatHeads, temperature: float, prior: Sequence[float]
    ) -> None:
        super().__init__()
        self.head = head
        self.scale = 1 / temperature
        self.register_buffer("prior", torch.tensor([list(prior)], dtype=torch.float32))

    def forward(self, x: Tensor) -> Tensor:  # (B, 1, FEATURES) to (B, 5)
        prior: Tensor = self.get_buffer("prior")
        logits: Tensor = (self.head(x) - prior) * self.scale
        return logits


def export(net: Calibrated, folder: Path, bias: Sequence[float]) -> None:
    """Write model.onnx and spec.json; raise ValueError if ONNX Runtime disagrees with torch."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "model.onnx"
    net = net.eval()
    names = {"input": {0: "batch"}, "logits": {0: "batch"}}
    torch.onnx.export(
        net,
        (torch.zeros(BATCH, 1, FEATURES),),
        str(path),
        input_names=["input"],
        output_names=["logits"],
        dynamic_axes=names,
        opset_version=17,
        dynamo=False,
    )
    x = np.random.default_rng(0).standard_normal((BATCH, 1, FEATURES)).astype(np.float32)
    with torch.no_grad():
        expected = net(torch.from_numpy(x)).numpy()
    difference = float(np.abs(Graph(path).run(x)[0] - expected).max())
    if difference > 1e-4:
        raise ValueError(f"{path} differs from the trained network by {difference:.2g}")
    spec = {
        "name": "beat_class",
        "version": 1,
        # the samples around an R peak
        "input": asdict(InputSpec(before=BEFORE, hop=1, after=AFTER - 1, offset=0)),
        "input_shape": ["batch", 1, FEATURES],
        "output_shape": ["batch", len(CLASSES)],
        "classes": list(CLASSES),
        "bias": [round(float(b), 3) for b in bias],
        # a beat
        "files": {
            "model": {
                "parameters": sum(p.numel() for p in net.head.parameters()),
                "macs": multiplications(net.head),
            }
        },
        "batch": BATCH,
        "largest_difference_to_torch": difference,
        "command": COMMAND,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    (folder / "spec.json").write_text(json.dumps(spec, indent=2) + "\n")
