"""Measure the cost of one execution of the paper's network: parameters, multiplications, and ONNX
Runtime's time on one thread."""

from __future__ import annotations

import io
import statistics
import time
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from torch import Tensor, nn

from models.architectures.ecgcl_paper import LENGTH, ClassificationDecoder, PaperDecoder, PaperNet
from models.training.experiments.continual_data import FS_HZ

REPEATS = 200
Decoder = type[PaperDecoder] | type[ClassificationDecoder]
DECODERS: dict[str, tuple[Decoder, int]] = {
    "qrs": (PaperDecoder, 1),
    "rhythm": (ClassificationDecoder, 4),
}


@dataclass(frozen=True)
class TaskCost:
    """Cost of one task."""

    task: str
    parameters: int  # stored, zeros too
    macs: int  # of one window
    macs_per_second: float  # of signal, windows side by side
    milliseconds: float  # of one window, median


def measured(task: str) -> TaskCost:
    """Cost of a task, `qrs` or `rhythm`; the values of the weights make no difference."""
    decoder, outputs = DECODERS[task]
    net = PaperNet(decoder, outputs).eval()
    macs = multiplications(net)
    return TaskCost(
        task, sum(p.numel() for p in net.parameters()), macs, macs * FS_HZ / LENGTH, latency(net)
    )


def multiplications(net: nn.Module) -> int:
    """Multiply-accumulates of one window in convolutions and linear layers, counted by running it."""
    total = 0

    def count(layer: nn.Module, inputs: tuple[Tensor, ...], out: Tensor) -> None:
        nonlocal total
        places = (
            inputs[0].shape[-1]
            if isinstance(layer, nn.ConvTranspose2d)
            else out.shape[-1]
            if isinstance(layer, nn.Conv2d)
            else 1
        )
        total += layer.weight.numel() * places

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [
        layer.register_forward_hook(count) for layer in net.modules() if isinstance(layer, kinds)
    ]
    with torch.no_grad():
        net(torch.zeros(1, 1, LENGTH))
    for hook in hooks:
        hook.remove()
    return total


def latency(net: nn.Module) -> float:
    """Median milliseconds of ONNX Runtime for one window, one thread."""
    session, x = onnx_session(net), np.zeros((1, 1, LENGTH), np.float32)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        session.run(None, {"input": x})
        times.append(time.perf_counter() - began)
    return 1000 * statistics.median(times[REPEATS // 10 :])


def onnx_session(net: nn.Module) -> onnxruntime.InferenceSession:
    """The network, (1, 1, LENGTH) windows only, in ONNX Runtime as serving runs it."""
    file = io.BytesIO()
    plain = net.eval().to(memory_format=torch.contiguous_format)
    example = (torch.zeros(1, 1, LENGTH),)
    torch.onnx.export(
        plain,
        example,
        file,
        input_names=["input"],
        output_names=["logits"],
        opset_version=17,
        dynamo=False,
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(
        file.getvalue(), options, providers=["CPUExecutionProvider"]
    )
