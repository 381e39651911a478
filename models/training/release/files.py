"""Write the files of a model folder: ONNX graphs, compared with torch, and compressed weights."""

from __future__ import annotations

import hashlib
import io
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from models.serving.runtime import FileSpec, Graph
from models.training.cost import macs, parameters

OPSET = 17
TOLERANCE = 1e-3  # of logits
LEAST_HALVED = 64  # size of a tensor, in values, from which half precision saves more than it costs


def save_graph(
    net: nn.Module,
    example: tuple[Tensor, ...],
    inputs: list[str],
    outputs: list[str],
    path: Path,
    every_s: int,
) -> FileSpec:
    """Write one ONNX file and compare it with torch."""
    net = net.eval().to(memory_format=torch.contiguous_format)
    axes = {name: {0: "batch"} for name in (*inputs, *outputs)}
    torch.onnx.export(
        net,
        example,
        str(path),
        input_names=inputs,
        output_names=outputs,
        dynamic_axes=axes,
        opset_version=OPSET,
        dynamo=False,
    )
    with torch.no_grad():
        expected = net(*example)
    found = Graph(path).run(*(x.numpy() for x in example))
    for torchs, ours in zip(
        expected if isinstance(expected, tuple) else (expected,), found, strict=True
    ):
        if (difference := float(np.abs(torchs.numpy() - ours).max())) > TOLERANCE:
            raise ValueError(f"{path} differs from the trained network by {difference:.2g}")
    one = tuple(x[:1] for x in example)
    return file_spec(path, parameters(net), macs(net, *one), every_s)


def halve(path: Path) -> None:
    """Store an ONNX file's weights as float16. They are cast as it is loaded."""
    model = onnx.load(path)
    large = [
        w
        for w in model.graph.initializer
        if w.data_type == TensorProto.FLOAT and math.prod(w.dims) >= LEAST_HALVED
    ]
    for weights in large:
        stored = numpy_helper.from_array(
            numpy_helper.to_array(weights).astype(np.float16), f"{weights.name}.half"
        )
        model.graph.initializer.remove(weights)
        model.graph.initializer.append(stored)
        model.graph.node.insert(
            0, helper.make_node("Cast", [stored.name], [weights.name], to=TensorProto.FLOAT)
        )
    onnx.save(model, path)


def save_weights(weights: dict[str, Any], path: Path) -> None:
    """Save weights for torch.load, a fifth smaller: compressed, without the counters of BatchNorm
    that only training needs."""
    buffer = io.BytesIO()
    torch.save(_uncounted(weights), buffer)
    with (
        zipfile.ZipFile(buffer) as stored,
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed,
    ):
        for name in stored.namelist():
            packed.writestr(zipfile.ZipInfo(name), stored.read(name), zipfile.ZIP_DEFLATED)


def _uncounted(weights: Any) -> Any:
    if not isinstance(weights, dict):
        return weights
    return {
        name: _uncounted(value)
        for name, value in weights.items()
        if not name.endswith("num_batches_tracked")
    }


def file_spec(path: Path, count: int, multiplications: int, every_s: float | None) -> FileSpec:
    return FileSpec(hashlib.sha256(path.read_bytes()).hexdigest(), count, multiplications, every_s)
